"""Many slides, one after another; one that fails is a row in the report, and the others go on."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from flows.devices import device_and_precision
from flows.networks import card_for, choose_networks
from flows.places import find_slides, place_name, staging_at
from flows.progress import Progress
from flows.slide import SlideTask, process_slide
from models.errors import ModelError
from pipeline.config import CohortConfig
from pipeline.disk import as_disk_full
from pipeline.errors import ConfigError, HistoloomError, ResourceLost, SlideError, StorageRefused, Unforeseen
from pipeline.object_url import ObjectUrl, Place, parse_place
from pipeline.output import SlideOutput, tidy
from pipeline.schedule import Workers, Workforce
from pipeline.secrets import redacted
from pipeline.staging import Staging

PAGES = "cohort.parquet"
"""Stands for the cohort's table and page among its outcomes, where they could not be written."""


@dataclass(frozen=True, slots=True)
class SlideOutcome:
    """How it went with one slide."""

    name: str
    path: Place
    run: Mapping[str, Any] | None = None
    error: HistoloomError | None = None


@dataclass(frozen=True, slots=True)
class Cohort:
    """Slides, where their results go, and what is done to each."""

    slides: tuple[Place, ...]
    out: Path
    config: CohortConfig
    force: bool = False
    staging: Staging = field(default_factory=staging_at)
    published: ObjectUrl | None = None
    """Where whole results go from `out`, slide by slide; None where `out` is where they stay."""

    @property
    def place(self) -> Place:
        """Where results stand in the end."""
        return self.published or self.out


Attempt = Callable[[Cohort, Place, str | None, Workers, Progress], SlideOutcome]
"""Works on one slide of a cohort, called by its name (None where an earlier slide has that name); never raises."""


def arrange(
    slides: Iterable[str], out: str, config: CohortConfig, staging: Staging | None = None, *, force: bool = False
) -> Cohort:
    """Return a cohort from the paths, globs and URLs of its slides, and the folder or URL that its results go to.

    Raises ConfigError where there is no slide, or a URL is none that is known.
    """
    return bound_for(out, find_slides(slides), config, staging, force=force)


def bound_for(
    out: str, slides: tuple[Place, ...], config: CohortConfig, staging: Staging | None = None, *, force: bool = False
) -> Cohort:
    """Return a cohort whose results go to a folder or a URL. Raises ConfigError where the URL is none that is known.

    Results for a URL grow in a folder of `staging` that is always the same, so that a second call goes on there.
    """
    staging, place = staging or staging_at(), parse_place(out)
    if isinstance(place, Path):
        return Cohort(slides, place, config, force, staging)
    return Cohort(slides, staging.results(place), config, force, staging, published=place)


def process_cohort(
    cohort: Cohort, workforce: Workforce, progress: Progress, attempt: Attempt | None = None
) -> list[SlideOutcome]:
    """Work on every slide, then write the cohort's table and page.

    `attempt` works on one slide without ever raising; by default it is `try_slide`.

    Raises
    ------
    ConfigError, BundleError, DeviceError
        when the settings can hold for no slide at all; then nothing was started
    """
    prepare(cohort, workforce)
    outcomes = []
    with Workers(workforce) as workers, progress:
        progress.cohort("started", slides=len(cohort.slides), out=redacted(str(cohort.place)))
        for path, name in _named(cohort.slides):
            outcomes.append((attempt or try_slide)(cohort, path, name, workers, progress))
    outcomes += try_pages(cohort, progress)
    tidy(cohort.out)
    return outcomes


def prepare(cohort: Cohort, workforce: Workforce) -> None:
    """Make the folder for results, and reach the bucket.

    Raises ConfigError, BundleError or DeviceError when the settings can hold for no slide at all.
    """
    _make_folder(cohort.out)
    if cohort.published:
        from flows.publishing import refuse_unreachable

        refuse_unreachable(cohort.published)
    settings = cohort.config.slide
    if settings.sr not in ("auto", "none"):
        card_for(settings.sr, "superresolution")  # whether it fits is a matter of each slide's own um/px
    choose_networks(replace(settings, sr="none"), factor=1)
    if settings.device not in ("auto", "cpu"):
        device_and_precision(settings, workforce)


def try_pages(cohort: Cohort, progress: Progress) -> list[SlideOutcome]:
    """Write the cohort's table and page; what a night has done is not lost to a full disk or to expired credentials.

    Returns an outcome of their own where they cannot be written.
    """
    try:
        write_pages(cohort)
    except (ResourceLost, StorageRefused) as error:
        progress.slide(PAGES, "failed", reason=error.what, cure=error.cure)
        return [SlideOutcome(PAGES, cohort.place, error=error)]
    return []


def write_pages(cohort: Cohort) -> None:
    """Write the cohort's table and page where its results stand."""
    if cohort.published:
        from flows.publishing import publish_cohort

        publish_cohort(cohort.published)
    else:
        from pipeline.cohort import write_cohort

        write_cohort(cohort.out)


def try_slide(cohort: Cohort, path: Place, name: str | None, workers: Workers, progress: Progress) -> SlideOutcome:
    """Work on one slide; whatever is wrong with it becomes part of the outcome."""
    if name is None:
        name = place_name(path)
        msg = f"{path}: another slide of this cohort is called {name} too; their results would meet in one folder"
        error = SlideError(msg, "Rename one of the files, or run it into another --out.")
        told_as = SlideOutput(cohort.out, f"{name}~{path_digest(path)}")
        progress.slide(told_as.name, "failed", reason=error.what, cure=error.cure)
        tell_failure(cohort, told_as, path, error)
        return SlideOutcome(name, path, error=error)
    output = SlideOutput(cohort.out, name)
    failure: HistoloomError
    try:
        task = SlideTask(path, output, cohort.config.of(name), cohort.force, cohort.staging, cohort.config.budget)
        return SlideOutcome(name, path, run=_process(task, cohort.published, workers, progress))
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
    tell_failure(cohort, output, path, failure)
    progress.slide(name, "failed", reason=failure.what, cure=failure.cure)
    return SlideOutcome(name, path, error=failure)


def _process(task: SlideTask, published: ObjectUrl | None, workers: Workers, progress: Progress) -> Mapping[str, Any]:
    if published is None:
        return process_slide(task, workers, progress)
    from flows.publishing import process_and_publish

    return process_and_publish(task, published, workers, progress)


def tell_failure(cohort: Cohort, output: SlideOutput, path: Place, failure: HistoloomError) -> None:
    """Write down why a slide failed, here and where its results would be published."""
    with suppress(OSError):  # a full disk is no reason to lose the other slides
        output.fail(path, failure)
    if cohort.published:
        from flows.publishing import publish_failure

        publish_failure(cohort.published, output, failure)


def path_digest(path: Place) -> str:
    """A few characters that tell files of one name apart."""
    whole = path.resolve() if isinstance(path, Path) else path
    return hashlib.sha256(str(whole).encode()).hexdigest()[:8]


def _named(slides: Sequence[Place]) -> Iterable[tuple[Place, str | None]]:
    """Slides and the names of their folders; None where an earlier slide has the name already."""
    taken: set[str] = set()
    for path in slides:
        name = place_name(path)
        yield path, None if name in taken else name
        taken.add(name)


def _make_folder(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        msg = f"{out}: cannot be made: {error.strerror or error}"
        raise ConfigError(msg, "Give another --out.") from error
