from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from pipeline.density import DENSITY
from pipeline.errors import StoreError
from pipeline.geometry import Frame
from pipeline.ngff import Heatmap, Pyramid
from pipeline.preview import round_length_um, write_preview
from pipeline.store import SlideStore
from tests.pipeline.finished_slide import VIOLET, Parts, make_slide, read_run


def draw(folder: Path) -> NDArray[np.uint8]:
    with Image.open(write_preview(folder, read_run(folder))) as image:
        return np.asarray(image)


def yellowish(picture: NDArray[np.uint8]) -> NDArray[np.bool_]:
    red, green, blue = np.moveaxis(picture.astype(int), -1, 0)
    yellow: NDArray[np.bool_] = np.minimum(red, green) - blue > 50
    return yellow


def test_the_same_store_gives_the_same_bytes_and_the_file_is_left_alone(tmp_path: Path) -> None:
    one, other = make_slide(tmp_path / "a"), make_slide(tmp_path / "b")
    first = write_preview(one, read_run(one))
    written_ns = first.stat().st_mtime_ns
    assert write_preview(other, read_run(other)).read_bytes() == first.read_bytes()
    write_preview(one, read_run(one))
    assert first.stat().st_mtime_ns == written_ns
    assert sorted(path.name for path in one.glob("*preview*")) == ["preview.png"]


@pytest.mark.parametrize("shape", [(250, 300), (40, 2500), (2500, 40), (7, 9)])
@pytest.mark.parametrize(
    "parts", [Parts(), Parts(sr=False, nuclei=None, heat=False, tissue=False)], ids=["all", "bare"]
)
def test_every_shape_of_slide_fits_a_screen(tmp_path: Path, shape: tuple[int, int], parts: Parts) -> None:
    centres = None if parts.nuclei is None else [(min(shape) / 2, min(shape) / 2)]
    parts = Parts(parts.sr, centres, parts.heat, parts.tissue)
    height, width = draw(make_slide(tmp_path, shape=shape, parts=parts)).shape[:2]
    assert width <= 1600
    assert height <= 1300


@pytest.mark.parametrize("sr", [True, False], ids=["super-resolved", "as read"])
def test_nuclei_are_outlined_in_the_close_look_and_nowhere_else(tmp_path: Path, sr: bool) -> None:
    with_nuclei = yellowish(draw(make_slide(tmp_path, "with", parts=Parts(sr=sr, heat=False))))
    without = yellowish(draw(make_slide(tmp_path, "without", parts=Parts(sr=sr, heat=False, nuclei=None))))
    assert with_nuclei.sum() > 200
    assert np.argwhere(with_nuclei)[:, 1].min() > with_nuclei.shape[1] / 2
    assert not without.any()


def test_an_outline_lies_on_the_border_of_its_nucleus(tmp_path: Path) -> None:
    parts = Parts(sr=False, heat=False, tissue=False, nuclei=[(125.0, 150.0)])
    picture = draw(make_slide(tmp_path, parts=parts))
    outline = np.argwhere(yellowish(picture))
    middle = np.array(picture.shape[:2]) // 2
    nucleus = np.argwhere((picture[middle[0] :, middle[1] :] == VIOLET).all(axis=2)) + middle
    np.testing.assert_allclose(outline.min(axis=0), nucleus.min(axis=0), atol=3)
    np.testing.assert_allclose(outline.max(axis=0), nucleus.max(axis=0), atol=3)


def test_names_that_look_like_formulas_or_markup_are_drawn_as_they_are(tmp_path: Path) -> None:
    name = "a$b$ \\frac{<script> \u4e2d\n"
    picture = draw(make_slide(tmp_path, name, parts=Parts(classes=("$", "<b>$\\oops{$"))))
    assert picture.std() > 0


@pytest.mark.parametrize("odd", [{"mpp": 1e-12}, {"mpp": 1e9, "height": 2**50}, {"width": -1}, {"mpp": "0.5"}])
def test_a_level_0_that_cannot_be_the_slide_s_is_not_believed(tmp_path: Path, odd: dict[str, object]) -> None:
    folder = make_slide(tmp_path, parts=Parts(sr=False, heat=False))
    expected = draw(folder)
    run = read_run(folder)
    run["resolution"]["level0"] |= odd
    with Image.open(write_preview(folder, run)) as image:
        np.testing.assert_array_equal(np.asarray(image), expected)


def test_a_folder_without_a_store_says_which_folder(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=str(tmp_path)):
        write_preview(tmp_path, {})


def test_a_map_of_density_is_not_drawn_as_a_probability(tmp_path: Path) -> None:
    bare = make_slide(tmp_path / "bare", parts=Parts(heat=False))
    expected = draw(bare)
    store, frame = SlideStore(bare / "slide.ome.zarr"), Frame(250, 300, 0.5).halved(2)
    store.create_heatmap(DENSITY, Pyramid.over(frame), Heatmap(("nuclei per mm2",), end=1e4), 256)
    store.layer(f"{DENSITY}/0").write(frame.box, np.full((*frame.shape, 1), 3000, np.float32))
    np.testing.assert_array_equal(draw(bare), expected)


def test_memory_does_not_grow_with_the_slide(tmp_path: Path) -> None:
    """Of 100,000 x 100,000 px with nothing written, a level read whole would take gigabytes."""
    folder = tmp_path / "huge"
    folder.mkdir()
    store, frame = SlideStore(folder / "huge.ome.zarr"), Frame(100_000, 100_000, 0.25)
    store.create_image("", "huge", Pyramid.over(frame), 1024)
    store.create_labels("labels/tissue", Pyramid.over(frame), 1024, "uint8")
    store.create_heatmap("heatmaps/idc", Pyramid.over(frame.halved(4)), Heatmap(("a", "b")), 1024)
    tracemalloc.start()
    write_preview(folder, {})
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_bytes < 200e6


@given(st.floats(0.01, 1e6))
def test_a_scale_bar_is_round_and_nearly_as_long_as_it_may_be(most_um: float) -> None:
    length_um = round_length_um(most_um)
    assert most_um / 2.5 < length_um * (1 + 1e-6)
    assert length_um <= most_um * (1 + 1e-6)
    assert f"{length_um:.0e}"[0] in "125"
