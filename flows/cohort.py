"""Many slides, one after another; one that fails is a row in the report, and the others go on."""

from __future__ import annotations

import glob
import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from flows.networks import choose_networks
from flows.progress import Progress
from flows.slide import SlideTask, process_slide
from models.errors import ModelError
from pipeline.config import CohortConfig
from pipeline.disk import as_disk_full
from pipeline.errors import ConfigError, DiskFull, HistoloomError, ResourceLost, SlideError, Unforeseen
from pipeline.output import SlideOutput, tidy
from pipeline.schedule import Workers, Workforce
from pipeline.slide import slide_name

_PICTURES = {".png", ".jpg", ".jpeg", ".bmp", ".webp"}
_SLIDES = {
    ".svs",
    ".tif",
    ".tiff",
    ".ndpi",
    ".mrxs",
    ".scn",
    ".vms",
    ".vmu",
    ".bif",
    ".svslide",
    ".dcm",
    ".czi",
    ".vsi",
}
ENDINGS = frozenset(_SLIDES | _PICTURES)
"""Of the files in a folder that count as slides."""


@dataclass(frozen=True, slots=True)
class SlideOutcome:
    """How it went with one slide."""

    name: str
    path: Path
    run: Mapping[str, Any] | None = None
    error: HistoloomError | None = None


@dataclass(frozen=True, slots=True)
class Cohort:
    """Slides, where their results go, and what is done to each."""

    slides: tuple[Path, ...]
    out: Path
    config: CohortConfig
    force: bool = False


Attempt = Callable[[Cohort, Path, str | None, Workers, Progress], SlideOutcome]
"""Works on one slide of a cohort, called by its name (None where an earlier slide has that name); never raises."""


def find_slides(patterns: Iterable[str]) -> tuple[Path, ...]:
    """The files that paths, folders and globs name, each once, in the order given and by name within a folder.

    Raises
    ------
    ConfigError
        if there is none at all. A path that names no file is kept, so that it becomes a row with a reason.
    """
    found: dict[Path, None] = {}
    for pattern in patterns:
        path = Path(pattern).expanduser()
        if path.is_dir():
            inside = (entry for entry in sorted(path.iterdir()) if entry.suffix.lower() in ENDINGS)
            found |= dict.fromkeys(inside)
        elif path.exists() or not glob.has_magic(pattern):
            found[path] = None
        else:
            matches = glob.glob(str(path), recursive=True)  # noqa: PTH207 - Path.glob takes no absolute pattern
            found |= dict.fromkeys(Path(match) for match in sorted(matches))
    if not found:
        msg = f"no slides at {', '.join(patterns)}"
        raise ConfigError(msg, "Name slide files, folders that hold some, or a glob such as 'slides/*.svs'.")
    return tuple(found)


def process_cohort(
    cohort: Cohort, workforce: Workforce, progress: Progress, attempt: Attempt | None = None
) -> list[SlideOutcome]:
    """Work on every slide, then write the cohort's table and page.

    `attempt` works on one slide without ever raising; by default it is `try_slide`.

    Raises
    ------
    ConfigError, BundleError
        when the settings can hold for no slide at all; then nothing was started
    """
    from pipeline.cohort import write_cohort

    prepare(cohort)
    outcomes = []
    with Workers(workforce) as workers, progress:
        for path, name in _named(cohort.slides):
            outcomes.append((attempt or try_slide)(cohort, path, name, workers, progress))
    try:
        write_cohort(cohort.out)
    except DiskFull as error:  # that its table cannot be written is no more news where slides failed of the same
        if not any(outcome.error for outcome in outcomes):
            raise
        progress.slide("cohort.parquet", "failed", reason=error.what, cure=error.cure)
    tidy(cohort.out)
    return outcomes


def prepare(cohort: Cohort) -> None:
    """Make the folder for results. Raises ConfigError or BundleError when the settings can hold for no slide at all."""
    _make_folder(cohort.out)
    choose_networks(replace(cohort.config.slide, sr="none"), factor=1)


def try_slide(cohort: Cohort, path: Path, name: str | None, workers: Workers, progress: Progress) -> SlideOutcome:
    """Work on one slide; whatever is wrong with it becomes part of the outcome."""
    if name is None:
        name = slide_name(path)
        msg = f"{path}: another slide of this cohort is called {name} too; their results would meet in one folder"
        error = SlideError(msg, "Rename one of the files, or run it into another --out.")
        progress.slide(name, "failed", reason=error.what, cure=error.cure)
        SlideOutput(cohort.out, f"{name}~{path_digest(path)}").fail(path, error)
        return SlideOutcome(name, path, error=error)
    output = SlideOutput(cohort.out, name)
    failure: HistoloomError
    try:
        task = SlideTask(path, output, cohort.config.of(name), cohort.force, cohort.config.budget)
        return SlideOutcome(name, path, run=process_slide(task, workers, progress))
    except HistoloomError as error:
        failure = error
    except ModelError as error:
        failure = SlideError(error.what, error.cure)
    except OSError as error:
        failure = as_disk_full(error, output.partial, 4096) or ResourceLost(
            f"{path}: {error}", "Mend that (space, permissions, a lost disk), then run the command again."
        )
        failure.__cause__ = error
    except Exception as error:  # the night goes on whatever one slide does
        failure = Unforeseen(
            f"{path}: {type(error).__name__}: {error}",
            "This is a fault of histoloom: run the command again with --debug and report what it prints.",
        )
        failure.__cause__ = error
    with suppress(OSError):  # a full disk is no reason to lose the other slides
        output.fail(path, failure)
    progress.slide(name, "failed", reason=failure.what, cure=failure.cure)
    return SlideOutcome(name, path, error=failure)


def path_digest(path: Path) -> str:
    """A few characters that tell files of one name apart."""
    return hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:8]


def _named(slides: Sequence[Path]) -> Iterable[tuple[Path, str | None]]:
    """Slides and the names of their folders; None where an earlier slide has the name already."""
    taken: set[str] = set()
    for path in slides:
        name = slide_name(path)
        yield path, None if name in taken else name
        taken.add(name)


def _make_folder(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        msg = f"{out}: cannot be made: {error.strerror or error}"
        raise ConfigError(msg, "Give another --out.") from error
