"""Which batches of a stage are left to do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pipeline.batch import Batch, Job
from pipeline.grid import Tile

# What is left is cut so that as many workers find a batch each. A batch costs 10 ms to commit.
_SHARED_BY = 8


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
    """Cut tiles, in their order, into numbered batches: small ones at the end, so that all workers end together."""
    laid = tuple(tiles)
    number = begin = 0
    while begin < len(laid):
        end = begin + max(1, min(batch_tiles, (len(laid) - begin) // _SHARED_BY))
        yield Batch(number, laid[begin:end])
        number, begin = number + 1, end


def plan_stage(job: Job) -> StagePlan:
    """Lay the stage's tiles, number its batches, leave out what is committed."""
    batches = tuple(number_batches(job.stage.tiles(job.workspace.tissue), job.stage.batch_tiles))
    done = job.workspace.ledger(job.stage.name).done()
    return StagePlan(job, len(batches), tuple(batch for batch in batches if batch.number not in done))
