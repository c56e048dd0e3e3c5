"""The network that ships, on part of a real slide: cores, batches, their order and workers leave no trace in a byte."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from models.predict import load_predictor
from models.shelf import read_card
from pipeline.batch import Batch, Job
from pipeline.gather import gather_nuclei
from pipeline.geometry import Box, Frame
from pipeline.plan import StagePlan, plan_stage
from pipeline.pyramidal_tiff import write_pyramidal_tiff
from pipeline.recipe import Recipe
from pipeline.schedule import Workers, Workforce
from pipeline.segment import Segment
from pipeline.slide import open_slide
from pipeline.stage import Network
from pipeline.tissue import TissueMask
from pipeline.workspace import SlideRef, Workspace

pytestmark = pytest.mark.slides

# Crypts and stroma of a duodenum, wider than the widest core: nuclei lie on the edges of cores of every size.
PART = Box(12300, 5000, 300, 2100)
ONE_THREAD = Workforce(processes=0)


def shipped_network() -> Network:
    card = read_card("nuclei-unet")
    return Network(
        card.name, partial(load_predictor, card.name, "cpu", "fp32"), card.mpp, halo_px=card.halo_px,
        stride_px=card.stride_px, classes=tuple(card.classes or ()), postprocessing=card.postprocessing,
    )  # fmt: skip


def ingested(data: Path, folder: Path) -> Workspace:
    """A workspace whose store holds the part of the slide; all later reads are of it."""
    with open_slide(data / "wsi" / "BS9_HE2.tif") as slide:
        level = slide.level(0)
        frame = Frame(*PART.shape, level.frame.mpp)
        write_pyramidal_tiff(
            folder / "part.svs", frame, lambda box: level.read(Box(box.y + PART.y, box.x + PART.x, *box.shape)),
            level_downsamples=(1,), compression="deflate",
        )  # fmt: skip
    workspace = Workspace(folder, "part", SlideRef(folder / "part.svs", None, "auto", frame.mpp))
    TissueMask.everything(frame).save(workspace.tissue_path)
    recipe = Recipe("part", frame, frame, 1024, nuclei=shipped_network())
    recipe.create_layers(workspace.store)
    with Workers(ONE_THREAD) as workers:
        workers.run(plan_stage(Job(workspace, recipe.ingest)))
    return workspace


def backwards(plan: StagePlan) -> StagePlan:
    """The last batch first, and in each the last tile first."""
    return replace(plan, left=tuple(Batch(batch.number, batch.tiles[::-1]) for batch in plan.left[::-1]))


def test_nuclei_are_the_same_bytes_whatever_cores_batches_order_and_workers(data: Path, tmp_path: Path) -> None:
    workspace = ingested(data, tmp_path)
    frame = Frame(*PART.shape, workspace.base.frame.mpp)

    def segment(core_px: int, name: str) -> Segment:
        stage = Recipe("part", frame, frame, core_px, nuclei=shipped_network()).segment
        assert stage
        return replace(stage, name=name)  # a ledger of its own, so that nothing counts as done

    def table(stage: Segment, workforce: Workforce, order: Callable[[StagePlan], StagePlan] = lambda p: p) -> bytes:
        with Workers(workforce) as workers:
            workers.run(order(plan_stage(Job(workspace, stage))))
        gather_nuclei(workspace, stage)
        return workspace.nuclei_path.read_bytes()

    expected = table(segment(1024, "1024"), ONE_THREAD)
    assert pq.read_table(workspace.nuclei_path).num_rows > 200
    for core_px in (256, 512, 2048):
        assert table(segment(core_px, str(core_px)), ONE_THREAD) == expected, f"cores of {core_px} px"
    assert table(replace(segment(512, "backwards"), batch_tiles=3), ONE_THREAD, backwards) == expected
    assert table(replace(segment(1024, "one each"), batch_tiles=1), Workforce(processes=2)) == expected
