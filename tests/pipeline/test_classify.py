import numpy as np
import pyarrow as pa
import pytest

from pipeline.classify import Classify
from pipeline.errors import CannotFeed
from pipeline.geometry import Box, Frame
from pipeline.grid import TileGrid
from pipeline.recipe import Recipe
from pipeline.stage import Network
from pipeline.tissue import TissueMask

LEVEL0 = Frame(8000, 6400, 0.5)
FRAME = LEVEL0.halved(3)


def load() -> object:
    raise AssertionError


@pytest.fixture
def stage() -> Classify:
    network = Network("idc", load, 4.0, field_px=50, classes=("no", "yes"))  # type: ignore[arg-type]
    return Classify("3", FRAME, LEVEL0, network, core_px=256, stride_px=25)


def test_patches_are_the_same_whatever_the_core(stage: Classify) -> None:
    everything = TissueMask.everything(LEVEL0)

    def all_patches(core_px: int) -> list[Box]:
        grid = TileGrid(FRAME, core_px)
        return sorted(
            (box for tile in grid for box in stage.patches(tile.core, everything)), key=lambda box: (box.y, box.x)
        )

    assert all_patches(256) == all_patches(512) == all_patches(1024)
    assert all_patches(256)[:3] == [Box(0, 0, 50, 50), Box(0, 25, 50, 50), Box(0, 50, 50, 50)]


def test_a_patch_with_too_little_tissue_is_left_out(stage: Classify) -> None:
    patches = list(stage.patches(FRAME.box, TissueMask.everything(LEVEL0)))
    assert all(FRAME.box.clip(patch).area_px >= 0.5 * patch.area_px for patch in patches)
    assert max(patch.y_end for patch in patches) > FRAME.height - 25


def test_rows_say_where_the_patches_were_in_level_0_px(stage: Classify) -> None:
    boxes = [Box(25, 50, 50, 50), Box(975, 0, 50, 50)]
    rows = stage._table(boxes, np.array([[0.1, 0.9], [0.6, 0.4]], np.float32))
    assert rows.column_names == ["classifier", "x_level0_px", "y_level0_px", "size_level0_px", "p_no", "p_yes"]
    assert rows["x_level0_px"].to_pylist() == [400, 0]
    assert rows["size_level0_px"].to_pylist() == [400, 400]
    np.testing.assert_array_equal(rows["p_yes"].to_numpy(), np.array([0.9, 0.4], np.float32))


def test_a_slide_coarser_than_a_classifier_is_refused_by_name(stage: Classify) -> None:
    coarse = Frame(500, 400, 8.0)
    recipe = Recipe("coarse", coarse, coarse, 256, classifiers=(stage.network,))
    with pytest.raises(CannotFeed, match=r"^coarse: idc was trained at 4 um/px; this run has 8, .*\n.*leave idc out"):
        recipe.refuse_what_cannot_be_fed()


def test_no_patches_are_a_table_with_columns_and_no_rows(stage: Classify) -> None:
    table: pa.Table = stage._table([], None)
    assert table.num_rows == 0
    assert "p_yes" in table.column_names
