"""How a command ends that cannot go on: two lines, what is wrong and what to do; a traceback only where asked for.

A fault of the program leaves a file with all that its developers need.
"""

from __future__ import annotations

import json
import os
import platform
import shlex
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NoReturn

import typer

from flows.manner import manner
from models.errors import ModelError
from pipeline.errors import HistoloomError, ResourceLost
from pipeline.secrets import redacted

BUG, WRONG_ARGUMENTS, SOME_FAILED = 1, 2, 3
"""Exit codes; 0 all is done, 130 and 143 stopped by Ctrl-C and SIGTERM."""


@contextmanager
def told_plainly(code: int = WRONG_ARGUMENTS, *, lost: int | None = None, as_json: bool = False) -> Iterator[None]:
    """End the command with this exit code where the block raises an error that a person can act on.

    `lost` is that of a disk, a network or a bucket that gave way, where it is another.
    """
    try:
        yield
    except (HistoloomError, ModelError) as error:
        passing = lost is not None and isinstance(error, ResourceLost)
        stop(error, lost if passing and lost is not None else code, as_json=as_json)


def stop(error: HistoloomError | ModelError, code: int, *, as_json: bool = False) -> NoReturn:
    """Say what is wrong and what to do, and end."""
    if as_json:
        facts = {"event": "error", "what": error.what, "cure": error.cure, "exit_code": code}
        print(json.dumps({"time": round(time.time(), 3), **facts}), file=sys.stderr, flush=True)
    else:
        show_traceback(error)
        print(error, file=sys.stderr)
    raise typer.Exit(code)


def show_traceback(error: BaseException | None) -> None:
    """With --debug, where it came from."""
    if error is not None and manner().debug:
        sys.stderr.write(redacted("".join(traceback.format_exception(error))))


def tell_fault(error: BaseException, *, traced: bool = True) -> None:
    """Two lines for a fault of the program: what happened, and how to report it."""
    if traced:
        show_traceback(error)
    where = traceback.extract_tb(error.__traceback__)
    place = f" ({Path(where[-1].filename).name}, line {where[-1].lineno})" if where else ""
    words = " ".join(str(error).split())
    print(redacted(f"a fault of histoloom: {type(error).__name__}: {words}{place}"), file=sys.stderr)
    print(how_to_report(error), file=sys.stderr)


def how_to_report(error: BaseException) -> str:
    """One line, after the file is written."""
    file = write_fault(error)
    if file is None:
        return "Run it again with --debug, and report what it prints (docs/contributing.md says where)."
    return (
        f"Report it with this file, which holds no pixels and no passwords: {file} (docs/contributing.md says where)."
    )


def write_fault(error: BaseException) -> Path | None:
    """Keep the traceback, the command and the versions in a file; None where no file can be written."""
    folder = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state", "histoloom", "faults")
    file = folder / f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.txt"
    lines = [
        f"histoloom {_version('histoloom')}, Python {platform.python_version()}, {platform.platform()}",
        f"torch {_version('torch')}, zarr {_version('zarr')}, distributed {_version('distributed')}",
        shlex.join(["histoloom", *sys.argv[1:]]),
        "",
        "".join(traceback.format_exception(error)),
    ]
    with suppress(OSError, RuntimeError):  # no home, no space
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        file.write_text(redacted("\n".join(lines)), encoding="utf-8", errors="backslashreplace")
        return file
    return None


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"
