"""Which batches of a stage are left to do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from pipeline.batch import Batch, Job
from pipeline.grid import Tile


@dataclass(frozen=True, slots=True)
class StagePlan:
    """A stage cut into batches, and those of them that no earlier run has committed."""

    job: Job
    batches: int
    left: tuple[Batch, ...]

    @property
    def name(self) -> str:
        """The stage's name."""
        return self.job.stage.name

    @property
    def tiles_left(self) -> int:
        """Tiles still to be done."""
        return sum(len(batch.tiles) for batch in self.left)


def number_batches(tiles: Iterable[Tile], batch_tiles: int) -> Iterator[Batch]:
    """Cut tiles, in their order, into numbered batches."""
    rest = iter(tiles)
    number = 0
    while chosen := tuple(islice(rest, batch_tiles)):
        yield Batch(number, chosen)
        number += 1


def plan_stage(job: Job) -> StagePlan:
    """Lay the stage's tiles, number its batches, leave out what is committed."""
    batches = tuple(number_batches(job.stage.tiles(job.workspace.tissue), job.stage.batch_tiles))
    done = job.workspace.ledger(job.stage.name).done()
    return StagePlan(job, len(batches), tuple(batch for batch in batches if batch.number not in done))
