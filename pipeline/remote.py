"""Batches on their way to a worker: the job packed once a stage, and unpacked only where the same code is installed.

What travels is a job, pickled once, and the batches' tiles. The job is opened by a function that first compares
installations: another histoloom might misread it, or write other pixels beside those that are there.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from pipeline.batch import Batch, BatchDone, Job, run_batch
from pipeline.errors import WorkerDiffers
from pipeline.installation import differences, installation


@dataclass(frozen=True, slots=True)
class Parcel:
    """A job as it travels."""

    installation: Mapping[str, str]
    job: bytes
    """Pickled by the driver, for its own workers alone; nothing that comes from outside is ever unpickled."""

    @classmethod
    def of(cls, job: Job) -> Parcel:
        """Pack a job with what is installed here."""
        return cls(dict(installation()), pickle.dumps(job))


def run_parcel(parcel: Parcel, batches: tuple[Batch, ...]) -> tuple[BatchDone, ...]:
    """Do batches on a worker, one after the other, each committed before the next is begun.

    Raises
    ------
    WorkerDiffers
        before anything is unpacked, if something else is installed here than where the run was started
    """
    different = differences(parcel.installation, installation())
    if different:
        msg = f"worker {_worker_name()}: not the same installation: {', '.join(different)}"
        cure = "Install the same on every worker (one image, or constraints.txt) and run the command again; it goes on."
        raise WorkerDiffers(msg, cure)
    job = _unpacked(parcel.job)
    return tuple(run_batch(job, batch) for batch in batches)


@lru_cache(maxsize=4)
def _unpacked(job: bytes) -> Job:
    unpacked: Job = pickle.loads(job)
    return unpacked


def _worker_name() -> str:
    from distributed import get_worker

    return str(get_worker().address)
