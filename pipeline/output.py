"""The folder that results appear in: what lies under which name, and when.

DIR/<slide>/                whole results, moved there in one step when the last file is written
DIR/.partial/<slide>/       a slide being worked on, or interrupted, or failed (`failed.json` says why)
DIR/.partial/<slide>.lock   held by the process that works on the slide

A folder is begun with a plan: the slide, every setting, the hashes of the networks. Another plan never mixes with its
tiles: `PlanChanged` says what differs.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from pipeline.config import SlideConfig
from pipeline.errors import HistoloomError, PlanChanged, StoreBusy
from pipeline.object_url import Place

Plan = Mapping[str, Any]

# Files of a partial folder that are no result.
_SCAFFOLD = ("ledger", "tissue.npz", "plan.json", "stages.json", "failed.json")


@dataclass(frozen=True, slots=True)
class SlideOutput:
    """Where one slide's results grow and where they end up."""

    root: Path
    name: str

    @property
    def final(self) -> Path:
        """Whole results."""
        return self.root / self.name

    @property
    def partial(self) -> Path:
        """Results that grow."""
        return self.root / ".partial" / self.name

    def finished_run(self) -> dict[str, Any] | None:
        """The `run.json` of whole results, where there are any."""
        return read_json(self.final / "run.json")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the slide against other processes; freed by the system when this process dies."""
        self.partial.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.partial.with_name(f"{self.name}.lock"))
        try:
            with lock.acquire(timeout=0):
                yield
        except Timeout as error:
            msg = f"{self.name}: another process is working on {self.partial}"
            raise StoreBusy(msg, "Wait until it is through, or stop it; then run the same command again.") from error
        finally:
            Path(lock.lock_file).unlink(missing_ok=True)

    def begin(self, plan: Plan, *, force: bool = False) -> None:
        """Make the partial folder for a plan, or go on in the one that was begun with the same plan."""
        if force:
            shutil.rmtree(self.partial, ignore_errors=True)
        begun = read_json(self.partial / "plan.json")
        if begun is not None:
            refuse_other_plan(begun, plan, self.partial)
        self.partial.mkdir(parents=True, exist_ok=True)
        (self.partial / "failed.json").unlink(missing_ok=True)
        if begun is None:
            write_json(self.partial / "plan.json", plan)

    def fail(self, path: Place, error: HistoloomError) -> None:
        """Write down why the slide failed; what it committed stays for the next run."""
        self.partial.mkdir(parents=True, exist_ok=True)
        failure = {"format": 1, "name": self.name, "path": str(path), "error": type(error).__name__}
        write_json(self.partial / "failed.json", {**failure, "what": error.what, "cure": error.cure})

    def finish(self, run: Mapping[str, Any]) -> None:
        """Give the results their final name. `run.json` is written last of all; a crash in here loses nothing."""
        write_json(self.partial / "run.json", run)
        self.publish()

    def publish(self) -> bool:
        """Move results that are whole to their final name; False when they are not whole yet."""
        if not (self.partial / "run.json").is_file():
            return False
        for entry in _SCAFFOLD:
            path = self.partial / entry
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
        old = self.partial.with_name(f"{self.name}.old")
        shutil.rmtree(old, ignore_errors=True)
        if self.final.exists():
            self.final.rename(old)
        self.partial.rename(self.final)
        shutil.rmtree(old, ignore_errors=True)
        return True


def tidy(root: Path) -> None:
    """Take the folder of partial results away when nothing is in it."""
    with suppress(OSError):
        (root / ".partial").rmdir()


def refuse_other_plan(begun: Plan, plan: Plan, folder: Path | str) -> None:
    """Raise `PlanChanged` with what differs between the plan that a folder was begun with and the one asked for."""
    # a folder that was begun before a setting existed was begun with what is now its default
    now, defaults = _flat(plan), _flat({"settings": SlideConfig().as_dict()})
    before = {key: value for key, value in defaults.items() if key in now} | _flat(begun)
    changes = [
        f"{key} was {before.get(key)!r}, now {now.get(key)!r}"
        for key in sorted(before.keys() | now.keys())
        if before.get(key) != now.get(key)
    ]
    if changes:
        msg = f"{folder}: begun with other settings: {'; '.join(changes)}"
        raise PlanChanged(msg, "Start over with --force, or give another --out.")


def _flat(plan: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(plan, Mapping):
        return {prefix: plan}
    parts = (_flat(part, f"{prefix}.{name}".strip(".")) for name, part in plan.items())
    return {key: value for part in parts for key, value in part.items()}


def read_json(path: Path) -> dict[str, Any] | None:
    """The object in a JSON file; None where there is no file, or no whole one."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file in one step."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    draft.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    draft.replace(path)
