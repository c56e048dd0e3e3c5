"""A command's options as one frozen value: `@takes(Options)` gives a function of it the signature that typer reads."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import MISSING, fields
from typing import Any, TypeVar, get_type_hints

_T = TypeVar("_T")


def takes(options: type[_T]) -> Callable[[Callable[[_T], None]], Callable[..., None]]:
    """Make a command of a function; each field of the dataclass, annotated for typer, is an argument or an option."""
    hints = get_type_hints(options, include_extras=True)

    def make(function: Callable[[_T], None]) -> Callable[..., None]:
        def command(**given: Any) -> None:
            function(options(**given))

        command.__name__, command.__doc__, command.__module__ = function.__name__, function.__doc__, function.__module__
        command.__annotations__ = {**hints, "return": None}
        command.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [
                inspect.Parameter(
                    one.name,
                    inspect.Parameter.KEYWORD_ONLY,
                    default=inspect.Parameter.empty if one.default is MISSING else one.default,
                    annotation=hints[one.name],
                )
                for one in fields(options)  # type: ignore[arg-type]  # a dataclass, by what is promised
            ]
        )
        return command

    return make
