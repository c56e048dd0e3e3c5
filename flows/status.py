"""How far each slide is: read from the files alone, so it also tells of runs in other processes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipeline.holder import is_held
from pipeline.output import SlideOutput, read_json


def slide_states(folder: Path) -> list[dict[str, Any]]:
    """One entry a slide: its state (`done`, `failed`, `unfinished`) and, per stage, batches done and in all."""
    partial = folder / ".partial"
    names = {path.parent.name for path in folder.glob("*/run.json")}
    names |= {path.name for path in partial.glob("[!.]*") if path.is_dir()}
    return [_state(SlideOutput(folder, name)) for name in sorted(names)]


def _state(output: SlideOutput) -> dict[str, Any]:
    begun = read_json(output.partial / "stages.json") or {}
    failure = read_json(output.partial / "failed.json")
    run = output.finished_run()
    if run is not None and read_json(output.partial / "plan.json") is None:
        state = {"state": "done", "counts": run.get("counts", {})}  # whatever was said of an earlier try
    elif failure is not None:
        state = {"state": "failed", "what": failure.get("what"), "cure": failure.get("cure")}
    else:
        state = {"state": "unfinished"}
    return {"slide": output.name, **state, "stages": [_stage(output, name, record) for name, record in begun.items()]}


def _stage(output: SlideOutput, name: str, record: dict[str, Any]) -> dict[str, Any]:
    from pipeline.ledger import Ledger

    done = len(Ledger(output.partial / "ledger" / name).done())
    return {"stage": name, "batches_done": done, "batches": record.get("batches"), "seconds": record.get("seconds")}


def holders(folder: Path) -> set[str]:
    """The slides that a process of this machine works on now: it holds their locks."""
    return {lock.name[1 : -len(".lock")] for lock in (folder / ".partial").glob(".*.lock") if is_held(lock)}
