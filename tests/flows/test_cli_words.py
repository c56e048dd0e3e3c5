"""What the command says about words that it does not know, about faults, and what Tab offers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import pytest
import typer

from flows.ending import ending
from flows.lines import broken
from flows.manner import Manner, hoisted, set_manner
from flows.run_options import RunOptions
from models.shelf import shipped_names
from pipeline.config import SlideConfig

HISTOLOOM = [sys.executable, "-c", "from flows.cli import main; main()"]


def said(*arguments: str, code: int, environment: dict[str, str] | None = None) -> list[str]:
    done = subprocess.run(
        [*HISTOLOOM, *arguments], capture_output=True, text=True, timeout=120, check=False,
        env=os.environ | (environment or {}),
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    return (done.stderr or done.stdout).splitlines()


@pytest.mark.parametrize(
    ("arguments", "what", "cure"),
    [
        (("run", "a.svs", "--out", "x", "--clasifier", "none"), "--clasifier", "Did you mean --classifier?"),
        (("rn",), "No such command 'rn'", "Did you mean run?"),
        (("run", "a.svs"), "--out", "See histoloom run --help."),
        (("run", "a.svs", "--out", "x", "--mpp", "wide"), "--mpp", "See histoloom run --help."),
        (("evaluate", "nuclei", "--bundel", "x"), "--bundel", "Did you mean --bundle"),
        (("status", "s4://x"), "s4://", "s3://"),
        (("status", "nowhere"), "nowhere: is no folder", "the DIR of"),
        (("report", "nowhere"), "nowhere: is no folder", "the DIR of"),
        (("report", "docs"), "docs: holds no results", "the DIR of"),
        (("run", "a.svs", "--out", "x", "--config", "none.toml"), "none.toml: there is no such file", "--config"),
        (("run", "a.svs", "-q", "--out", "x", "-v"), "--quiet and --verbose", "Give one of the two."),
        (("watch", "nowhere", "--out", "x", "--workers", "2", "--scheduler", "tcp://a:1"), "--workers 2", "Give one"),
    ],
)
def test_a_wrong_word_gets_two_lines_and_what_was_meant(arguments: tuple[str, ...], what: str, cure: str) -> None:
    first, second = said(*arguments, code=2)
    assert what in first
    assert cure in second


def test_an_evaluation_that_cannot_begin_says_nothing_but_why() -> None:
    first, second = said(
        "evaluate", "superresolution", "--bundle", "sr-x2", "--images", "nowhere", "--scale", "2", code=2
    )
    assert first == "nowhere: no such folder"
    assert second == "Give a folder of images."


def test_the_version_is_the_packages() -> None:
    assert said("--version", code=0) == [f"histoloom {version('histoloom')}"]


def test_a_setting_and_a_bundle_that_are_misspelt_are_guessed_too(tmp_path: Path) -> None:
    (tmp_path / "cohort.toml").write_text("sr_blnd = 0.5\n")
    (tmp_path / "a.png").touch()
    slide = ("run", str(tmp_path / "a.png"), "--out", str(tmp_path / "x"))
    assert "Did you mean sr_blend?" in said(*slide, "--config", str(tmp_path / "cohort.toml"), code=2)[1]
    assert "Did you mean nuclei-unet?" in said(*slide, "--nuclei", "nuclei-unte", code=2)[1]
    traced = said(*slide, "--nuclei", "nuclei-unte", "--debug", code=2)
    assert traced[0].startswith("Traceback")
    assert "Did you mean nuclei-unet?" in traced[-1]


def test_a_fault_says_how_to_report_it_and_leaves_a_file_without_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("MY_SECRET_TOKEN", "s3cr3t-0123456789")
    monkeypatch.setattr(sys, "argv", ["histoloom", "run", "s3://key:pass@host/slide.svs"])
    faulty = typer.Typer()

    @faulty.command()
    def fail(words: list[str]) -> None:
        msg = "s3cr3t-0123456789"
        raise KeyError(msg)

    assert ending(faulty) == 1
    what, cure = capsys.readouterr().err.splitlines()
    assert what.startswith("a fault of histoloom: KeyError: '***' (test_cli_words.py, line ")
    (file,) = (tmp_path / "histoloom" / "faults").iterdir()
    assert str(file) in cure
    kept = file.read_text()
    assert "Traceback" in kept
    assert "histoloom run s3://***@host/slide.svs" in kept.replace("'", "")
    assert "s3cr3t" not in kept + what
    set_manner(Manner(debug=True))
    try:
        assert ending(faulty) == 1
    finally:
        set_manner(Manner())
    assert "Traceback" in capsys.readouterr().err


def test_options_for_every_command_may_stand_anywhere_but_behind_two_dashes() -> None:
    assert hoisted(["run", "a", "-v", "--debug"]) == ["-v", "--debug", "run", "a"]
    assert hoisted(["run", "--", "--debug"]) == ["run", "--", "--debug"]


def test_every_option_that_is_called_as_a_setting_becomes_that_setting() -> None:
    given = RunOptions(["a"], "x", mpp=0.5, sr="none", classifier=["none"], workers=3)
    assert given.settings() == {"mpp": 0.5, "sr": "none", "classifiers": []}
    reached = {*RunOptions.__dataclass_fields__, "classifiers"} & SlideConfig.__dataclass_fields__.keys()
    assert reached == SlideConfig.__dataclass_fields__.keys()


def offered(words: str) -> list[str]:
    environment = {"_HISTOLOOM_COMPLETE": "complete_bash", "COMP_WORDS": f"histoloom {words}"}
    environment["COMP_CWORD"] = str(len(words.split(" ")))
    return said(code=0, environment=environment)


def test_tab_offers_bundles_slides_and_folders(tmp_path: Path) -> None:
    for name in ("one.svs", "one.txt", "two.ndpi"):
        (tmp_path / name).touch()
    (tmp_path / "older").mkdir()
    assert offered("run --sr sr-") == [name for name in shipped_names() if name.startswith("sr-")]
    assert offered(f"run {tmp_path}/o") == [f"{tmp_path}/older/", f"{tmp_path}/one.svs"]
    assert offered(f"status {tmp_path}/") == [f"{tmp_path}/older/"]
    assert "--classifier" in offered("run --cl")


def test_lines_break_between_words_and_leave_paths_whole() -> None:
    assert broken("   failed  a word and more", 18) == ["   failed  a word", "      and more"]
    long = "results  /" + "x" * 50
    assert broken(long, 40) == [long]


STOPPABLE = """
import sys, time
from flows.stopping import Stoppable, Stopped
from flows.ending import leave
try:
    with Stoppable(lambda stop: print("last words", stop, flush=True), grace_s=float(sys.argv[1])) as stoppable:
        try:
            print("at work", flush=True)
            time.sleep(60)
        finally:
            print("unwinding", flush=True)
            time.sleep(float(sys.argv[2]))
except Stopped as stop:
    stoppable.tell(stop)
    leave(stop.exit_code)
"""


def stopped(grace_s: float, unwinding_s: float, *signals: int) -> tuple[int, list[str], float]:
    """Exit code, what was said, and seconds from the last signal to the end."""
    command = [sys.executable, "-c", STOPPABLE, str(grace_s), str(unwinding_s)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = []
        for number in signals:
            lines.append(process.stdout.readline().strip())
            start = time.monotonic()
            process.send_signal(number)
        lines += process.stdout.read().split("\n")
        return process.wait(), [line for line in lines if line], time.monotonic() - start


def test_what_takes_long_to_unwind_is_cut_off_and_a_second_signal_cuts_at_once() -> None:
    assert stopped(30, 0, signal.SIGINT)[:2] == (130, ["at work", "unwinding", "last words SIGINT"])
    code, lines, seconds = stopped(0.5, 60, signal.SIGTERM)
    assert (code, lines) == (143, ["at work", "unwinding", "last words SIGTERM"])
    assert seconds < 20
    code, lines, seconds = stopped(60, 60, signal.SIGINT, signal.SIGINT)
    assert (code, lines) == (130, ["at work", "unwinding", "last words SIGINT"])
    assert seconds < 20


LEAVING = """
import atexit
from flows.ending import leave
class Knot:
    def __init__(self):
        self.itself = self
    def __del__(self):
        print("untied")
knot = Knot()
atexit.register(print, "what was to be done at the end")
leave(3)
"""


def test_a_process_does_at_its_end_what_it_was_told_and_looks_for_nothing_else_to_free() -> None:
    done = subprocess.run([sys.executable, "-c", LEAVING], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.split("\n")) == (3, ["what was to be done at the end", ""])
