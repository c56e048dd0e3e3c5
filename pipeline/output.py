"""The folder that results appear in: what lies under which name, and when.

DIR/<slide>/                 whole results, moved there in one step when the last file is written
DIR/.partial/<slide>/        a slide being worked on, or interrupted, or failed (`failed.json` says why)
DIR/.partial/.<slide>.lock   held by the process that works on the slide
DIR/.partial/.<slide>.old    results that others have taken the place of, being removed

No slide's name begins with a dot, so that these never meet. A folder is begun with a plan: the slide, every setting,
the hashes of the networks. Another plan never mixes with its tiles: `PlanChanged` says what differs. What is written in
which order, and why: docs/explanation/commit-protocol.md.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from pipeline.config import SlideConfig
from pipeline.durable import make_folder, sync_folder, whole_or_absent
from pipeline.errors import HistoloomError, PlanChanged, ResourceLost, StoreBusy, StoreError
from pipeline.fence import FENCE, alone
from pipeline.object_url import Place
from pipeline.secrets import redacted
from pipeline.torn import sweep_drafts

Plan = Mapping[str, Any]

# Files of a partial folder that are no result.
_SCAFFOLD = (
    "ledger", "tissue.npz", "flags.npz", "flagged.npz", "worked.npz", "plan.json", "begun.json", "stages.json",
    "failed.json", FENCE,
)  # fmt: skip

THUMBNAIL = "thumbnail.jpg"

COHORT_FILES = ("cohort.parquet", "report.html")
"""What lies beside the slides' folders, about all of them."""

_RESULTS = {
    "nuclei.parquet", "nuclei.geojson.gz", "patches.parquet", "preview.png", THUMBNAIL, "report.html", "run.json",
}  # fmt: skip


def is_result(path: str, slide: str) -> bool:
    """Whether a file of this path, below a slide's folder, can be a result of histoloom."""
    return path in _RESULTS or path.startswith(f"{slide}.ome.zarr/")


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
        lock = FileLock(self._beside("lock"))
        try:
            lock.acquire(timeout=0)
        except Timeout as error:
            msg = f"{self.name}: another process is working on {self.partial}"
            raise StoreBusy(msg, "Wait until it is through, or stop it; then run the same command again.") from error
        try:
            yield
        finally:
            # While it is held: one who waits for a lock without a name finds out, and takes a new one.
            Path(lock.lock_file).unlink(missing_ok=True)
            lock.release()

    def recover(self) -> None:
        """Make good what a process left that was killed while it gave results their name."""
        self.publish()
        shutil.rmtree(self._beside("old"), ignore_errors=True)

    def begin(self, plan: Plan, *, force: bool = False) -> str:
        """Make the partial folder for a plan, or go on in the one that was begun with the same plan.

        Returns what the folder's fence says: only a `Workspace` with these words may write in it.

        Raises
        ------
        PlanChanged
            if it was begun with another plan
        StoreError
            if results would take the place of something that is no result, such as the folder of an MRXS slide
        """
        if self.final.exists() and self.finished_run() is None:
            msg = f"{self.final}: is there already, and holds no results of histoloom"
            raise StoreError(msg, "Give another --out, or move that away.")
        begun = read_json(self.partial / "plan.json")
        if begun is None or force:  # what no plan is known of cannot be gone on with
            self.discard_partial()
        else:
            refuse_other_plan(begun, plan, self.partial)
        make_folder(self.partial)
        fence = self.partial / FENCE
        with alone(self.partial):
            self._sweep()
            if not fence.is_file():
                with whole_or_absent(fence) as draft:
                    draft.write_text(hashlib.sha256(json.dumps(plan, sort_keys=True).encode()).hexdigest(), "ascii")
            if read_json(self.partial / "plan.json") is None:
                write_json(self.partial / "plan.json", plan)
        return fence.read_text("ascii")

    def begun_by(self) -> Mapping[str, str]:
        """What computes each network in the folder that was begun, by its name; nothing without one."""
        computing = (read_json(self.partial / "plan.json") or {}).get("computing")
        said = computing.get("engines") if isinstance(computing, dict) else None
        return said if isinstance(said, dict) else {}

    def discard_partial(self) -> None:
        """Take the partial folder away, if there is one; in one step: half of one could be taken for the whole."""
        if self.partial.exists():
            with alone(self.partial):
                self.partial.rename(self._beside("old"))
        shutil.rmtree(self._beside("old"), ignore_errors=True)

    def discard_all(self) -> None:
        """Take whole and partial results away: neither can be taken for the other half, wherever this is stopped."""
        self.discard_partial()
        if self.final.exists():
            self.final.rename(self._beside("old"))
        shutil.rmtree(self._beside("old"), ignore_errors=True)

    def _sweep(self) -> None:
        """Remove what a killed process left half-written, and the failure that this run is to mend."""
        (self.partial / "failed.json").unlink(missing_ok=True)
        for draft in self.partial.glob(".*.tmp"):
            draft.unlink(missing_ok=True)
        sweep_drafts(self.partial / f"{self.name}.ome.zarr")

    def _beside(self, ending: str) -> Path:
        return self.partial.with_name(f".{self.name}.{ending}")

    def fail(self, path: Place, error: HistoloomError) -> None:
        """Write down why the slide failed; what it committed stays for the next run."""
        self.partial.mkdir(parents=True, exist_ok=True)
        failure = {"format": 1, "name": self.name, "path": redacted(str(path)), "error": type(error).__name__}
        failure["may_pass"] = isinstance(error, (ResourceLost, StoreBusy))
        write_json(self.partial / "failed.json", {**failure, "what": error.what, "cure": error.cure})

    def finish(self, run: Mapping[str, Any]) -> None:
        """Give the results their final name. `run.json` is written last of all; a crash in here loses nothing."""
        write_json(self.partial / "run.json", run)
        self.publish()

    def publish(self) -> bool:
        """Move results that are whole to their final name; False when they are not whole yet."""
        if read_json(self.partial / "run.json") is None:
            return False
        old = self._beside("old")
        shutil.rmtree(old, ignore_errors=True)
        with alone(self.partial):
            sweep_drafts(self.partial / f"{self.name}.ome.zarr")  # of workers that died while others went on
            for entry in _SCAFFOLD:
                path = self.partial / entry
                shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
            sync_folder(self.partial)  # else a power cut might bring back what was removed, under the final name
            if self.final.exists():
                self.final.rename(old)
            self.partial.rename(self.final)
        sync_folder(self.root)
        sync_folder(self.partial.parent)
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
        f"{key} was {_said(before.get(key))}, now {_said(now.get(key))}"
        for key in sorted(before.keys() | now.keys())
        if before.get(key) != now.get(key)
    ]
    if changes:
        msg = f"{folder}: begun with other settings: {'; '.join(changes)}"
        raise PlanChanged(msg, "Start over with --force, or give another --out.")


def _said(value: object) -> str:
    """A setting in an error, as a person would write it."""
    if isinstance(value, list | tuple):
        return ", ".join(map(_said, value)) or "none"
    return "unset" if value is None else repr(value)


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
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    with whole_or_absent(path) as draft:  # names of files may be bytes that are no text
        draft.write_text(text, encoding="utf-8", errors="backslashreplace")
