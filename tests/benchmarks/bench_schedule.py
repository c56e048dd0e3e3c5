"""What a batch costs beside its work, on a real dask scheduler: `python -m tests.benchmarks.bench_schedule`.

The scheduler, each worker and this driver are processes of their own; the code between them is the one that runs
slides (`plan_stage`, `Workers`, `run_parcel`, the ledger). Batches are stand-ins that wait, hold memory, write one row.

    --batches 100000 --workers 2                            overhead, memory of the driver and of the scheduler
    --batches 20000 --workers 4 --threads 25 --seconds 1    a hundred GPUs of one second a batch
    --batches 400 --workers 2 --hold-mib 128 --spread 10    stragglers that hold memory
"""

from __future__ import annotations

import argparse
import json
import pickle
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from pipeline.batch import BatchDone, Job
from pipeline.geometry import Frame
from pipeline.plan import plan_stage
from pipeline.remote import Parcel
from pipeline.schedule import Workers, Workforce
from pipeline.tissue import TissueMask
from pipeline.workspace import SlideRef, Workspace
from tests.benchmarks.stand_in_stage import CORE_PX, StandIn
from tests.pipeline.dask_processes import DaskProcesses

BAR_MS = 5.0


@dataclass(slots=True)
class Watch:
    """Looks at the processes while batches come in."""

    driver: psutil.Process
    scheduler: psutil.Process
    workers: list[psutil.Process]
    every: int
    done: int = 0
    rows: list[dict[str, float]] = field(default_factory=list)
    begun: float = field(default_factory=time.perf_counter)

    def __call__(self, _: BatchDone) -> None:
        self.done += 1
        if self.done % self.every == 0:
            self.look()

    def look(self) -> None:
        """Note memory, in MiB."""
        mib = {name: process.memory_info().rss / 2**20 for name, process in
               (("driver", self.driver), ("scheduler", self.scheduler))}  # fmt: skip
        most = max(worker.memory_info().rss for worker in self.workers) / 2**20
        row = {"done": self.done, "seconds": time.perf_counter() - self.begun, **mib, "hungriest worker": most}
        self.rows.append(row)
        print(json.dumps({name: round(value, 1) for name, value in row.items()}), flush=True)


def measure(given: argparse.Namespace, processes: DaskProcesses, folder: Path) -> dict[str, Any]:
    """Run all batches; return what they cost."""
    stage = StandIn(given.batches, given.seconds, given.spread, given.hold_mib)
    workspace = Workspace(folder, "slide", SlideRef(folder / "none.svs", None, "auto", 0.25))
    TissueMask.everything(Frame(CORE_PX, CORE_PX, 0.25)).save(workspace.tissue_path)
    begun = time.perf_counter()
    plan = plan_stage(Job(workspace, stage))
    planned = time.perf_counter() - begun
    parcel = Parcel.of(plan.job)
    scheduler, *crew = (psutil.Process(process.pid) for process in processes.running)
    watch = Watch(psutil.Process(), scheduler, crew, every=max(1, len(plan.left) // 10))
    cpu = sum(watch.driver.cpu_times()[:2])
    with Workers(Workforce(scheduler=processes.address)) as workers:
        watch.look()
        workers.run(plan, watch)
    seconds = time.perf_counter() - watch.begun
    batches = len(plan.left)
    ideal = batches * given.seconds * (0.9 + 0.1 * given.spread) / (given.workers * given.threads)
    scheduler_cpu = sum(watch.scheduler.cpu_times()[:2])
    return {
        "batches": batches, "planned_s": planned, "seconds": seconds, "ms_per_batch": 1000 * seconds / batches,
        "batches_per_s": batches / seconds, "ideal_s": ideal, "efficiency": ideal / seconds if ideal else None,
        "driver_cpu_ms_per_batch": 1000 * (sum(watch.driver.cpu_times()[:2]) - cpu) / batches,
        "scheduler_cpu_ms_per_batch": 1000 * scheduler_cpu / batches,
        "bytes_per_message": len(pickle.dumps((parcel, tuple(plan.left[:16])))),
        "committed": len(workspace.ledger(stage.name).done()),
    }  # fmt: skip


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, default=2000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=0.0)
    parser.add_argument("--spread", type=float, default=1.0)
    parser.add_argument("--hold-mib", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, DaskProcesses(Path(name)) as processes:
        processes.start_scheduler()
        for _ in range(given.workers):
            processes.start_worker(threads=given.threads)
        processes.wait_for_workers(given.workers)
        (Path(name) / "work").mkdir()
        found = measure(given, processes, Path(name) / "work")
    print(json.dumps({key: round(value, 3) if isinstance(value, float) else value for key, value in found.items()}))
    if not given.seconds:
        verdict = "within" if found["ms_per_batch"] <= BAR_MS else "over"
        print(f"{found['ms_per_batch']:.2f} ms a batch: {verdict} the bar of {BAR_MS:g} ms")


if __name__ == "__main__":
    main()
