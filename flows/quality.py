"""Quality control of one slide: looked for before anything is measured, told of in run.json."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.errors import NoTissue

if TYPE_CHECKING:
    from flows.slide import StageRunner
    from pipeline.qc_findings import Quality
    from pipeline.qc_thumbnail import Glance
    from pipeline.recipe import Recipe
    from pipeline.tissue import TissueMask
    from pipeline.workspace import Workspace


def control(recipe: Recipe, runner: StageRunner, seen: Glance, mode: str) -> Quality:
    """Inspect what was ingested and store the flags; under `mask`, all that follows works on what is left.

    Raises
    ------
    NoTissue
        if nothing is left
    """
    from pipeline.qc_findings import Quality
    from pipeline.qc_verdict import verdict

    inspect, workspace = recipe.inspect, runner.workspace
    assert inspect  # laid wherever quality control is asked for
    runner.run(inspect)
    flags, figures, notes = verdict(workspace, inspect, seen)
    flags.save(workspace.flags_path)
    runner.workspace = workspace.restricted(flags.flagged, "flagged.npz")
    runner.run(*recipe.draw_flags)
    runner.workspace = _left(workspace, flags.without(workspace.tissue)) if mode == "mask" else workspace
    return Quality(mode, {**figures, "worked_mm2": runner.workspace.tissue.area_um2 / 1e6}, notes)


def tell(quality: Quality | None, runner: StageRunner, consistency: str | None) -> dict[str, Any]:
    """What run.json says under `qc`, once super-resolution is through too."""
    from dataclasses import replace

    from pipeline.qc_findings import invented_share

    if quality is None:
        return {"mode": "off", "findings": [], "figures": {}}
    if consistency:
        quality = replace(quality, invented_share=invented_share(runner.workspace.store.layer(f"{consistency}/0")))
    return quality.as_dict()


def _left(workspace: Workspace, tissue: TissueMask) -> Workspace:
    """The folder with what is not flagged as its mask."""
    if not tissue.area_um2:
        msg = f"{workspace.slide.path}: quality control flagged all of its tissue"
        raise NoTissue(msg, "Look at the slide: --qc flag works on it all the same, and says what was flagged.")
    return workspace.restricted(tissue, "worked.npz")
