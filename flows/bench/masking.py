"""The tissue mask: from a closed file to what is worked on, and that of a large slide."""

from __future__ import annotations

from collections.abc import Iterator
from time import process_time

from flows.bench.measurement import Measurement, Trial, seconds_of
from flows.bench.subject import Subject

_GROUP, _NAME = "tissue", "mask of the slide"


def trials(subject: Subject) -> Iterator[Trial]:
    """Of the slide, and of as many of it as make a large one."""
    yield Trial(_GROUP, (_NAME,), lambda: _measure(subject))
    megapixels = round(subject.sizes.mask_px**2 / 1e6)
    large = f"{megapixels}-megapixel mask, a core"
    yield Trial(_GROUP, (large,), lambda: _measure_large(subject, large))


def _measure(subject: Subject) -> list[Measurement]:
    from pipeline.slide import open_slide
    from pipeline.tissue import find_tissue

    def find() -> float:
        with open_slide(subject.read_slide) as slide:
            return find_tissue(slide).area_um2

    took = seconds_of(find, subject.repeat)
    return [Measurement(_GROUP, _NAME, "s", "lower", tuple(took))]


def _measure_large(subject: Subject, name: str) -> list[Measurement]:
    import numpy as np

    from pipeline.geometry import Frame
    from pipeline.slide import open_slide
    from pipeline.tissue import MASK_MPP, look_over, tissue_on

    side_px = subject.sizes.mask_px
    with open_slide(subject.read_slide) as slide:
        picture, _ = look_over(slide)
    times = [-(-side_px // length) for length in picture.shape[:2]]
    large = np.ascontiguousarray(np.tile(picture, (*times, 1))[:side_px, :side_px])
    frame = Frame(side_px, side_px, MASK_MPP)
    took = seconds_of(lambda: tissue_on(large, frame), subject.repeat, process_time)
    return [Measurement(_GROUP, name, "s", "lower", tuple(took))]
