"""The work as Prefect sees it: a flow a cohort, a task a slide, a log line a stage. Tiles are nobody's affair here.

The same functions as the command line's do the work; this module adds what a server gives: parameters that are checked
where they arrive, a state a slide, another try where the disk or the network gave way, a limit on time, pictures and a
log. What is done is written in the store, not in Prefect, so a run that is started again goes on where the last one
stopped.

The parameters of flows are described as Prefect reads them: their docstrings become the form of the pages.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from prefect import State, flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.states import Completed, Failed

from flows.artifacts import show_cohort, show_slide
from flows.cohort import (
    Cohort,
    SlideOutcome,
    arrange,
    bound_for,
    prepare,
    process_cohort,
    tell_failure,
    try_pages,
    try_slide,
)
from flows.deployed import Deployed
from flows.inbox import Policy
from flows.inbox_book import Book
from flows.parameters import FolderName, Minutes, Processes, Settings, Slides, Text, chosen_config
from flows.places import local_folder, place_name
from flows.progress import Progress, Quiet
from flows.slots import place_of_work, slot
from flows.watching import inbox_at, look_and_report
from pipeline.errors import HistoloomError, ResourceLost, SlideError, StoreBusy, Unforeseen
from pipeline.object_url import Place, parse_place
from pipeline.output import SlideOutput
from pipeline.schedule import Workers, Workforce


class RunLog(Quiet):
    """Tells the log of the Prefect run that is going on of slides and stages."""

    def slide(self, name: str, event: str, **facts: Any) -> None:
        """See `Progress`."""
        words = facts.get("reason") or ", ".join(f"{key} {value}" for key, value in facts.items())
        get_run_logger().info(f"{name}: {event}{f': {words}' if words else ''}")

    def stage(self, name: str, stage: str, tiles: int) -> None:
        """See `Progress`."""
        get_run_logger().info(f"{name}: stage {stage}, tiles to do: {tiles}")


def _may_pass(_task: Any, _run: Any, state: State[Any]) -> bool:
    """Whether another try may go well: a disk or a network gave way, not the slide, nor what is asked of it."""
    return isinstance(state.result(raise_on_failure=False), ResourceLost)


@task(
    name="slide",
    task_run_name="{path.name}",
    cache_policy=NO_CACHE,
    persist_result=False,
    retries=2,
    retry_delay_seconds=[30, 300],
    retry_condition_fn=_may_pass,
)
def process_slide_task(
    cohort: Cohort, path: Place, name: str | None, workers: Workers, progress: Progress
) -> SlideOutcome:
    """Work on one slide; what is wrong with it ends the task as Failed."""
    outcome = try_slide(cohort, path, name, workers, progress)
    if outcome.error is not None:
        raise outcome.error
    return outcome


@dataclass(frozen=True, slots=True)
class SlideAsTask:
    """Works on one slide of a cohort as a task; whatever ends it, the cohort goes on."""

    workforce: Workforce
    timeout_minutes: float | None = None
    results_url: str | None = None

    def __call__(
        self, cohort: Cohort, path: Place, name: str | None, workers: Workers, progress: Progress
    ) -> SlideOutcome:
        """See `flows.cohort.Attempt`."""
        work = process_slide_task.with_options(timeout_seconds=self.timeout_minutes and 60 * self.timeout_minutes)
        with slot(place_of_work(cohort.config.slide, self.workforce)):
            state = work(cohort, path, name, workers, progress, return_state=True)
        result = state.result(raise_on_failure=False)
        if isinstance(result, SlideOutcome):
            if result.run is not None:
                show_slide(cohort, result.name, result.run, self.results_url)
            return result
        if not isinstance(result, HistoloomError):
            result = self._unsaid(path, state)
            tell_failure(cohort, SlideOutput(cohort.out, name or place_name(path)), path, result)
        return SlideOutcome(name or place_name(path), path, error=result)

    def _unsaid(self, path: Place, state: State[Any]) -> SlideError:
        """What ended a task that could not say it itself."""
        if state.name == "TimedOut":
            msg = f"{path}: not done after {self.timeout_minutes:g} minutes"
            return SlideError(msg, "Give it more time (slide_timeout_minutes): the next run goes on from here.")
        msg = f"{path}: {state.name}: {state.message}"
        return Unforeseen(msg, "Look into the log of the task and of Prefect's server.")


@flow(
    name="cohort", description="Tiles, super-resolves, segments, classifies and stitches slides.", persist_result=False
)
def cohort(
    slides: Slides,
    out: Text,
    settings: Settings | None = None,
    config: Text | None = None,
    workers: Processes | None = None,
    scheduler: Text | None = None,
    force: bool = False,
    slide_timeout_minutes: Minutes | None = None,
    results_url: Text | None = None,
) -> State[Any]:
    """Work on a cohort; Failed, with the reasons, when a slide failed, after all others were worked on.

    Args:
        slides: Files, folders, globs and URLs; relative ones start at the folder that `prefect deploy` was called in.
        out: Folder or URL for the results; a folder by a path that every worker has.
        settings: Settings of every slide; what is left out stays as it is by default.
        config: A cohort's TOML file, as for `histoloom run --config`; `settings` stand above it.
        workers: Processes; 1: the threads of the run's own; 0: one thread; by default as `config` says, else 1.
        scheduler: A dask scheduler's address, tcp://HOST:PORT, to work there instead.
        force: Start over instead of going on where the last run stopped.
        slide_timeout_minutes: A slide that takes longer has failed; what it has done stays done.
        results_url: Where the folder `out` is served, for links to reports.
    """
    order = arrange(slides, out, chosen_config(settings, config), force=force)
    workforce = Workforce.choose(workers, scheduler, order.config.cluster)
    attempt = SlideAsTask(workforce, slide_timeout_minutes, results_url)
    outcomes = process_cohort(order, workforce, RunLog(), attempt)
    show_cohort(order, results_url)
    return _conclude(order.place, outcomes)


@flow(name="slide", description="One slide, as a run of its own.", persist_result=False)
def slide(
    slide: Text,
    out: Text,
    name: FolderName | None = None,
    settings: Settings | None = None,
    config: Text | None = None,
    workers: Processes | None = None,
    scheduler: Text | None = None,
    force: bool = False,
    slide_timeout_minutes: Minutes | None = None,
    results_url: Text | None = None,
    pages: bool = True,
) -> State[Any]:
    """Work on one slide; Failed, with the reason, when it failed.

    Args:
        slide: The slide's file or URL.
        out: Folder or URL for the results; a folder by a path that every worker has.
        name: Of the slide's folder in it; by default the file's name without its ending.
        settings: Settings of the slide; what is left out stays as it is by default.
        config: A cohort's TOML file, as for `histoloom run --config`; `settings` stand above it.
        workers: Processes; 1: the threads of the run's own; 0: one thread; by default as `config` says, else 1.
        scheduler: A dask scheduler's address, tcp://HOST:PORT, to work there instead.
        force: Start over instead of going on where the last run stopped.
        slide_timeout_minutes: If it takes longer it has failed; what it has done stays done.
        results_url: Where the folder `out` is served, for links to reports.
        pages: Whether to write the cohort's table and page anew; of many slides at once, each reads what all have done.
    """
    path = parse_place(slide)
    order = bound_for(out, (path,), chosen_config(settings, config), force=force)
    workforce = Workforce.choose(workers, scheduler, order.config.cluster)
    prepare(order, workforce)
    attempt = SlideAsTask(workforce, slide_timeout_minutes, results_url)
    with Workers(workforce) as crew:
        outcome = attempt(order, path, name or place_name(path), crew, RunLog())
    return _conclude(order.place, [outcome, *(try_pages(order, RunLog()) if pages else [])])


@flow(
    name="watch",
    description="Looks at an inbox once; slides that are new and whole are handed over.",
    persist_result=False,
)
def watch(
    inbox: Text,
    out: Text,
    settings: Settings | None = None,
    config: Text | None = None,
    workers: Processes | None = None,
    scheduler: Text | None = None,
    slide_timeout_minutes: Minutes | None = None,
    results_url: Text | None = None,
    settle_seconds: float = 30.0,
    retry_failed: bool = False,
    deployment: Text = "slide/local",
) -> State[Any]:
    """Look at an inbox once, on a schedule; every new slide that is whole becomes a run of `deployment`.

    Args:
        inbox: Folder, or URL of a bucket's prefix, that slides arrive in.
        out: Folder for the results, by a path that every worker has.
        settings: Settings of every slide; what is left out stays as it is by default.
        config: A cohort's TOML file, as for `histoloom run --config`; `settings` stand above it.
        workers: Processes of a slide's run; 1: its own threads; 0: one thread; by default as `config` says, else 1.
        scheduler: A dask scheduler's address, tcp://HOST:PORT, to work there instead.
        slide_timeout_minutes: A slide that takes longer has failed; what it has done stays done.
        results_url: Where the folder `out` is served, for links to reports.
        settle_seconds: So long nothing of a slide may change before it counts as whole.
        retry_failed: First let slides that failed have another try.
        deployment: Of the flow `slide`, by flow and name.
    """
    order = Cohort((), local_folder(out), chosen_config(settings, config))
    results = order.out
    given = {
        "settings": settings.model_dump(exclude_none=True) if settings else None, "config": config, "workers": workers,
        "scheduler": scheduler, "slide_timeout_minutes": slide_timeout_minutes, "results_url": results_url,
    }  # fmt: skip
    book = Book(results)
    hands = Deployed(results, deployment, given)
    try:
        if retry_failed:
            book.retry_failed()
        found = look_and_report(inbox_at(inbox, results), book, hands, Policy(settle_seconds))
    except StoreBusy as busy:
        return Completed(message=busy.what)
    if found.done or found.failed:
        show_cohort(order, results_url)
    return Completed(message=found.in_words())


def _conclude(out: Place, outcomes: list[SlideOutcome]) -> State[Any]:
    """A flow is Completed for Prefect whatever became of its tasks, unless it says otherwise itself."""
    failures = [f"{outcome.name}: {outcome.error.what}" for outcome in outcomes if outcome.error]
    where = f"see {out / 'report.html'}"
    if failures:
        return Failed(message="; ".join([f"slides failed: {len(failures)} of {len(outcomes)}, {where}", *failures]))
    return Completed(message=f"slides done: {len(outcomes)}, {where}")
