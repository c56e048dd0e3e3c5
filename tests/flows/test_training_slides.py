from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from flows.training_slides import open_training_slide
from models.data_super_resolution import draw_pair, read_pairs
from models.errors import TrainingError
from models.slide_reader import Region
from models.train_config import SourceConfig
from pipeline.geometry import Box
from pipeline.slide import open_slide
from pipeline.synthetic import SyntheticTruth
from pipeline.tissue import find_tissue

Synthetic = tuple[Path, SyntheticTruth]


def source(path: Path, **changes: object) -> SourceConfig:
    return SourceConfig(name="set", licence="none", kind="slide", path=path.name, **changes)  # type: ignore[arg-type]


def test_training_sees_a_slide_as_the_pipeline_does(synthetic_slide: Synthetic) -> None:
    path, _ = synthetic_slide
    seen = open_training_slide(path, None)
    with open_slide(path) as slide:
        assert seen.name == slide.info.name
        assert seen.mpp == slide.info.frame.mpp
        assert seen.shapes == tuple(frame.shape for frame in slide.info.levels)
        assert seen.downsamples == (1, 4, 16)
        box = Box(30, 41, 100, 80)
        assert np.array_equal(seen.read(1, Region(30, 41, 100, 80)), slide.level(1).read(box))
        share = find_tissue(slide).share(box, slide.info.levels[1])
        assert seen.tissue_share(1, Region(30, 41, 100, 80)) == share


def test_crops_are_drawn_straight_from_a_slide(synthetic_slide: Synthetic) -> None:
    path, _ = synthetic_slide
    config = source(path, sharpest_db=99.0, least_tissue=0.1)
    pairs = read_pairs(config, path.parent, 2, seed=0, crop_px=96, open_slide=open_training_slide)
    low, high = draw_pair([pairs], 96, 2, np.random.default_rng(0))
    assert (low.shape, high.shape) == ((48, 48, 3), (96, 96, 3))


def test_the_slides_own_lower_level_is_the_small_image(synthetic_slide: Synthetic) -> None:
    path, _ = synthetic_slide
    config = source(path, sharpest_db=99.0, least_tissue=0.1, degradation="pyramid")
    pairs = read_pairs(config, path.parent, 4, seed=0, crop_px=96, open_slide=open_training_slide)
    assert pairs.registration is not None
    assert max(np.abs(pairs.registration.median_offset_px)) < 0.1


def test_a_slide_that_cannot_be_opened_is_a_training_error(tmp_path: Path) -> None:
    path = tmp_path / "a.svs"
    path.write_text("no slide")
    with pytest.raises(TrainingError, match=str(path)) as error:
        open_training_slide(path, None)
    assert str(error.value).count("\n") == 1


@pytest.mark.slides
def test_a_slide_without_a_resolution_asks_for_slide_mpp(data: Path) -> None:
    path = data / "wsi/tcga-cr-7395-no-mpp.svs"
    with pytest.raises(TrainingError, match=r"does not say.*\n.*slide_mpp"):
        open_training_slide(path, None)
    assert open_training_slide(path, 0.25).mpp == 0.25


@pytest.mark.slides
def test_pixels_that_do_not_decode_are_a_training_error(data: Path) -> None:
    slide = open_training_slide(data / "wsi/fails-on-read.svs", 0.25)
    with pytest.raises(TrainingError, match=r"fails-on-read.*decoded"):
        slide.read(0, Region(0, 0, *slide.shapes[0]))
