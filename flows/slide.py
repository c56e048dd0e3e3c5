"""One slide, from file to results: the order of the stages, and nothing else."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.devices import device_and_precision, engines
from flows.loading import loading_ahead
from flows.networks import choose_networks, torch_for_all
from flows.places import staging_at
from flows.progress import Progress
from flows.provenance import BATCHES, computing, describe_run, environment, question, slide_plan
from flows.quality import control, tell
from flows.slide_file import SlideFile, at_hand, same_slide
from pipeline.budget_config import Budget
from pipeline.config import QcMode, SlideConfig
from pipeline.errors import NoTissue
from pipeline.object_url import Place
from pipeline.output import SlideOutput, read_json, refuse_other_plan, write_json
from pipeline.staging import Staging

if TYPE_CHECKING:
    from flows.networks import ChosenNetworks
    from models.engine import EngineName
    from pipeline.batch import BatchDone
    from pipeline.qc_thumbnail import Glance
    from pipeline.recipe import Recipe
    from pipeline.schedule import Workers, Workforce
    from pipeline.slide import Slide
    from pipeline.stage import Stage
    from pipeline.tissue import TissueMask
    from pipeline.workspace import SlideRef, Workspace


@dataclass(frozen=True, slots=True)
class SlideTask:
    """A slide and what is asked of it."""

    path: Place
    output: SlideOutput
    config: SlideConfig
    force: bool = False
    staging: Staging = field(default_factory=staging_at)
    budget: Budget = field(default_factory=Budget)


# Of a stage's record: what its batches' time (`work_s`, those at once added up) went to.
_SPENT = {"reading_s": "reading", "device_s": "device", "writing_s": "writing"}


@dataclass(slots=True)
class StageRunner:
    """Runs stages one after another, tells of their progress and keeps their time."""

    workspace: Workspace
    workers: Workers
    progress: Progress
    most_in_flight: int | None = None
    """Batches at the same time, where memory does not suffice for one a thread."""
    records: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.records = read_json(self._path) or {}  # an interrupted run's clock goes on

    def run(self, *stages: Stage) -> None:
        """Run stages to their end; what earlier runs committed is not done again."""
        from pipeline.batch import Job
        from pipeline.plan import plan_stage

        for stage in stages:
            plan = plan_stage(Job(self.workspace, stage))
            self.progress.stage(self.workspace.name, stage.name, plan.tiles_left)
            record = self.records.setdefault(stage.name, {})
            for figure in ("tiles", "megapixels", "seconds", "work_s", *_SPENT):
                record.setdefault(figure, 0 if figure == "tiles" else 0.0)  # as an older version left it
            record["batches"] = plan.batches
            self._save()
            start = time.perf_counter()

            def on_done(done: BatchDone, record: dict[str, Any] = record, stage: Stage = stage) -> None:
                record["tiles"] += done.tiles
                record["megapixels"] += done.core_px / 1e6
                record["work_s"] += done.seconds
                for figure, what in _SPENT.items():
                    record[figure] += getattr(done.spent, what)
                self.progress.advance(self.workspace.name, stage.name, done)

            try:
                self.workers.run(plan, on_done, self.most_in_flight)
            except BaseException:
                with suppress(OSError):  # why the stage stopped is the news, not that the clock did
                    self._clock(record, start)
                raise
            self._clock(record, start)
            self.progress.stage_done(self.workspace.name, stage.name)

    def _clock(self, record: dict[str, Any], start: float) -> None:
        record["seconds"] += time.perf_counter() - start
        self._save()

    def _save(self) -> None:
        write_json(self._path, self.records)

    @property
    def _path(self) -> Path:
        return self.workspace.folder / "stages.json"


def process_slide(task: SlideTask, workers: Workers, progress: Progress) -> Mapping[str, Any]:
    """Work on one slide until its results stand under their final name; return its `run.json`.

    Raises
    ------
    HistoloomError
        what is wrong with the slide or the settings, and what to do about it
    """
    output = task.output
    with output.locked():
        output.recover()
        if not task.force:
            finished = output.finished_run()
            if finished is not None:
                refuse_other_question(task, finished, str(output.final))
                output.discard_partial()  # of a run by --force that was stopped: nobody goes on with it
                progress.slide(output.name, "unchanged")
                return finished
        progress.slide(output.name, "started")
        parts = task.staging.parts and task.config.reader != "openslide"
        with at_hand(task.path, task.staging, parts=parts) as file:
            run = _process(task, file, workers, progress)
        progress.slide(output.name, "done", seconds=round(run["timings"]["seconds"], 1), **run["counts"])
        return run


def refuse_other_question(task: SlideTask, run: Mapping[str, Any], where: str) -> None:
    """Raise `PlanChanged` where the whole results at a place answer something else than what is asked now."""
    networks = choose_networks(task.config, run["resolution"]["factor"])
    plan = slide_plan(same_slide(task.path, run["input"], task.staging), task.config, networks)
    refuse_other_plan(question(run["plan"]), plan, where)


def _process(task: SlideTask, file: SlideFile, workers: Workers, progress: Progress) -> Mapping[str, Any]:
    from flows.estimates import allow, in_words, look_ahead
    from pipeline.slide import open_slide
    from pipeline.workspace import Workspace

    config, output = task.config, task.output
    with open_slide(file.path, mpp=config.mpp, reader=config.reader) as slide, ThreadPoolExecutor(1) as beside:
        hashing = beside.submit(file.identity)  # of a large slide it takes as long as looking it over
        begun_by = {} if task.force else output.begun_by()
        laid = lay(slide, output.name, config, engines(config, workers.workforce, begun_by))
        networks, recipe, tissue = laid.networks, laid.recipe, laid.tissue
        recipe.refuse_what_cannot_be_fed()
        ahead, machine = look_ahead(recipe, tissue, networks, config, workers.workforce)
        if task.staging.folder in output.root.parents:  # results for a bucket grow where its slides lie
            task.staging.make_room(ahead.disk_bytes)
        at_once = allow(output.name, ahead, machine, task.budget, output.partial)
        progress.slide(output.name, "planned", **in_words(ahead, machine, at_once))
        identity = hashing.result()
        plan = slide_plan(identity, config, networks) | {"batches": BATCHES}
        plan["computing"] = computing(config, networks, workers.workforce)
        begun = output.begin(plan, force=task.force)
        workspace = Workspace(output.partial, output.name, laid.ref, config.ngff, begun)
        runner = StageRunner(workspace, workers, progress, at_once)
        tissue.save(workspace.tissue_path)
        run = {**describe_run(slide.info, identity, recipe, config, networks), "plan": plan, "estimated": asdict(ahead)}
        write_json(output.partial / "begun.json", run)  # for who looks at the slide before it is through
    fresh = workers.workforce.in_this_process and not runner.records
    kernels = {"quality": laid.seen is not None, "nuclei": recipe.segment is not None}
    with loading_ahead(recipe.networks, **kernels) if fresh else nullcontext():
        findings = _weave(recipe, runner, laid.seen, config.qc)
    run |= findings | {
        "tissue": _tissue_facts(runner.workspace.tissue),
        "devices": _devices(networks, config, workers.workforce),
    }
    return _finish(output, run, runner)


@dataclass(frozen=True, slots=True)
class Laid:
    """What a slide and its settings come to, before any tile is worked on."""

    ref: SlideRef
    networks: ChosenNetworks
    recipe: Recipe
    tissue: TissueMask
    """What is worked on."""
    seen: Glance | None
    """What quality control measures from."""


def lay(slide: Slide, name: str, config: SlideConfig, engine_of: Callable[[str], EngineName] = torch_for_all) -> Laid:
    """Look at an open slide, choose its networks, lay its stages; nothing is written.

    `engine_of` says what computes a bundle (`flows.devices.engines`).
    """
    from pipeline.recipe import Recipe
    from pipeline.resolution import choose_factor
    from pipeline.slide import base_source
    from pipeline.workspace import SlideRef, file_stamp

    tissue, seen = _look(slide, config)  # first of all: a slide without pixels to read has no other fault
    level0, path = slide.info.frame, slide.info.path
    factor = 1 if config.sr == "none" else choose_factor(level0.mpp, config.target_mpp)
    networks = choose_networks(config, factor, engine_of)
    base_mpp = _base_mpp(level0.mpp, factor, config, networks)
    ref = SlideRef(path, config.mpp, config.reader, base_mpp, file_stamp(path))
    recipe = Recipe(
        slide=name,
        level0=level0,
        base=base_source(slide, ref.base_mpp).frame,
        core_px=config.core_px,
        sr=networks.sr_network,
        nuclei=networks.nuclei_network,
        classifiers=networks.classifier_networks,
        stride_share=config.stride_share,
        white=seen.white if seen else None,
    )
    return Laid(ref, networks, recipe, tissue, seen)


def _base_mpp(level0_mpp: float, factor: int, config: SlideConfig, networks: ChosenNetworks) -> float:
    """Return the um per px that the slide is read at."""
    from pipeline.resolution import choose_base_mpp

    if networks.sr or networks.nuclei or config.sr != "none":
        return factor * config.target_mpp
    return choose_base_mpp(level0_mpp, config.target_mpp, (card.mpp for card in networks.classifiers))


def _look(slide: Slide, config: SlideConfig) -> tuple[TissueMask, Glance | None]:
    """The mask that decides what is worked on, and what else a thumbnail shows where quality is asked for."""
    from pipeline.qc_thumbnail import glance
    from pipeline.tissue import TissueMask, look_over, tissue_on

    frame = slide.info.frame
    if config.tissue == "all" and config.qc == "off":
        return TissueMask.everything(frame), None
    if config.tissue not in ("auto", "all"):
        tissue = TissueMask.from_image(Path(config.tissue), frame)
    picture, coarse = look_over(slide)
    if config.tissue == "auto":
        tissue = tissue_on(picture, coarse)
    elif config.tissue == "all":
        tissue = TissueMask.everything(frame)
    if not tissue.area_um2:
        msg = f"{slide.info.path}: no tissue found"
        raise NoTissue(msg, "Look at the slide: --tissue all works on all of it, --tissue MASK.png on what you mark.")
    if config.qc == "off":
        return tissue, None
    return tissue, glance(picture, coarse, tissue.mask if config.tissue == "auto" else None)


def _weave(recipe: Recipe, runner: StageRunner, seen: Glance | None = None, qc: QcMode = "off") -> dict[str, Any]:
    """All stages, each reading what the ones before it wrote; return what they found."""
    from pipeline import gather
    from pipeline.density import DENSITY
    from pipeline.recipe import CONSISTENCY

    core_px = recipe.core_px
    counts: dict[str, Any] = {}
    findings: dict[str, Any] = {"counts": counts}
    recipe.create_layers(runner.workspace.store)
    runner.run(recipe.ingest, *recipe.coarser(""), *recipe.coarser("labels/tissue"))
    quality = control(recipe, runner, seen, qc) if seen else None
    workspace = runner.workspace
    if recipe.super_resolve:
        runner.run(recipe.super_resolve, *recipe.coarser("sr"))
        rms = gather.fold_consistency(workspace, recipe.super_resolve, CONSISTENCY, core_px)
        findings["consistency_rms"] = rms
        runner.run(*recipe.coarser(CONSISTENCY))
    if recipe.segment and recipe.draw and recipe.density:
        runner.run(recipe.segment)
        counts["nuclei"] = gather.gather_nuclei(workspace, recipe.segment)
        runner.run(recipe.draw, *recipe.coarser(recipe.draw.group))
        runner.run(recipe.density, *recipe.coarser(DENSITY))
        findings["nuclei_density"] = gather.gather_density(workspace, recipe.density, counts["nuclei"])
    if recipe.classify:
        runner.run(*recipe.classify)
        counts["patches"] = gather.gather_patches(workspace, recipe.classify)
        for stage in recipe.classify:
            gather.fold_patches(workspace, stage, core_px)
            runner.run(*recipe.coarser(f"heatmaps/{stage.network.name}"))
        findings["classification"] = gather.gather_classes(workspace, recipe.classify)
    return findings | {"qc": tell(quality, runner, CONSISTENCY if recipe.sr else None)}


def _tissue_facts(tissue: TissueMask) -> dict[str, float]:
    return {"area_mm2": tissue.area_um2 / 1e6, "share": tissue.share(tissue.frame.box, tissue.frame)}


def _devices(networks: ChosenNetworks, config: SlideConfig, workforce: Workforce) -> dict[str, dict[str, str]]:
    """Where each network ran, what computed it, and how exactly."""
    if not networks.loaders:
        return {}
    device, precision = device_and_precision(config, workforce)
    return {
        name: {"device": device, "precision": precision, "engine": engine} for name, engine in networks.engines.items()
    }


def _finish(output: SlideOutput, run: dict[str, Any], runner: StageRunner) -> Mapping[str, Any]:
    """Write what people read, then give everything its final name."""
    from pipeline.preview import draw_preview, save_preview
    from pipeline.report import write_slide_report

    stages = [{"name": name, **record} for name, record in runner.records.items()]
    run["timings"] = {"stages": stages, "seconds": sum(stage["seconds"] for stage in stages)}
    run |= environment()
    drawn = draw_preview(output.partial, run)
    with ThreadPoolExecutor(1) as beside:
        saved = beside.submit(save_preview, output.partial, drawn)  # to compress it takes as long as half the page
        write_slide_report(output.partial, run, drawn)
        saved.result()
    output.finish(run)
    return run
