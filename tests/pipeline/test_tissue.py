from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from PIL import Image

from pipeline.errors import ConfigError
from pipeline.geometry import Box, Frame
from pipeline.grid import TileGrid
from pipeline.slide import open_slide
from pipeline.tissue import TissueMask, find_tissue
from tests.pipeline.real_slides import real_file

COARSE = Frame(12, 16, 8.0)
FINE = Frame(96 * 4, 128 * 4, 0.25)


@st.composite
def masks(draw: st.DrawFn) -> TissueMask:
    return TissueMask(draw(arrays(np.bool_, COARSE.shape)), COARSE)


@st.composite
def boxes(draw: st.DrawFn) -> Box:
    y, x = draw(st.integers(-40, 400)), draw(st.integers(-40, 540))
    return Box(y, x, draw(st.integers(0, 200)), draw(st.integers(0, 200)))


def drawn(mask: TissueMask, box: Box) -> NDArray[np.bool_]:
    """Return the mask at the pixels of a box of FINE, found by repeating its pixels; (y, x) bool."""
    whole = np.pad(mask.mask.repeat(32, axis=0).repeat(32, axis=1), 300)
    return np.asarray(whole[300 + box.y : 300 + box.y_end, 300 + box.x : 300 + box.x_end])


@given(masks(), boxes())
def test_share_is_the_mean_over_the_box(mask: TissueMask, box: Box) -> None:
    expected = drawn(mask, box).mean() if box.area_px else 0
    assert mask.share(box, FINE) == pytest.approx(expected, abs=1e-9)


@given(masks(), boxes())
def test_touches_is_any_over_the_box(mask: TissueMask, box: Box) -> None:
    assert mask.touches(box, FINE) == drawn(mask, box).any()


@given(masks(), boxes())
def test_a_hull_holds_all_tissue_of_a_box_and_no_row_too_many(mask: TissueMask, box: Box) -> None:
    held = drawn(mask, box)
    rows, columns = np.flatnonzero(held.any(axis=1)), np.flatnonzero(held.any(axis=0))
    hull = mask.hull(box, FINE)
    if not len(rows):
        assert not hull.area_px
    else:
        height, width = int(rows[-1] - rows[0]) + 1, int(columns[-1] - columns[0]) + 1
        assert hull == Box(box.y + int(rows[0]), box.x + int(columns[0]), height, width)


@given(masks(), st.integers(1, 300), st.integers(1, 400), st.sampled_from([0.25, 0.3, 1.0, 9.0]), st.integers(1, 200))
def test_cores_touch_what_each_of_them_touches(
    mask: TissueMask, height: int, width: int, mpp: float, core_px: int
) -> None:
    slide = Frame(96 * 4, 128 * 4, 0.25).at(mpp)
    grid = TileGrid(Frame(min(height, slide.height), min(width, slide.width), mpp), core_px)
    touched = [mask.touches(tile.core, grid.frame) for tile in grid]
    assert mask.touches_cores(grid.frame, core_px).ravel().tolist() == touched


@given(masks(), boxes())
def test_crop_draws_the_mask(mask: TissueMask, box: Box) -> None:
    crop = mask.crop(box, FINE)
    assert crop.dtype == np.uint8
    assert np.array_equal(crop, drawn(mask, box))


@given(masks(), boxes())
def test_contains_agrees_with_crop_at_pixel_centres(mask: TissueMask, box: Box) -> None:
    y, x = np.mgrid[box.y : box.y_end, box.x : box.x_end] + 0.5
    assert np.array_equal(mask.contains(y, x, FINE), mask.crop(box, FINE))


def test_contains_takes_single_points() -> None:
    mask = np.zeros(COARSE.shape, np.bool_)
    mask[2, 3] = True
    tissue = TissueMask(mask, COARSE)
    assert tissue.contains(16.0, 24.0, Frame(96, 128, 1.0))
    assert not tissue.contains(15.9, 24.0, Frame(96, 128, 1.0))
    assert not tissue.contains(-1.0, -1.0, Frame(96, 128, 1.0))


@given(masks(), st.floats(0, 60))
def test_dilation_reaches_that_far_along_either_axis_and_hardly_farther(mask: TissueMask, distance_um: float) -> None:
    grown = mask.dilated(distance_um)
    reach_px = int(np.ceil(distance_um / 8 - 1e-9))
    expected = np.zeros_like(mask.mask)
    for y, x in zip(*np.nonzero(mask.mask), strict=True):
        expected[max(0, y - reach_px) : y + reach_px + 1, max(0, x - reach_px) : x + reach_px + 1] = True
    assert np.array_equal(grown.mask, expected)


@given(masks(), st.integers(0, 383), st.integers(0, 511), st.integers(1, 150))
def test_what_a_point_on_tissue_sees_lies_in_the_dilated_mask(mask: TissueMask, y: int, x: int, halo_px: int) -> None:
    if mask.contains(y, x, FINE):
        view = FINE.box.clip(Box(y, x, 1, 1).grow(halo_px))
        assert mask.dilated((halo_px + 1) * FINE.mpp).share(view, FINE) == pytest.approx(1)


@given(st.integers(1, 3000), st.integers(1, 3000), st.floats(0.05, 20))
def test_everything_is_all_of_the_slide(height: int, width: int, mpp: float) -> None:
    frame = Frame(height, width, mpp)
    mask = TissueMask.everything(frame)
    assert mask.share(frame.box, frame) == pytest.approx(1)
    assert mask.contains(height - 0.01, width - 0.01, frame)
    assert mask.touches(Box(height - 1, width - 1, 1, 1), frame)
    assert mask.area_um2 >= frame.box.area_px * mpp**2 * (1 - 1e-9)


def test_area_counts_pixels() -> None:
    mask = np.zeros(COARSE.shape, np.bool_)
    mask[:3, :5] = True
    assert TissueMask(mask, COARSE).area_um2 == 15 * 64


def test_a_mask_that_does_not_fill_its_frame_is_refused() -> None:
    with pytest.raises(ValueError, match="does not fill"):
        TissueMask(np.zeros((3, 3), np.bool_), COARSE)


@given(mask=masks())
def test_a_saved_mask_comes_back(tmp_path_factory: pytest.TempPathFactory, mask: TissueMask) -> None:
    path = tmp_path_factory.getbasetemp() / "tissue.npz"
    mask.save(path)
    back = TissueMask.load(path)
    assert back.frame == mask.frame
    assert np.array_equal(back.mask, mask.mask)
    assert not path.with_name("tissue.npz.partial").exists()


@pytest.mark.parametrize("mode", ["1", "L", "RGB", "RGBA", "I;16"])
def test_a_drawn_mask_is_stretched_over_the_slide(tmp_path: Path, mode: str) -> None:
    drawing = np.zeros((60, 80), np.uint8)
    drawing[:30, 40:] = 255
    picture = Image.fromarray(drawing.astype(np.uint16)) if mode == "I;16" else Image.fromarray(drawing).convert(mode)
    picture.save(tmp_path / "mask.png")
    slide = Frame(12_000, 16_000, 0.25)
    mask = TissueMask.from_image(tmp_path / "mask.png", slide)
    assert mask.share(Box(0, 8000, 6000, 8000), slide) == pytest.approx(1, abs=0.01)
    assert mask.share(slide.box, slide) == pytest.approx(0.25, abs=0.01)


def test_labels_of_one_are_tissue_too(tmp_path: Path) -> None:
    Image.fromarray(np.eye(40, dtype=np.uint8)).save(tmp_path / "mask.png")
    assert TissueMask.from_image(tmp_path / "mask.png", Frame(4000, 4000, 0.25)).mask.any()


def test_a_drawing_of_another_slide_is_refused(tmp_path: Path) -> None:
    Image.new("L", (80, 60)).save(tmp_path / "mask.png")
    with pytest.raises(ConfigError, match="80 x 60 px cannot lie over"):
        TissueMask.from_image(tmp_path / "mask.png", Frame(16_000, 12_000, 0.25))
    TissueMask.from_image(tmp_path / "mask.png", Frame(12_080, 15_990, 0.25))


def test_what_is_no_picture_is_no_mask(tmp_path: Path) -> None:
    (tmp_path / "mask.png").write_text("no picture")
    with pytest.raises(ConfigError, match=r"mask\.png"):
        TissueMask.from_image(tmp_path / "mask.png", FINE)
    with pytest.raises(ConfigError, match=r"none\.png"):
        TissueMask.from_image(tmp_path / "none.png", FINE)


def test_a_white_slide_holds_no_tissue(tmp_path: Path) -> None:
    Image.new("RGB", (900, 700), (243, 243, 243)).save(tmp_path / "a.png")
    with open_slide(tmp_path / "a.png", mpp=0.5) as slide:
        mask = find_tissue(slide)
    assert not mask.mask.any()
    assert not mask.dilated(500).mask.any()


@pytest.mark.slides
@pytest.mark.parametrize(
    ("name", "mpp", "least", "most"),
    [
        ("BS9_HE2.tif", None, 0.22, 0.29),
        ("CMU-1-Small-Region.svs", None, 0.36, 0.46),
        ("tcga-cr-7395-no-mpp.svs", 0.25, 0.62, 0.72),
        ("camelyon_multiframe_jpeg.dcm", 20.0, 0.22, 0.31),
        ("OS-1-detail.ome.tif", None, 0.99, 1),
    ],
)
def test_real_slides_hold_as_much_tissue_as_one_sees(name: str, mpp: float | None, least: float, most: float) -> None:
    with open_slide(real_file(f"wsi/{name}"), mpp) as slide:
        assert least <= find_tissue(slide).mask.mean() <= most


@pytest.mark.slides
def test_the_mask_covers_level_0_and_is_the_same_each_time() -> None:
    with open_slide(real_file("wsi/BS9_HE2.tif")) as slide:
        first, second, frame = find_tissue(slide), find_tissue(slide), slide.info.frame
    assert first.frame == frame.at(8.0)
    assert np.array_equal(first.mask, second.mask)


@pytest.mark.slides
def test_both_readers_find_the_same_tissue() -> None:
    found = []
    readers: tuple[Literal["openslide", "tiffslide"], ...] = ("openslide", "tiffslide")
    for reader in readers:
        with open_slide(real_file("wsi/CMU-1-Small-Region.svs"), reader=reader) as slide:
            found.append(find_tissue(slide).mask)
    assert np.array_equal(found[0], found[1])


@pytest.mark.slides
@pytest.mark.parametrize("folder", ["nuclei/monuseg/images", "nuclei/nuinsseg/images"])
def test_pictures_cut_from_tissue_are_all_tissue(folder: str) -> None:
    for path in sorted(real_file(folder).iterdir())[::40]:
        with open_slide(path, mpp=0.25) as slide:
            assert find_tissue(slide).mask.mean() > 0.9, path.name
