"""Real patches of one patient, laid back where they were cut, are a slide whose heat map is known."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from PIL import Image
from scipy.stats import mannwhitneyu

from flows.cohort import Cohort, process_cohort
from flows.progress import Quiet
from models.predict import load_predictor
from pipeline.config import CohortConfig, SlideConfig
from pipeline.geometry import Frame
from pipeline.heatmap_fold import lay_grid
from pipeline.schedule import Workforce
from pipeline.store import SlideStore

pytestmark = pytest.mark.slides

CELL_PX = 50
PATIENT = "10264"
"""59 patches, 26 of them with carcinoma, some side by side."""


@dataclass(frozen=True)
class Mosaic:
    """Patches and where they lie, in cells of the mosaic; what a run made of it."""

    patches: NDArray[np.uint8]
    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    labels: NDArray[np.int64]
    folder: Path

    @property
    def frame(self) -> Frame:
        return Frame((int(self.rows.max()) + 1) * CELL_PX, (int(self.columns.max()) + 1) * CELL_PX, 4.0)

    @property
    def cells(self) -> NDArray[np.bool_]:
        """(y, x), True where a patch lies."""
        cells = np.zeros((self.frame.height // CELL_PX, self.frame.width // CELL_PX), np.bool_)
        cells[self.rows, self.columns] = True
        return cells.repeat(CELL_PX, axis=0).repeat(CELL_PX, axis=1)

    def table(self) -> pa.Table:
        """The run's rows of patches."""
        return pq.read_table(self.folder / "out" / "mosaic" / "patches.parquet")

    def of_cells(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Of each patch the mean (classes) of the four pixels about its centre, in a map (y, x, classes)."""
        y, x = (place * CELL_PX + CELL_PX // 2 for place in (self.rows, self.columns))
        return np.asarray(np.mean([values[y - down, x - right] for down in (0, 1) for right in (0, 1)], axis=0))


def read_patches(folder: Path) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """One patient's patches (n, y, x, 3), and (n, {row, column, label}) of where they lie, in cells."""
    with (folder / "index.csv").open(newline="") as file:
        listed = [row for row in csv.DictReader(file) if row["patient"] == PATIENT]
    places = np.array([(int(row["y"]) // CELL_PX, int(row["x"]) // CELL_PX, int(row["label"])) for row in listed])
    sheets = {name: np.asarray(Image.open(folder / f"sheet_{int(name):02d}.webp").convert("RGB"))
              for name in {row["sheet"] for row in listed}}  # fmt: skip
    corners = [(row["sheet"], int(row["row"]) * CELL_PX, int(row["column"]) * CELL_PX) for row in listed]
    patches = np.stack([sheets[name][y : y + CELL_PX, x : x + CELL_PX] for name, y, x in corners])
    return patches, places - [*places[:, :2].min(axis=0), 0]


@pytest.fixture(scope="module")
def mosaic(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Mosaic:
    """A plain picture at 4 um/px with a mask of where patches lie, run as any slide is."""
    folder = tmp_path_factory.mktemp("mosaic")
    patches, places = read_patches(data / "patches" / "idc")
    made = Mosaic(patches, places[:, 0], places[:, 1], places[:, 2], folder)
    pixels = np.full((*made.frame.shape, 3), 255, np.uint8)
    for patch, row, column in zip(patches, made.rows * CELL_PX, made.columns * CELL_PX, strict=True):
        pixels[row : row + CELL_PX, column : column + CELL_PX] = patch
    Image.fromarray(pixels).save(folder / "mosaic.png")
    Image.fromarray(made.cells).save(folder / "mask.png")
    config = SlideConfig(
        mpp=4.0, target_mpp=4.0, sr="none", nuclei="none", tissue=str(folder / "mask.png"), precision="fp32",
        device="cpu", core_px=1024,
    )  # fmt: skip
    cohort = Cohort((folder / "mosaic.png",), folder / "out", CohortConfig(config))
    (outcome,) = process_cohort(cohort, Workforce(processes=0), Quiet())
    assert outcome.error is None, outcome.error
    return made


@pytest.fixture(scope="module")
def judged(mosaic: Mosaic) -> NDArray[np.float32]:
    """(n, classes): the patches judged one by one, without any slide."""
    return np.asarray(load_predictor("idc-hybrid", "cpu", "fp32")(mosaic.patches), np.float32)


def auc(labels: NDArray[np.int64], scores: NDArray[np.float32]) -> float:
    positive, negative = scores[labels == 1], scores[labels == 0]
    return float(mannwhitneyu(positive, negative).statistic / (len(positive) * len(negative)))


def test_every_patch_is_judged_on_the_slide_as_it_is_alone(mosaic: Mosaic, judged: NDArray[np.float32]) -> None:
    found = {
        (row["y_level0_px"], row["x_level0_px"]): (row["p_non-IDC"], row["p_IDC"]) for row in mosaic.table().to_pylist()
    }
    places = zip(mosaic.rows * CELL_PX, mosaic.columns * CELL_PX, strict=True)
    np.testing.assert_allclose([found[place] for place in places], judged, atol=1e-6)


def test_with_a_stride_of_a_patch_every_pixel_of_a_cell_is_that_patchs_probability(
    mosaic: Mosaic, judged: NDArray[np.float32]
) -> None:
    rows, own = mosaic.table(), set(zip(mosaic.rows * CELL_PX, mosaic.columns * CELL_PX, strict=True))
    places = zip(rows["y_level0_px"].to_pylist(), rows["x_level0_px"].to_pylist(), strict=True)
    alone = rows.filter(pa.array([place in own for place in places]))
    folded = lay_grid(alone, ("non-IDC", "IDC"), CELL_PX, mosaic.frame, mosaic.frame).over(mosaic.frame.box)
    np.testing.assert_array_equal(np.isfinite(folded[..., 0]), mosaic.cells)
    for row, column, expected in zip(mosaic.rows * CELL_PX, mosaic.columns * CELL_PX, judged, strict=True):
        cell = folded[row : row + CELL_PX, column : column + CELL_PX]
        np.testing.assert_allclose(cell, np.broadcast_to(expected, cell.shape), atol=1e-6)


def test_the_stored_map_tells_carcinoma_as_the_patches_do(mosaic: Mosaic, judged: NDArray[np.float32]) -> None:
    store = SlideStore(mosaic.folder / "out" / "mosaic" / "mosaic.ome.zarr")
    layer = store.layer("heatmaps/idc-hybrid/0")
    assert layer.frame == mosaic.frame
    told = mosaic.of_cells(layer.read(layer.frame.box))
    np.testing.assert_allclose(told, judged, atol=0.05)  # at a centre others weigh at most 4 %
    assert auc(mosaic.labels, told[:, 1]) == pytest.approx(auc(mosaic.labels, judged[:, 1]), abs=0.01)


def test_nothing_is_judged_farther_than_half_a_patch_from_a_cell(mosaic: Mosaic) -> None:
    store = SlideStore(mosaic.folder / "out" / "mosaic" / "mosaic.ome.zarr")
    layer = store.layer("heatmaps/idc-hybrid/0")
    judged = np.isfinite(layer.read(layer.frame.box)[..., 0])
    assert judged[mosaic.cells].all()
    near = np.pad(mosaic.cells, CELL_PX // 2)
    height, width = mosaic.cells.shape
    reach = np.zeros_like(judged)
    for down in (0, CELL_PX // 2, CELL_PX):
        for right in (0, CELL_PX // 2, CELL_PX):
            reach |= near[down : down + height, right : right + width]
    assert not (judged & ~reach).any()
    assert pc.max(mosaic.table()["size_level0_px"]).as_py() == CELL_PX
