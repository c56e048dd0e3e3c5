"""The work as Prefect sees it: a flow a cohort, a task a slide, a log line a stage. Tiles are nobody's affair here.

The same functions as the command line's do the work; this module adds what a server gives: parameters that are checked
where they arrive, a state a slide, another try where the disk or the network gave way, and a log. What is done is
written in the store, not in Prefect, so a run that is started again goes on where the last one stopped.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prefect import State, flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.states import Completed, Failed

from flows.cohort import Cohort, SlideOutcome, arrange, process_cohort, try_slide
from flows.places import place_name
from flows.progress import Progress, Quiet
from pipeline.config import CohortConfig, read_config
from pipeline.errors import HistoloomError, ResourceLost, Unforeseen
from pipeline.object_url import Place
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


def attempt_slide(cohort: Cohort, path: Place, name: str | None, workers: Workers, progress: Progress) -> SlideOutcome:
    """Work on one slide as a task; whatever ends it, the cohort goes on."""
    state = process_slide_task(cohort, path, name, workers, progress, return_state=True)
    result = state.result(raise_on_failure=False)
    if isinstance(result, SlideOutcome):
        return result
    if not isinstance(result, HistoloomError):
        result = Unforeseen(f"{path}: {state.name}: {result}", "Look into the log of the task and of Prefect's server.")
    return SlideOutcome(name or place_name(path), path, error=result)


@flow(
    name="cohort", description="Tiles, super-resolves, segments, classifies and stitches slides.", persist_result=False
)
def cohort(
    slides: list[str],
    out: str,
    settings: dict[str, Any] | None = None,
    config: str | None = None,
    workers: int = 1,
    scheduler: str | None = None,
    force: bool = False,
) -> State[Any]:
    """Work on a cohort; Failed, with the reasons, when a slide failed, after all others were worked on.

    Parameters
    ----------
    slides
        Files, folders, globs and URLs; relative paths start at the folder that `prefect deploy` was called in.
    out
        Folder or URL for the results.
    settings
        Settings of every slide, by the names of `pipeline.config.SlideConfig`: `{"sr": "none", "mpp": 0.25}`.
    config
        A cohort's TOML file, as for `histoloom run --config`; `settings` stand above it.
    workers, scheduler, force
        As on the command line.
    """
    chosen = (read_config(Path(config)) if config else CohortConfig()).changed(settings or {}, "the parameter settings")
    order = arrange(slides, out, chosen, force=force)
    outcomes = process_cohort(order, Workforce(workers, scheduler), RunLog(), attempt_slide)
    return _conclude(order.place, outcomes)


def _conclude(out: Place, outcomes: list[SlideOutcome]) -> State[Any]:
    """A flow is Completed for Prefect whatever became of its tasks, unless it says otherwise itself."""
    failures = [f"{outcome.name}: {outcome.error.what}" for outcome in outcomes if outcome.error]
    where = f"see {out / 'report.html'}"
    if failures:
        return Failed(message="; ".join([f"slides failed: {len(failures)} of {len(outcomes)}, {where}", *failures]))
    return Completed(message=f"slides done: {len(outcomes)}, {where}")
