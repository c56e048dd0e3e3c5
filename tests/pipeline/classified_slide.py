"""A small slide with one dark square in a known place, classified from its own file to its heat map."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.batch import Job
from pipeline.gather import fold_patches, gather_patches
from pipeline.geometry import Box, Frame
from pipeline.plan import plan_stage
from pipeline.recipe import Recipe
from pipeline.schedule import Workers, Workforce
from pipeline.stage import Network, Stage
from pipeline.tissue import TissueMask
from pipeline.workspace import Predictor, SlideRef, Workspace

CORE_PX = 256
FIELD_PX = 8
SHAPE, DARK = (40, 48), Box(8, 12, 12, 16)
"""Of the slide and its square, in px of the classifier; the square's sides lie on multiples of half a patch."""


@dataclass(frozen=True, slots=True)
class Darkness:
    """Loads `darkness`, a classifier that tells patches that are all dark from the others."""

    def __call__(self) -> Predictor:
        return darkness


def darkness(patches: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(n, {pale, dark}) of (n, y, x, 3): certain either way."""
    dark = (patches.max(axis=(1, 2, 3)) < 128).astype(np.float32)
    return np.stack([1 - dark, dark], axis=-1)


NETWORK = Network("darkness", Darkness(), 4.0, field_px=FIELD_PX, classes=("pale", "dark"))


def write_slide(path: Path, times: int) -> None:
    """Draw the slide with pixels `times` finer than the classifier's."""
    height, width = (side * times for side in SHAPE)
    pixels = np.full((height, width, 3), (230, 170, 200), np.uint8)
    pixels[DARK.times(times).slices()] = (60, 40, 90)
    Image.fromarray(pixels).save(path)


def begin(folder: Path, mpp: float, times: int, tissue: TissueMask | None = None) -> tuple[Recipe, Workspace]:
    """The slide at `mpp` um/px and all that comes before its classification."""
    path = folder / "slide.png"
    write_slide(path, times)
    frame = Frame(SHAPE[0] * times, SHAPE[1] * times, mpp)
    recipe = Recipe("slide", frame, frame, CORE_PX, classifiers=(NETWORK,))
    workspace = Workspace(folder, "slide", SlideRef(path, mpp, "auto", mpp))
    (tissue or TissueMask.everything(frame)).save(workspace.tissue_path)
    recipe.create_layers(workspace.store)
    with Workers(Workforce(processes=0)) as workers:
        before: list[Stage] = [recipe.ingest, *recipe.coarser(""), *recipe.coarser("labels/tissue")]
        for stage in before:
            workers.run(plan_stage(Job(workspace, stage)))
    return recipe, workspace


def classify(recipe: Recipe, workspace: Workspace) -> int:
    """Judge the patches and fold the heat map with its pyramid; return how many patches there are."""
    (stage,) = recipe.classify
    with Workers(Workforce(processes=0)) as workers:
        workers.run(plan_stage(Job(workspace, stage)))
        count = gather_patches(workspace, [stage])["darkness"]
        fold_patches(workspace, stage, CORE_PX)
        for halve in recipe.coarser("heatmaps/darkness"):
            workers.run(plan_stage(Job(workspace, halve)))
    return count
