"""How long each stage took, and what went through it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pipeline.plot import Plot
from pipeline.plots import named_bars
from pipeline.record import Record
from pipeline.report_facts import duration

# Stages that a person cares for together: dozens that make the coarser levels of layers, each of a moment; and one a
# level that draws what quality control flagged.
LOWER_LEVELS = "coarser levels"
_TOGETHER = {"pyramid/": LOWER_LEVELS, "quality-labels/": "quality-labels"}

# Fewer bars than this are read at a glance.
_MOST_BARS = 12


@dataclass(slots=True)
class StageTime:
    """One stage, or several together; None where the record does not say."""

    name: str
    seconds: float = 0.0
    tiles: int | None = None
    megapixels: float | None = None

    def add(self, stage: Record) -> None:
        """Count one more record in."""
        self.seconds += max(0.0, stage.number("seconds") or 0.0)
        if (tiles := stage.count("tiles")) is not None:
            self.tiles = (self.tiles or 0) + tiles
        if (megapixels := stage.number("megapixels")) is not None:
            self.megapixels = (self.megapixels or 0.0) + max(0.0, megapixels)

    def cells(self) -> tuple[str, ...]:
        """Tiles, megapixels, time, tiles a second and megapixels a second, in words."""
        timed = self.seconds > 0
        return (
            "–" if self.tiles is None else f"{self.tiles:,}",
            "–" if self.megapixels is None else f"{self.megapixels:,.1f}",
            duration(self.seconds),
            f"{self.tiles / self.seconds:,.3g}" if timed and self.tiles is not None else "–",
            f"{self.megapixels / self.seconds:,.3g}" if timed and self.megapixels is not None else "–",
        )


def stage_times(record: Record) -> list[StageTime]:
    """The stages of a run in their order, those of levels together; coarser levels last."""
    stages: dict[str, StageTime] = {}
    for stage in record.records("timings", "stages"):
        name = stage.text("name", limit=60)
        name = next((whole for part, whole in _TOGETHER.items() if name.startswith(part)), name)
        stages.setdefault(name, StageTime(name)).add(stage)
    return sorted(stages.values(), key=lambda stage: stage.name == LOWER_LEVELS)


def time_plot(stages: Iterable[StageTime], name: str, alt: str) -> Plot | None:
    """Seconds by stage, longest first; None where there are none."""
    timed = sorted((stage for stage in stages if stage.seconds > 0), key=lambda stage: -stage.seconds)
    if not timed:
        return None
    rest = StageTime(f"{len(timed) - _MOST_BARS + 1} others", sum(stage.seconds for stage in timed[_MOST_BARS - 1 :]))
    shown = timed if len(timed) <= _MOST_BARS else [*timed[: _MOST_BARS - 1], rest]
    total = sum(stage.seconds for stage in timed)
    entries = [
        (stage.name, stage.seconds, f"{duration(stage.seconds)}, {_percent(stage.seconds / total)}") for stage in shown
    ]
    return named_bars(name, alt, entries, "time")


def _percent(share: float) -> str:
    return f"{share:.0%}" if share >= 0.005 else "<1%"
