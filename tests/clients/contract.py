"""The contract that every client is held to: slides whose nuclei are known, and how far from there a client shows them.

Nothing here knows a transform of NGFF or a column of a table: a test says where *its client* puts things, in level-0 px
from the slide's corner, and `worst_px` compares that with the truth.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree
from skimage.segmentation import expand_labels

import flows.slide
from flows.networks import ChosenNetworks
from flows.progress import Quiet
from flows.provenance import describe_run, identify
from pipeline.config import SlideConfig
from pipeline.geometry import Frame
from pipeline.output import SlideOutput, tidy
from pipeline.preview import write_preview
from pipeline.recipe import Recipe
from pipeline.schedule import Workers, Workforce
from pipeline.slide import base_source, open_slide
from pipeline.stage import Network
from pipeline.synthetic import VIOLET_BELOW_RED, Nuclei, SyntheticTruth, write_synthetic_slide
from pipeline.tissue import TissueMask
from pipeline.workspace import SlideRef, Workspace
from tests.stand_ins import VIOLET_CLASSES, Crowding, Doubling, Violet

Floats = NDArray[np.float64]

MPP = 0.2271
DOWNSAMPLE = 1.98
"""No whole number, and none that was rounded: scanners' 3.9996 is 4 with the last column cut."""
SIZE = (1485, 1188)
"""(height, width) in level-0 px: what this downsample divides, so that both axes have it."""

MOST_PX = 1.0
"""How far, in level-0 px, a client may show a nucleus from where it is."""
MOST_BIAS_PX = 0.1
"""How far, on average over all nuclei, along an axis: half a pixel mistaken anywhere is 0.25 at the least."""

_CORE_PX = 256
_WHOLE_UM = 8.0


@dataclass(frozen=True)
class Case:
    """How a slide was read."""

    read_mpp: float
    super_resolved: bool
    ngff: Literal["0.5", "0.4"] = "0.5"


CASES = {
    "super-resolved": Case(MPP * DOWNSAMPLE, True),
    "super-resolved, NGFF 0.4": Case(MPP * DOWNSAMPLE, True, "0.4"),
    "as scanned": Case(MPP, False),
}


@dataclass(frozen=True)
class KnownSlide:
    """A finished slide, and what is on it."""

    folder: Path
    truth: SyntheticTruth
    recipe: Recipe
    case: Case

    @property
    def store(self) -> Path:
        """The OME-Zarr."""
        return self.folder / f"{self.folder.name}.ome.zarr"

    @property
    def image_groups(self) -> dict[str, Frame]:
        """Groups that hold pictures of the slide, and the frames of their finest levels."""
        return {group: pyramid.levels[0] for group, pyramid in self.recipe.pyramids.items()}

    @property
    def nuclei_group(self) -> str:
        """The group of the label image of nuclei."""
        assert self.recipe.nuclei_group
        return self.recipe.nuclei_group

    def whole(self) -> Nuclei:
        """The nuclei that neither the slide's border nor a client's window cuts."""
        nuclei, reach = self.truth.nuclei(), _WHOLE_UM / self.truth.mpp
        inside = (nuclei.y > reach) & (nuclei.y < self.truth.height - reach)
        return nuclei.take(inside & (nuclei.x > reach) & (nuclei.x < self.truth.width - reach))

    def within(self, first_um: Floats, last_um: Floats) -> Nuclei:
        """Those of them that a window from one place, (y, x) in um, to another shows whole."""
        nuclei = self.whole()
        low, high = (np.asarray(first_um) + _WHOLE_UM) / MPP, (np.asarray(last_um) - _WHOLE_UM) / MPP
        inside = (nuclei.y > low[0]) & (nuclei.y < high[0]) & (nuclei.x > low[1]) & (nuclei.x < high[1])
        return nuclei.take(inside)


def finish_known_slide(root: Path, case: Case) -> KnownSlide:
    """Run a slide from file to results by the code that a run uses, with rules for networks."""
    path = root / "slides" / "known.svs"
    truth = write_synthetic_slide(
        path, *SIZE, MPP, level_downsamples=(1, DOWNSAMPLE), compression="deflate", tissue_share=1.0, seed=7
    )
    output = SlideOutput(root / "results", "known")
    scale = 2 if case.super_resolved else 1
    with open_slide(path) as slide:
        level0, base = slide.info.frame, base_source(slide, case.read_mpp).frame
        recipe = Recipe(
            "known", level0, base, _CORE_PX,
            sr=Network("doubling", Doubling(), base.mpp, scale=scale) if case.super_resolved else None,
            nuclei=Network("violet", Violet(), base.mpp / scale, 16, classes=VIOLET_CLASSES),
            classifiers=(Network("crowding", Crowding(), 4.0, field_px=20, classes=("few", "many")),),
        )  # fmt: skip
        run = describe_run(slide.info, identify(path), recipe, SlideConfig(), ChosenNetworks((), None, (), {}))
    plan = {"slide": {"sha256": "00"}, "settings": {"sr": "auto"}}
    begun = output.begin(plan)
    workspace = Workspace(output.partial, "known", SlideRef(path, None, "auto", case.read_mpp), case.ngff, begun)
    TissueMask.everything(level0).save(workspace.tissue_path)
    with Workers(Workforce(processes=0)) as workers:
        findings: dict[str, Any] = flows.slide._weave(recipe, flows.slide.StageRunner(workspace, workers, Quiet()))
    write_preview(output.partial, run | findings)
    output.finish({**run, **findings, "plan": plan})
    tidy(output.root)
    return KnownSlide(output.final, truth, recipe, case)


def nuclei_shown(rgb: NDArray[Any]) -> Floats:
    """(n, 2) indices (y, x) of the centres of nuclei in (y, x, 3 or more) RGB; 0 is the centre of the first pixel.

    Pixels weigh what nuclei cover of them: tissue is never below 215 in red, nuclei are never above 110.
    """
    red = rgb[..., 0].astype(np.float64)
    covered = np.clip((215 - red) / (215 - 110), 0, 1)
    regions, count = ndimage.label(red < VIOLET_BELOW_RED, np.ones((3, 3)))
    reach = expand_labels(regions, distance=1.5)  # with the pixels at the rim that are mostly tissue
    return np.reshape(ndimage.center_of_mass(covered, reach, np.arange(1, count + 1)), (-1, 2))


def label_centres(labels: NDArray[Any]) -> Floats:
    """(n, 2) indices (y, x) of the centres of labels, in their order."""
    numbers = np.unique(labels[labels > 0])
    return np.reshape(ndimage.center_of_mass(labels > 0, labels, numbers), (-1, 2))


class Hold(Protocol):
    """Fails where a client shows a nucleus out of its place; the fixture `hold`."""

    def __call__(self, slide: KnownSlide, what: str, shown_level0_px: Floats, among: Nuclei | None = None) -> None:
        """`shown_level0_px` is (n, 2), y before x."""


@dataclass(frozen=True)
class Shown:
    """How far from their places a client shows nuclei, in level-0 px."""

    worst_px: float
    """The largest distance."""
    bias_px: float
    """The mean over all nuclei along y or x, whichever is larger."""


def compare(slide: KnownSlide, shown_level0_px: Floats, among: Nuclei | None = None) -> Shown:
    """Where nuclei are shown against where they are; each must be shown once.

    `shown_level0_px` is (n, 2), y before x, level-0 px from the slide's corner, in any order.
    """
    known = slide.whole() if among is None else among
    assert len(known) > 20, "too few nuclei for a test"
    places = np.stack([known.y, known.x], axis=-1)
    near = cKDTree(shown_level0_px).query_ball_point(places, r=4.0 / slide.truth.mpp)
    assert [len(found) for found in near] == [1] * len(known), "a nucleus is missing, or shown twice"
    off = shown_level0_px[[found[0] for found in near]] - places
    return Shown(float(np.hypot(*off.T).max()), float(np.abs(off.mean(axis=0)).max()))
