"""How a run is told of in words: the same on a terminal, in a log and at the end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from flows.pace import CohortPace, StagePace, clock_time
from pipeline.record import plain

_SHOWN_SHARE = 0.005
_MOST_FAILURES = 20


def tidy_name(name: str) -> str:
    """A slide's name as one printable line: it comes from a file, and may hold what moves a cursor."""
    return plain(name, 120)


def facts_in_words(facts: Mapping[str, Any]) -> str:
    """Such as `seconds 12.3  nuclei 204`."""
    return "  ".join(f"{plain(key)} {_value_in_words(value)}".strip() for key, value in facts.items())


def _value_in_words(value: object) -> str:
    """Of counts within a count, such as patches by classifier, each."""
    if isinstance(value, Mapping):
        return ", ".join(f"{plain(key)} {plain(inner)}" for key, inner in value.items())
    return plain(value)


def speed(pace: StagePace) -> str:
    """Such as `12.3 tiles/s  12.9 MP/s`; empty before the first batch."""
    if not pace.done:
        return ""
    return f"{_figure(pace.tiles_per_s)} tiles/s  {_figure(pace.megapixels_per_s)} MP/s"


def time_left(pace: StagePace) -> str:
    """Such as `0:42 left`; empty while nothing is known."""
    return "" if pace.left_s is None else f"{clock_time(pace.left_s)} left"


def waits(pace: StagePace, most: int = 3) -> str:
    """What the time goes to, most first, such as `device 65 %  reading 20 %`; empty before the first batch."""
    shares = sorted(pace.shares.items(), key=lambda share: -share[1])
    return "  ".join(f"{what} {share:.0%}".replace("%", " %") for what, share in shares[:most] if share >= _SHOWN_SHARE)


def cohort_line(pace: CohortPace) -> str:
    """Such as `slide 3 of 12, 1 failed`."""
    number = min(len(pace.ends) + max(1, len(pace.at_work)), pace.slides) if pace.slides else len(pace.ends) + 1
    words = f"slide {number} of {pace.slides}" if pace.slides else f"slide {number}"
    failed = pace.count("failed")
    return f"{words}, {failed} failed" if failed else words


def summary(pace: CohortPace, place: str) -> Iterator[str]:
    """What a person wants to know at the end: what was done, what failed, and the cure."""
    counts = [(pace.count(end), end) for end in _ENDS]
    said = ", ".join(f"{count} {end}" for count, end in counts if count) or "nothing done"
    yield f"{said}, in {clock_time(pace.seconds)}"
    if len(pace.ends) > 1:
        yield from failures(pace, place)


def where_to_look(pace: CohortPace, place: str, page: str | None) -> Iterator[str]:
    """Where results are, and what comes next."""
    yield f"results  {plain(place, 1000)}"
    if page:
        yield f"report   {plain(page, 1000)}"
    if pace.count("done") + pace.count("unchanged"):
        yield f"next     histoloom view {plain(place, 1000)}"


_ENDS = ("done", "unchanged", "failed")


def failures(pace: CohortPace, place: str) -> Iterator[str]:
    """Three lines a failure: the slide, the reason, the cure."""
    for name, (reason, cure) in list(pace.failures.items())[:_MOST_FAILURES]:
        yield f"failed   {tidy_name(name)}"
        yield from (f"         {plain(line, 1000)}" for line in (reason, cure) if line)
    more = len(pace.failures) - _MOST_FAILURES
    if more > 0:
        yield f"         and {more} more: histoloom status {plain(place, 1000)}"


def _figure(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 1 else f"{value:.2f}"
