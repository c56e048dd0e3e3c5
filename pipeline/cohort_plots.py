"""Plots over all slides of a cohort."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from pipeline.histogram import Histogram
from pipeline.plot import Plot
from pipeline.plots import Mark, Scale, histogram, named_bars
from pipeline.report_time import StageTime, time_plot

# Of more slides than this, a plot shows how values are spread, not whose they are.
MOST_NAMED = 40
_BARS = 20


def slides_plot(
    name: str, values: Sequence[tuple[str, float]], what: str, words: Callable[[float], str]
) -> Plot | None:
    """One value a slide, largest first; of many slides a histogram. None where there is nothing to compare."""
    if len(values) < 2:
        return None
    amounts = np.array([value for _, value in values], np.float64)
    median = float(np.median(amounts))
    if len(values) <= MOST_NAMED:
        alt = f"{what} of {len(values)} slides, largest first; the median is {words(median)}."
        entries = [(slide, value, words(value)) for slide, value in sorted(values, key=lambda one: -one[1])]
        return named_bars(name, alt, entries, what)
    width = _nice(float(amounts.max()) / _BARS)
    counts = Histogram(width, int(amounts.max() / width) + 1)
    counts.add(amounts)
    alt = f"Histogram of {what} over {len(values):,} slides; the median is {words(median)}."
    marks = [Mark(median, f"median {words(median)}")]
    return histogram(name, alt, counts.counts.tolist(), Scale(what, width), "slides", marks)


def stages_plot(slides: Iterable[Sequence[tuple[str, float]]]) -> Plot | None:
    """Seconds by stage, over all slides; None where none were clocked."""
    stages: dict[str, StageTime] = {}
    for timed in slides:
        for name, seconds in timed:
            stages.setdefault(name, StageTime(name)).seconds += seconds
    return time_plot(stages.values(), "stages", "How long each stage took, over all slides.")


def _nice(width: float) -> float:
    """The least of 1, 2, 5, 10, ... (and their tenths) that is no less."""
    if width <= 0:
        return 1.0
    power = 10.0 ** np.floor(np.log10(width))
    return float(next(step * power for step in (1, 2, 5, 10) if step * power >= width * (1 - 1e-9)))
