"""The tissue mask: from a closed file to what is worked on."""

from __future__ import annotations

from collections.abc import Iterator

from flows.bench.measurement import Measurement, Trial, seconds_of
from flows.bench.subject import Subject

_GROUP, _NAME = "tissue", "mask of the slide"


def trials(subject: Subject) -> Iterator[Trial]:
    """One."""
    yield Trial(_GROUP, (_NAME,), lambda: _measure(subject))


def _measure(subject: Subject) -> list[Measurement]:
    from pipeline.slide import open_slide
    from pipeline.tissue import find_tissue

    def find() -> float:
        with open_slide(subject.read_slide) as slide:
            return find_tissue(slide).area_um2

    took = seconds_of(find, subject.repeat)
    return [Measurement(_GROUP, _NAME, "s", "lower", tuple(took))]
