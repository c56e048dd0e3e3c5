"""A bench beside an older one: ratios, and which of them are more than the figures' own spread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from flows.bench.measurement import Measurement

Verdict = Literal["", "better", "worse"]


@dataclass(frozen=True, slots=True)
class Beside:
    """A row now and, where there was one, before."""

    now: Measurement
    before: Measurement | None

    @property
    def ratio(self) -> float | None:
        """New over old; None where there is nothing to divide by."""
        return self.now.median / self.before.median if self.before and self.before.median else None

    @property
    def verdict(self) -> Verdict:
        """`better` or `worse` where the medians lie further apart than both spreads together.

        Empty where they do not, or where either was measured once and has no spread.
        """
        before = self.before
        if before is None or before.spread is None or self.now.spread is None:
            return ""
        difference = self.now.median - before.median
        if abs(difference) <= before.spread + self.now.spread:
            return ""
        return "better" if (difference > 0) == (self.now.better == "higher") else "worse"


def beside(now: Sequence[Measurement], before: Sequence[Measurement]) -> list[Beside]:
    """Every row of now with the same one of before."""
    known = {row.key: row for row in before}
    return [Beside(row, known.get(row.key)) for row in now]


def unlike(now: Mapping[str, Any], before: Mapping[str, Any]) -> list[str]:
    """In words, what besides the code differs between two documents, and may be why figures do."""
    found = []
    for field, what in (("processor", "the processor"), ("cores", "cores"), ("network_threads", "threads of a network"),
                        ("gpus", "GPUs")):  # fmt: skip
        here, there = (one.get("machine", {}).get(field) for one in (now, before))
        if here != there:
            found.append(f"{what}: {_told(here)} now, {_told(there)} before")
    for field, what in (("slide", "the slide"), ("quick", "--quick"), ("histoloom", "histoloom")):
        if now.get(field) != before.get(field):
            found.append(f"{what}: {_told(now.get(field))} now, {_told(before.get(field))} before")
    return found


def _told(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return "a synthetic one" if value is None else str(value)
