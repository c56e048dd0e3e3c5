"""Which display a run gets: a board on a terminal, plain lines elsewhere, JSON for programs, failures with --quiet."""

from __future__ import annotations

import logging
import os
import sys
from typing import TextIO

from flows.lines import FailuresOnly, Lines
from flows.manner import manner
from flows.progress import JsonLines, Paced


def choose_progress(*, log_json: bool) -> Paced:
    """What shows the run that is about to begin."""
    verbose = manner().verbose
    if log_json:
        return JsonLines()
    if manner().quiet:
        return FailuresOnly()
    if verbose:
        _let_loggers_speak()
    if not is_terminal(sys.stderr):
        return Lines(verbose=verbose)
    from flows.board import Board

    return Board(verbose=verbose)


def is_terminal(stream: TextIO) -> bool:
    """Whether a stream is a terminal that moves its cursor."""
    return stream.isatty() and os.environ.get("TERM", "dumb") not in ("dumb", "unknown")


def _let_loggers_speak() -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(name)s: %(message)s"))
    for name in ("pipeline", "models", "flows"):
        logging.getLogger(name).addHandler(handler)
        logging.getLogger(name).setLevel(logging.INFO)
