"""How the process ends: wrong words in two lines with what was meant, faults with a way to report them, exit codes."""

from __future__ import annotations

import gc
import sys
from contextlib import suppress
from io import TextIOWrapper
from typing import Any, NoReturn

import typer

from flows.stopping import end_at_once
from flows.told import BUG, WRONG_ARGUMENTS, tell_fault

INTERRUPTED, TERMINATED = 130, 143


def ending(app: typer.Typer) -> int:
    """Run the command; its exit code."""
    try:
        code = app(standalone_mode=False, prog_name="histoloom")
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:
        if hasattr(error, "format_message"):  # typer has click's errors within itself, under no public name
            return _tell_usage(error)
        if type(error).__name__ == "Abort":
            return BUG
        tell_fault(error)
        return BUG
    return code if isinstance(code, int) else 0


def _tell_usage(error: Any) -> int:
    """Two lines: what is wrong with the words, and what was meant or where to look."""
    if type(error).__name__ == "NoArgsIsHelpError":
        error.show()
        return WRONG_ARGUMENTS
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "histoloom"
    meant = getattr(error, "possibilities", None)
    what = error.message if meant else error.format_message()
    what, found, rest = what.partition(" Did you mean ")
    cure = f"Did you mean {rest.replace(chr(39), '')}" if found else f"See {command} --help."
    if meant:
        cure = f"Did you mean {', '.join(meant)}? See {command} --help."
    print(f"{what.strip()}\n{cure}", file=sys.stderr)
    return int(getattr(error, "exit_code", WRONG_ARGUMENTS))


def leave(exit_code: int) -> NoReturn:
    """End the process: at once where it was told to stop, and threads may still be at work."""
    if exit_code in (INTERRUPTED, TERMINATED):
        end_at_once(exit_code)
    gc.freeze()  # else Python looks for cycles among all that torch is made of, for most of a second, to free them
    sys.exit(exit_code)


def write_any_name() -> None:
    """Let names of files be printed that the terminal's alphabet, or any, has no letters for."""
    for stream, handler in ((sys.stdout, "surrogateescape"), (sys.stderr, "backslashreplace")):
        if isinstance(stream, TextIOWrapper):
            unicode = (stream.encoding or "").lower().replace("-", "") == "utf8"
            with suppress(ValueError, OSError):
                stream.reconfigure(errors=handler if unicode else "replace")
