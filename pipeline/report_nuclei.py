"""What a slide's page shows of its table of nuclei: how large they are, and how sure the network was."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pipeline.plot import Plot
from pipeline.plots import Mark, Scale, histogram
from pipeline.report_facts import Row
from pipeline.summary import summarise_areas, summarise_probabilities


@dataclass(frozen=True, slots=True)
class Spread:
    """How a measurement is spread over the nuclei."""

    plot: Plot
    facts: tuple[Row, ...]


def sizes(path: Path) -> Spread | None:
    """The areas in a nuclei.parquet; None where it holds no nucleus."""
    areas = summarise_areas(path)
    if areas is None:
        return None
    half = f"{areas.lower_um2:.1f} to {areas.upper_um2:.1f} µm²"
    alt = (
        f"Histogram of the areas of {areas.count:,} nuclei: the median is {areas.median_um2:.1f} µm², "
        f"the middle half lies between {half}."
    )
    marks = [
        Mark(areas.lower_um2, "", areas.upper_um2),
        Mark(areas.median_um2, f"median {areas.median_um2:.1f} µm²; middle half shaded"),
    ]
    scale = Scale("area of a nucleus, µm²", areas.bar_um2, open_end=True)
    facts = (("Median area", f"{areas.median_um2:.1f} µm²"), ("Middle half of the areas", half))
    return Spread(histogram("sizes", alt, areas.bars, scale, "nuclei", marks), facts)


def sureness(path: Path) -> Spread | None:
    """How sure the network was of the nuclei in a nuclei.parquet; None where it holds no nucleus."""
    found = summarise_probabilities(path)
    if found is None:
        return None
    median, tenth = found.quantile(0.5), found.quantile(0.1)
    alt = (
        f"Histogram of the probabilities of {found.total:,} nuclei, from 0 to 1: the median is {median:.2f}, "
        f"a tenth of them lies below {tenth:.2f}."
    )
    scale = Scale("mean probability over the nucleus's pixels", found.width)
    plot = histogram("sureness", alt, found.counts.tolist(), scale, "nuclei", [Mark(median, f"median {median:.2f}")])
    return Spread(plot, (("Median probability", f"{median:.2f}; a tenth lies below {tenth:.2f}"),))
