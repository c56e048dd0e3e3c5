"""One slide from begin to final name by the code that a run uses, with stand-ins for networks, to be interrupted."""

from __future__ import annotations

import ctypes
from hashlib import sha256
from pathlib import Path
from typing import Any

import distributed

import flows.slide
import pipeline.gather
from flows.progress import Quiet
from pipeline.output import SlideOutput, tidy
from pipeline.recipe import Recipe
from pipeline.schedule import Workers, Workforce
from pipeline.slide import open_slide
from pipeline.stage import Network
from pipeline.tissue import TissueMask
from pipeline.workspace import SlideRef, Workspace
from tests.stand_ins import VIOLET_CLASSES, Crowding, Doubling, Violet

# Imported where they are used, by a run; here before any, so that a process forked off has them.
IMPORTED = (distributed, flows.slide, pipeline.gather)

NAME = "slide"
PLAN = {"slide": {"sha256": "00"}, "settings": {"sr": "auto"}}

_CORE_PX = 256


def run(slide: str, root: str, last_step: int = -1, log: str = "", force: bool = False) -> None:
    """Work on the slide, or go on; end as if killed before the step `last_step` in `root` (-1: never)."""
    steps = ctypes.CDLL(None)
    steps.steps_arm(root.encode(), ctypes.c_long(last_step), log.encode())
    weave(Path(slide), Path(root), force=force)
    tidy(Path(root))
    steps.steps_arm(b"", ctypes.c_long(-1), b"")


def weave(slide: Path, root: Path, *, force: bool = False, plan: dict[str, Any] = PLAN) -> None:
    """What `process_slide` does, in its order, with networks that are rules."""
    output = SlideOutput(root, NAME)
    with output.locked():
        output.recover()
        if output.finished_run() is not None and not force:
            output.discard_partial()
            return
        with open_slide(slide) as opened:
            frame = opened.info.frame
        begun = output.begin(plan, force=force)
        ref = SlideRef(slide, None, "auto", frame.mpp)
        workspace = Workspace(output.partial, NAME, ref, plan=begun)
        TissueMask.everything(frame).save(workspace.tissue_path)
        recipe = Recipe(
            NAME, frame, frame, _CORE_PX,
            sr=Network("doubling", Doubling(), frame.mpp, scale=2),
            nuclei=Network("violet", Violet(), frame.mpp / 2, halo_px=16, classes=VIOLET_CLASSES),
            classifiers=(Network("crowding", Crowding(), frame.mpp, field_px=64, classes=("few", "many")),),
        )  # fmt: skip
        with Workers(Workforce(processes=0)) as workers:
            findings = flows.slide._weave(recipe, flows.slide.StageRunner(workspace, workers, Quiet()))
        output.finish({"findings": findings, "plan": plan})


def results(root: Path) -> dict[str, str]:
    """Hash of every file under `root`, by its path."""
    return {
        str(path.relative_to(root)): sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }
