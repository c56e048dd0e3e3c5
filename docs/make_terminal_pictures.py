"""Makes the pictures of the terminal in docs/pictures, from what the commands really print.

    python docs/make_terminal_pictures.py [SLIDE [NAME...]]

runs each command of `SCENES` on a pseudo-terminal in a scratch folder, keeps the screen that the scene waits for, and
writes it as SVG. Names choose scenes; all without. Without a slide, that of `make demo`
is taken. Run by `make pictures`.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

from rich.console import Console
from rich.style import Style
from rich.terminal_theme import DIMMED_MONOKAI
from rich.text import Text

ROOT = Path(__file__).resolve().parent.parent
SLIDE = ROOT / "slides" / "CMU-1-Small-Region.svs"
sys.path.insert(0, str(ROOT))

from tests.terminal import Terminal, be_run_on  # noqa: E402

PICTURES = ROOT / "docs" / "pictures"


@dataclass(frozen=True)
class Scene:
    """A command, and the screen that is kept of it."""

    name: str
    arguments: tuple[str, ...]
    title: str
    wanted: Callable[[str], bool] | None = None
    """What the screen must show; None: the last one."""
    stop: bool = False
    """Whether Ctrl-C is pressed then; the picture is of what follows."""
    columns: int = 92
    lines: int = 16


def _at(stage: str) -> Callable[[str], bool]:
    return lambda screen: stage in screen and "tiles/s" in screen and "device" in screen


SCENES = (
    Scene("run", ("run", "slides/*.svs", "--out", "results"), "histoloom run", _at("super-resolution")),
    Scene("stop", ("run", "slides/*.svs", "--out", "results"), "Ctrl-C", _at("super-resolution"), stop=True),
    Scene("narrow", ("run", "slides/*.svs", "--out", "results"), "40 columns", _at("nuclei"), columns=40),
    Scene("end", ("run", "slides/*.svs", "--out", "results"), "the end of a run"),
    Scene("status", ("status", "results"), "histoloom status"),
    Scene("doctor", ("doctor",), "histoloom doctor", columns=100, lines=32),
    Scene("errors", ("run", "slides/*.svs", "--out", "results", "--clasifier", "none"), "what was meant", lines=4),
)


def play(scene: Scene, folder: Path) -> Terminal:
    """Run a scene's command, return the terminal as the scene wants it; a run that is not waited for is stopped."""
    terminal = Terminal(scene.columns, scene.lines)
    child = os.fork()
    if not child:
        os.chdir(folder)
        os.setsid()
        be_run_on(terminal.path, scene.columns, scene.lines)
        os.environ |= {"TERM": "xterm-256color", "COLORTERM": "truecolor", "PYTHONPATH": str(ROOT)}
        os.execv(sys.executable, [sys.executable, "-c", "from flows.cli import main; main()", *scene.arguments])
    ended = False
    while not ended:
        screen = terminal.look(0.2)
        if scene.wanted is not None and scene.wanted(screen):
            break
        ended = os.waitpid(child, os.WNOHANG)[0] == child
    if not ended:
        kept = picture_of(terminal, scene)
        terminal.press(b"\x03")
        os.waitpid(child, 0)
        if not scene.stop:
            _save(scene, kept)
            return terminal
    terminal.look(0.3)
    _save(scene, picture_of(terminal, scene))
    return terminal


def picture_of(terminal: Terminal, scene: Scene) -> str:
    """The screen as SVG, as rich draws terminals."""
    shown = Text("$ histoloom " + " ".join(scene.arguments) + "\n", "bold")
    rows = [terminal.screen.buffer[y] for y in range(terminal.screen.lines)]
    used = max((y for y, row in enumerate(terminal.screen.display) if row.strip()), default=0)
    for row in rows[: used + 1]:
        line = Text()
        for x in range(terminal.screen.columns):
            cell = row[x]
            line.append(cell.data, Style(color=_colour(cell.fg), bold=cell.bold or None))
        line.rstrip()
        shown.append(line).append("\n")
    console = Console(width=scene.columns, record=True, file=StringIO(), color_system="truecolor")
    console.print(shown, end="", soft_wrap=True)
    svg = console.export_svg(title=scene.title, theme=DIMMED_MONOKAI)
    return re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)  # a page must fetch no font from elsewhere


def _colour(name: str) -> str | None:
    if name == "default":
        return None
    return {"brown": "yellow"}.get(
        name, f"#{name}" if len(name) == 6 and name.isalnum() and not name.isalpha() else name
    )


def _save(scene: Scene, svg: str) -> None:
    path = PICTURES / f"terminal-{scene.name}.svg"
    path.write_text(svg, encoding="utf-8")
    print(path.relative_to(ROOT))


def main(slide: Path, names: Sequence[str]) -> None:
    """Play the scenes one after another, in one folder: each goes on where the last stopped."""
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="histoloom-pictures-") as scratch:
        folder = Path(scratch)
        (folder / "slides").mkdir()
        shutil.copy(slide, folder / "slides")
        (folder / "slides" / "cut-off.svs").write_bytes(b"II*\0 and nothing more")  # one that fails
        for scene in SCENES:
            if not names or scene.name in names:
                began = time.monotonic()
                play(scene, folder)
                print(f"  {time.monotonic() - began:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else SLIDE, sys.argv[2:])
