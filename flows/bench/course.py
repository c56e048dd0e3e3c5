"""All benchmarks, one after another; one that fails hides no other."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from flows.bench import masking, networks, nuclei, reading, stitching, storing, whole_run
from flows.bench.measurement import Measurement, Trial
from flows.bench.subject import Subject
from models.errors import ModelError
from pipeline.errors import ConfigError, HistoloomError

_BENCHMARKS: tuple[Callable[[Subject], Iterator[Trial]], ...] = (
    reading.trials, storing.trials, masking.trials, networks.trials, nuclei.trials, stitching.trials, whole_run.trials,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which rows are measured: those that hold all words of any part; parts are parted by commas. All where empty."""

    words: str = ""

    def __call__(self, title: str) -> bool:
        """Whether a row is."""
        parts = [re.findall(r"\S+", part.lower()) for part in self.words.split(",")]
        named = [part for part in parts if part]
        return not named or any(all(word in title.lower() for word in part) for part in named)


@dataclass(frozen=True, slots=True)
class Failed:
    """Something that could not be measured."""

    title: str
    error: HistoloomError | ModelError


def chosen(subject: Subject, wanted: Wanted) -> list[Trial]:
    """What will be measured. Raises ConfigError where that is nothing."""
    everything = [trial for benchmark in _BENCHMARKS for trial in benchmark(subject)]
    left = [trial for trial in everything if any(map(wanted, trial.titles))]
    if not left:
        groups = dict.fromkeys(trial.group for trial in everything)
        msg = f"--only {wanted.words!r}: no row's name has these words"
        raise ConfigError(msg, f"Take a group ({', '.join(groups)}), or words that a row has: 'nuclei-unet bf16'.")
    return left


def measure(
    trials: Sequence[Trial], wanted: Wanted, tell: Callable[[str], None] = lambda title: None
) -> tuple[list[Measurement], list[Failed]]:
    """Measure; `tell` hears of what begins."""
    rows: list[Measurement] = []
    failed: list[Failed] = []
    for trial in trials:
        title = next(filter(wanted, trial.titles))
        tell(title)
        try:
            rows += (row for row in trial.measure() if wanted(row.title))
        except (HistoloomError, ModelError) as error:
            failed.append(Failed(title, error))
    return rows, failed
