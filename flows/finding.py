"""A trial of one part of an installation or a machine, and what came of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

REINSTALL = "Install again, in the clone: pip install --constraint constraints.txt --editable ."


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    name: str
    fine: bool
    what: str
    """What was found, or what is wrong."""
    cure: str = ""
    """The way out; of what is fine, what would make it better. Empty where there is nothing to do."""


@dataclass(frozen=True, slots=True)
class Advice:
    """Something works, and could be better."""

    what: str
    advice: str


@dataclass(frozen=True, slots=True)
class Check:
    """A trial, and the cure should it raise; an error's own cure comes first."""

    name: str
    trial: Callable[[], str | Advice]
    cure: str = REINSTALL

    def look(self) -> Finding:
        """Try it."""
        try:
            found = self.trial()
            what, advice = (found.what, found.advice) if isinstance(found, Advice) else (found, "")
            return Finding(self.name, True, what, advice)
        except Exception as error:  # an installation can be broken in any way at all
            named = str(error) if isinstance(error, Unfit) else f"{type(error).__name__}: {error}"
            what = getattr(error, "what", named)
            return Finding(self.name, False, " ".join(what.split()), getattr(error, "cure", None) or self.cure)


class Unfit(Exception):
    """Something is there, and is not enough."""
