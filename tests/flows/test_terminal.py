"""The command as a person at a terminal sees it: real pseudo-terminals, drawn by an emulator."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest
from PIL import Image

from flows.status import holders, slide_states
from pipeline.synthetic import SyntheticTruth
from tests.flows.killed_runs import findings
from tests.fork_server import ForkServer
from tests.terminal import Terminal

COLOUR = re.compile(rb"\x1b\[(?:\d+;)*(?:3[0-7]|9[0-7]|38|48)[;\d]*m")
LIGHT = (
    "--mpp",
    "0.25",
    "--sr",
    "none",
    "--classifier",
    "none",
    "--core-px",
    "256",
    "--device",
    "cpu",
    "--tissue",
    "all",
)
"""Fifteen tiles: two batches of pixels, four of nuclei."""
LIGHTER = (*LIGHT, "--nuclei", "none")


@dataclass
class Person:
    """Runs commands on terminals."""

    server: ForkServer
    environment: dict[str, str] = field(default_factory=lambda: {"TERM": "xterm-256color"})

    def runs(
        self, *arguments: str | Path, columns: int = 80, environment: dict[str, str] | None = None,
        encoding: str = "utf-8", until: Callable[[str], bool] | None = None,
        then: Callable[[int, Terminal], None] | None = None,
    ) -> tuple[int, Terminal]:  # fmt: skip
        """The exit code, and the terminal when the command has ended; `then` is called when the screen is as wished."""
        terminal = Terminal(columns)
        words = [str(argument) for argument in arguments]
        environment = self.environment | (environment or {})
        child = self.server.start("histoloom_on_terminal", terminal.path, columns, 24, environment, encoding, *words)
        if until is not None:
            terminal.look_until(until)
        if then is not None:
            then(child, terminal)
        while Path(f"/proc/{child}").exists():
            terminal.look(0.1)
        code = self.server.wait()
        terminal.look(0.1)
        terminal.close()
        return code, terminal


@pytest.fixture(scope="module")
def person() -> Iterator[Person]:
    with ForkServer("tests.flows.killed_runs:called") as server:
        yield Person(server)


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stroma with some forty nuclei."""
    truth = SyntheticTruth(600, 1100, 0.25, nuclei_per_mm2=1000, tissue_share=1.0)
    path = tmp_path_factory.mktemp("pictures") / "tissue.png"
    Image.fromarray(truth.render(truth.frame.box)).save(path)
    return path


@dataclass(frozen=True)
class Uninterrupted:
    """A run that nobody stopped, on 80 columns."""

    out: Path
    code: int
    terminal: Terminal


@pytest.fixture(scope="module")
def straight(person: Person, picture: Path, tmp_path_factory: pytest.TempPathFactory) -> Uninterrupted:
    out = tmp_path_factory.mktemp("straight") / "results"
    return Uninterrupted(out, *person.runs("run", picture, *LIGHT, "--out", out))


def in_stage(name: str) -> Callable[[str], bool]:
    return lambda screen: f": {name}" in screen


def test_a_person_sees_stage_speed_time_left_and_what_waits(straight: Uninterrupted) -> None:
    assert straight.code == 0, straight.terminal.everything()
    frames = straight.terminal.frames
    at_work = [frame for frame in frames if ": nuclei\n" in frame and "tiles/s" in frame]
    assert at_work, frames[-3:]
    top, name, bar, waits = at_work[-1].splitlines()[-4:]
    assert re.match(r"slide 1 of 1  \d+:\d\d", top)
    assert name == "tissue: nuclei"
    assert re.match(r"[━]*[─]* \d+ of \d+ tiles  [\d.]+ tiles/s  [\d.]+ MP/s  \d+:\d\d left$", bar), bar
    assert re.match(r"device \d+ %", waits), waits
    assert all(len(line) <= 80 for frame in frames for line in frame.splitlines())


def test_the_end_says_what_was_done_where_it_is_and_what_comes_next(straight: Uninterrupted) -> None:
    shown = " ".join(straight.terminal.everything().split())
    assert "1 done, in 0:" in shown
    wrapped = straight.terminal.everything().replace("\n", "")
    assert f"results  {straight.out}" in wrapped
    assert f"report   {straight.out}/report.html" in wrapped
    assert f"next     histoloom view {straight.out}" in wrapped
    assert "━" not in straight.terminal.text()  # the board is gone


@pytest.mark.parametrize(
    ("number", "code", "by"),
    [
        pytest.param(signal.SIGINT, 130, "Ctrl-C", id="Ctrl-C"),
        pytest.param(signal.SIGTERM, 143, "SIGTERM", id="SIGTERM", marks=pytest.mark.slow),
    ],
)
def test_a_stopped_run_ends_soon_and_goes_on_in_forty_columns_to_the_same_results(
    person: Person, picture: Path, straight: Uninterrupted, tmp_path: Path, number: int, code: int, by: str
) -> None:
    out, stopped = tmp_path / "results", []

    def stop(child: int, terminal: Terminal) -> None:
        assert holders(out) == {"tissue"}
        assert [state["state"] for state in slide_states(out)] == ["unfinished"]  # as the contract of --json has it
        stopped.append(time.monotonic())
        if number == signal.SIGINT:
            terminal.press(b"\x03")
        else:
            signal.pidfd_send_signal(_handle(child), number)

    ended, terminal = person.runs("run", picture, *LIGHT, "--out", out, until=in_stage("nuclei"), then=stop)
    seconds = time.monotonic() - stopped[0]
    assert ended == code, terminal.everything()
    assert seconds < 10, f"{seconds:.1f} s; 2 s on a machine that does nothing else"
    shown = terminal.everything().replace("\n", "")
    assert f"stopped by {by}: 0 of 1 slides are through" in shown
    assert f"the same command goes on from there:  histoloom run {picture}" in shown
    assert b"\x1b[?25h" in terminal.raw[terminal.raw.rindex(b"\x1b[?25l") :]  # the cursor is back
    assert holders(out) == set()
    assert not (out / "tissue").exists()
    resumed, terminal = person.runs("run", picture, *LIGHT, "--out", out, columns=40)
    assert resumed == 0, terminal.everything()
    assert findings(out / "tissue") == findings(straight.out / "tissue")
    four_lines = re.compile(
        r"^tissue: .*\n[━]*[─]* \d+ of \d+ tiles\n[\d.]+ tiles/s  [\d.]+ MP/s(  \d+:\d\d left)?\n"
        r"(reading|device|writing) \d+ %",
        re.MULTILINE,
    )
    assert any(map(four_lines.search, terminal.frames)), "\n---\n".join(terminal.frames[-12:])


def _handle(process: int) -> int:
    import os

    return os.pidfd_open(process)


def test_no_colour_and_no_unicode_are_heeded(person: Person, picture: Path, tmp_path: Path) -> None:
    code, terminal = person.runs(
        "run", picture, *LIGHTER, "--out", tmp_path / "results", environment={"NO_COLOR": "1"}, encoding="ascii"
    )
    assert code == 0, terminal.everything()
    assert not COLOUR.search(terminal.raw)
    assert terminal.raw.isascii()
    assert any(re.search(r"^[#]*[-]* \d+ of \d+ tiles", frame, re.MULTILINE) for frame in terminal.frames)


def test_a_dumb_terminal_gets_plain_lines(person: Person, picture: Path, tmp_path: Path) -> None:
    code, terminal = person.runs(
        "run", picture, *LIGHTER, "--out", tmp_path / "results", "--verbose", environment={"TERM": "dumb"}
    )
    assert code == 0, terminal.everything()
    assert b"\x1b" not in terminal.raw
    shown = terminal.everything()
    assert re.search(r"  started  tissue  slide 1 of 1$", shown, re.MULTILINE)
    assert re.search(r"tissue: ingest  \d+ of \d+ tiles  [\d.]+ tiles/s", shown)


def test_results_go_to_stdout_and_the_rest_elsewhere_without_control_codes(
    person: Person, picture: Path, tmp_path: Path
) -> None:
    (tmp_path / "cut\x1b[31m.svs").write_bytes(b"no slide")
    out, errors = tmp_path / "out.txt", tmp_path / "errors.txt"
    results = tmp_path / "results"
    code = person.server.run(
        "histoloom_apart", str(out), str(errors), "run", str(picture), str(tmp_path / "cut*.svs"), *LIGHTER, "--out",
        str(results),
    )  # fmt: skip
    assert code == 3
    assert out.read_text().splitlines() == [str(results / "tissue"), str(results / "report.html")]
    said = errors.read_text()
    assert "\x1b" not in said
    assert "1 done, 1 failed, in 0:" in said
    failure = said[said.index("1 done, 1 failed") :].splitlines()[1:4]
    assert failure[0].startswith("failed   cut")
    assert all(line.startswith("         ") and line.strip() for line in failure[1:])  # the reason, the cure
    code = person.server.run(
        "histoloom_apart", str(out), str(errors), "--quiet", "run", str(picture), *LIGHTER, "--out", str(results)
    )
    assert (code, errors.read_text()) == (0, "")


@pytest.mark.slow
def test_worker_processes_end_with_the_run_and_without_a_word(person: Person, picture: Path, tmp_path: Path) -> None:
    """A terminal sends Ctrl-C to them, too."""
    workers: list[psutil.Process] = []

    def stop(child: int, terminal: Terminal) -> None:
        workers.extend(psutil.Process(child).children(recursive=True))
        terminal.press(b"\x03")

    run = ("run", picture, *LIGHT, "--workers", "2", "--out", tmp_path / "results")
    code, terminal = person.runs(*run, until=in_stage("nuclei"), then=stop)
    assert code == 130
    assert len(workers) >= 2
    shown = terminal.everything()
    assert "stopped by Ctrl-C" in shown
    assert "Traceback" not in shown
    _, alive = psutil.wait_procs(workers, timeout=10)
    assert alive == []
