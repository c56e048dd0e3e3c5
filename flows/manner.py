"""How the command talks: options that hold for every command, wherever in the line they stand."""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from typer.core import TyperGroup

GLOBAL_OPTIONS = ("--debug", "--quiet", "-q", "--verbose", "-v")


@dataclass(frozen=True, slots=True)
class Manner:
    """What was asked for."""

    debug: bool = False
    quiet: bool = False
    verbose: bool = False


_manner: ContextVar[Manner | None] = ContextVar("manner", default=None)


def manner() -> Manner:
    """Of the command that is running."""
    return _manner.get() or Manner()


def set_manner(chosen: Manner) -> None:
    """For the rest of the command."""
    _manner.set(chosen)


class AnywhereGroup(TyperGroup):
    """The whole command: what holds for every command may stand before its name or after it."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse with global options first."""
        return super().parse_args(ctx, hoisted(args))


def hoisted(arguments: Sequence[str]) -> list[str]:
    """Arguments with the global options moved to the front; what follows `--` stays."""
    end = list(arguments).index("--") if "--" in arguments else len(arguments)
    front = [word for word in arguments[:end] if word in GLOBAL_OPTIONS]
    rest = [word for word in arguments[:end] if word not in GLOBAL_OPTIONS]
    return [*front, *rest, *arguments[end:]]
