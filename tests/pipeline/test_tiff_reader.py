from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.geometry import Box
from pipeline.tiff_reader import TiffReader


def colours(height: int = 100, width: int = 140) -> NDArray[np.uint8]:
    return np.random.default_rng(5).integers(0, 256, (height, width, 3), np.uint8)


def written(folder: Path, pixels: NDArray[Any], name: str = "a.tif", **how: Any) -> TiffReader:
    how.setdefault("photometric", "rgb")
    tifffile.imwrite(folder / name, pixels, **how)
    return TiffReader(folder / name)


def everything(reader: TiffReader, level: int = 0) -> NDArray[np.uint8]:
    return reader.read(level, Box(0, 0, *reader.levels[level].shape))


@given(y=st.integers(0, 99), x=st.integers(0, 139), height=st.integers(1, 100), width=st.integers(1, 140))
@settings(max_examples=60, deadline=None)
def test_any_box_is_cut_from_the_whole(tmp_path_factory: Any, y: int, x: int, height: int, width: int) -> None:
    path = tmp_path_factory.getbasetemp() / "any-box.tif"
    if not path.exists():
        tifffile.imwrite(path, colours(), photometric="rgb", tile=(32, 48), compression="zlib")
    box = Box(y, x, min(height, 100 - y), min(width, 140 - x))
    reader = TiffReader(path)
    assert np.array_equal(reader.read(0, box), colours()[box.slices()])
    reader.close()


@pytest.mark.parametrize(
    "how",
    [
        {"tile": (32, 32)},
        {"tile": (32, 32), "compression": "lzw", "predictor": True},
        {"tile": (32, 32), "compression": "webp", "compressionargs": {"level": -1}},
        {"tile": (32, 32), "byteorder": ">", "bigtiff": True},
        {},
        {"rowsperstrip": 7, "compression": "zlib"},
    ],
    ids=str,
)
def test_layouts_of_rgb_give_the_same_pixels(tmp_path: Path, how: dict[str, Any]) -> None:
    reader = written(tmp_path, colours(), **how)
    assert np.array_equal(everything(reader), colours())
    assert np.array_equal(reader.read(0, Box(13, 17, 50, 60)), colours()[13:63, 17:77])


@pytest.mark.parametrize("tile", [None, (32, 32)])
def test_colours_kept_apart_are_put_together(tmp_path: Path, tile: tuple[int, int] | None) -> None:
    apart = np.ascontiguousarray(np.moveaxis(colours(), 2, 0))
    assert np.array_equal(everything(written(tmp_path, apart, planarconfig="separate", tile=tile)), colours())
    ome = written(tmp_path, apart, "a.ome.tif", photometric="minisblack", metadata={"axes": "CYX"}, tile=tile)
    assert np.array_equal(everything(ome), colours())


@pytest.mark.parametrize("tile", [None, (32, 32)])
def test_grey_inverted_grey_and_palettes_become_rgb(tmp_path: Path, tile: tuple[int, int] | None) -> None:
    grey = colours()[..., 0]
    repeated = grey[..., np.newaxis].repeat(3, axis=2)
    assert np.array_equal(everything(written(tmp_path, grey, photometric="minisblack", tile=tile)), repeated)
    assert np.array_equal(everything(written(tmp_path, grey, photometric="miniswhite", tile=tile)), 255 - repeated)
    colormap = np.random.default_rng(1).integers(0, 256, (3, 256)).astype(np.uint16) * 257
    paletted = written(tmp_path, grey, photometric="palette", colormap=colormap, tile=tile)
    assert np.array_equal(everything(paletted), np.moveaxis(colormap[:, grey] // 257, 0, 2))


@pytest.mark.parametrize("tile", [None, (32, 32)])
def test_alpha_lies_over_white(tmp_path: Path, tile: tuple[int, int] | None) -> None:
    rgba = np.dstack([colours(), np.full((100, 140), 51, np.uint8)])
    pixels = everything(written(tmp_path, rgba, extrasamples=["unassalpha"], tile=tile))
    assert np.abs(pixels - (colours() * 0.2 + 204)).max() <= 0.51


def test_sixteen_bits_become_eight(tmp_path: Path) -> None:
    deep = colours().astype(np.uint16) * 257
    assert np.array_equal(everything(written(tmp_path, deep, tile=(32, 32))), colours())
    assert np.array_equal(everything(written(tmp_path, deep)), colours())


def test_tiles_that_the_file_leaves_out_are_white(tmp_path: Path) -> None:
    reader = written(tmp_path, colours(), tile=(32, 32))
    page = reader._levels[0][0]
    reader._levels = ((type(page)(*(_without_first(page, field) for field in page.__slots__)),),)
    assert (reader.read(0, Box(0, 0, 32, 32)) == 255).all()
    assert np.array_equal(reader.read(0, Box(0, 32, 32, 32)), colours()[:32, 32:64])


def _without_first(page: Any, field: str) -> Any:
    value = getattr(page, field)
    return [0, *value[1:]] if field == "byte_counts" else value


def test_a_file_cut_short_says_so(tmp_path: Path) -> None:
    written(tmp_path, colours(), tile=(32, 32)).close()
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        end = max(file.pages[0].dataoffsets) + 100
    whole = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "a.tif").write_bytes(whole[:end])
    reader = TiffReader(tmp_path / "a.tif")
    assert np.array_equal(reader.read(0, Box(0, 0, 32, 32)), colours()[:32, :32])
    with pytest.raises(EOFError, match="ends inside tile"):
        everything(reader)


def test_levels_are_copies_of_the_picture_and_nothing_else(tmp_path: Path) -> None:
    full = colours(1050, 906)
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(full, photometric="rgb", tile=(64, 64))
        for step in (4, 8, 16):
            file.write(full[::step, ::step], photometric="rgb", tile=(64, 64), subfiletype=1)
        file.write(colours(40, 90), photometric="rgb", subfiletype=1)
        file.write(colours(64, 128), photometric="rgb", tile=(64, 64))
    reader = TiffReader(tmp_path / "a.tif")
    assert [level.shape for level in reader.levels] == [(1050, 906), (263, 227), (132, 114), (66, 57)]
    for index, step in enumerate((1, 4, 8, 16)):
        assert np.array_equal(everything(reader, index), full[::step, ::step])


@pytest.mark.parametrize(
    ("how", "mpp", "source"),
    [
        ({"resolution": (40_000, 40_000), "resolutionunit": "CENTIMETER"}, 0.25, "tiff.XResolution (centimeter)"),
        ({"resolution": (50_800, 50_800), "resolutionunit": "INCH"}, 0.5, "tiff.XResolution (inch)"),
        ({"resolution": (2, 2), "metadata": {"unit": "um"}, "imagej": True}, 0.5, "tiff.XResolution (ImageJ, micron)"),
    ],
)
def test_resolution_is_read_where_the_file_states_it(
    tmp_path: Path, how: dict[str, Any], mpp: float, source: str
) -> None:
    stated = written(tmp_path, colours(), **how).stated
    assert stated is not None
    assert (stated.mpp_y, stated.mpp_x) == pytest.approx((mpp, mpp))
    assert stated.source == source


@pytest.mark.parametrize(("unit", "size"), [("µm", 0.5), ("nm", 500), ("mm", 0.0005)])
def test_resolution_of_ome_knows_its_unit(tmp_path: Path, unit: str, size: float) -> None:
    metadata = {
        "axes": "YXS",
        "PhysicalSizeX": size,
        "PhysicalSizeXUnit": unit,
        "PhysicalSizeY": size,
        "PhysicalSizeYUnit": unit,
    }
    stated = written(tmp_path, colours(), "a.ome.tif", metadata=metadata).stated
    assert stated is not None
    assert stated.mpp_x == pytest.approx(0.5)
    assert stated.source == "OME PhysicalSizeX"


def test_a_file_without_a_unit_states_nothing(tmp_path: Path) -> None:
    assert written(tmp_path, colours(), resolution=(300, 300), resolutionunit="NONE").stated is None
    assert written(tmp_path, colours()).stated is None


@pytest.mark.parametrize("shape", [(4, 50, 60), (2, 3, 50, 60)])
def test_stacks_are_no_slides(tmp_path: Path, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="no picture of two dimensions"):
        written(tmp_path, np.zeros(shape, np.uint8), photometric="minisblack")


def test_floats_are_no_slides(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="float32"):
        written(tmp_path, np.zeros((50, 60), np.float32), photometric="minisblack")
