import math
import os
import struct
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pipeline.errors import ImplausibleResolution, MissingResolution, SlideError, UnreadableSlide
from pipeline.geometry import Box, Frame
from pipeline.output import SlideOutput
from pipeline.resample import Resampled
from pipeline.slide import LevelSource, base_source, open_slide, slide_name
from tests.pipeline.real_slides import real_file

OTHER_CODECS = ["jp2", "webp", "wrong-mpp"]


def pyramid(path: Path, steps: tuple[int, ...] = (1, 4, 16), mpp: float = 0.25, side_px: int = 403) -> Path:
    """Write a TIFF of noise whose levels are every step-th pixel."""
    full = np.random.default_rng(2).integers(0, 256, (side_px, side_px, 3), np.uint8)
    per_cm = 10_000 / mpp
    with tifffile.TiffWriter(path) as file:
        for step in steps:
            file.write(
                full[::step, ::step],
                photometric="rgb",
                tile=(64, 64),
                subfiletype=int(step > 1),
                resolution=(per_cm / step, per_cm / step),
                resolutionunit="CENTIMETER",
            )
    return path


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/data/OS-1-detail.ome.tif", "OS-1-detail"),
        ("a.OME.TIFF", "a"),
        ("TCGA-18-5592.v1.svs", "TCGA-18-5592.v1"),
        ("slide", "slide"),
        (".svs", "svs"),
        ("...svs", "slide"),
        ("a\nb\x00c:d.svs", "a_b_c_d"),
        ("Präparat 7.ndpi", "Präparat 7"),
    ],
)
def test_a_slide_is_called_by_its_file(path: str, name: str) -> None:
    assert slide_name(path) == name


HOSTILE_NAMES = st.one_of(
    st.text(max_size=30),
    st.text(min_size=200, max_size=400),
    st.lists(st.sampled_from(["..", "/", "\\", "\0", "~", "a", ":", " ", ".svs", *"\u2024\uff0f\u202e"])).map("".join),
    st.sampled_from(["report.html.svs", "cohort.parquet.tif", ".partial.svs", "a.lock.svs", "..svs", "\u00fc" * 300]),
)  # fmt: skip


@given(HOSTILE_NAMES)
def test_no_name_leads_out_of_the_folder_of_results_or_into_what_is_the_cohorts(text: str) -> None:
    root = Path("/results")
    output = SlideOutput(root, slide_name(text))
    assert output.final.parent == root
    assert output.partial.parent == root / ".partial"
    assert Path(os.path.normpath(output.final)) == output.final
    assert output.name not in {"report.html", "cohort.parquet"}
    assert not output.name.startswith(".")
    assert len(f".{output.name}.ome.zarr.{'x' * 30}".encode()) <= 255


def test_long_names_that_begin_alike_stay_apart() -> None:
    assert slide_name("a" * 240 + "b.svs") != slide_name("a" * 240 + "c.svs")


@given(HOSTILE_NAMES)
def test_any_name_is_safe_as_a_folder(text: str) -> None:
    name = slide_name(text)
    assert name
    assert name not in {".", ".."}
    assert not set(name) & set('/\\:*?"<>|\n\r\t\0')
    assert name.encode("utf-8")
    assert Path(name).name == name


def test_the_option_goes_before_the_file_and_says_so(tmp_path: Path) -> None:
    path = pyramid(tmp_path / "a.tif")
    with open_slide(path) as slide:
        assert slide.info.frame.mpp == pytest.approx(0.25)
        assert slide.info.mpp_source == "tiff.XResolution (centimeter)"
    with open_slide(path, mpp=0.5) as slide:
        assert (slide.info.frame.mpp, slide.info.mpp_source) == (0.5, "option --mpp")


@pytest.mark.parametrize("mpp", [0.0, -0.25, 0.0499, 20.1, math.nan, math.inf])
def test_an_absurd_option_is_refused_by_name(tmp_path: Path, mpp: float) -> None:
    with pytest.raises(ImplausibleResolution, match="option --mpp"):
        open_slide(pyramid(tmp_path / "a.tif"), mpp=mpp)


def test_an_absurd_resolution_names_its_source_and_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(ImplausibleResolution, match=r"(?s)50 um/px, from tiff.XResolution \(centimeter\).*--mpp"):
        open_slide(pyramid(tmp_path / "a.tif", mpp=50))


def test_pixels_that_are_not_square_are_refused(tmp_path: Path) -> None:
    def written(per_cm_x: float, per_cm_y: float) -> Path:
        pixels = np.zeros((64, 64, 3), np.uint8)
        how: dict[str, Any] = {"resolution": (per_cm_x, per_cm_y), "resolutionunit": "CENTIMETER"}
        tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb", tile=(64, 64), **how)
        return tmp_path / "a.tif"

    with pytest.raises(ImplausibleResolution, match=r"0\.25 x 0\.5 um/px"):
        open_slide(written(40_000, 20_000))
    with open_slide(written(40_000, 20_000), mpp=0.25) as slide:
        assert slide.info.frame.mpp == 0.25
    with open_slide(written(10_000 / 0.24, 10_000 / 0.26)) as slide:
        assert slide.info.frame.mpp == pytest.approx(0.25, abs=1e-4)


def test_a_picture_needs_the_option(tmp_path: Path) -> None:
    Image.new("RGB", (30, 20), (10, 20, 30)).save(tmp_path / "a.png")
    with pytest.raises(MissingResolution, match="--mpp X"):
        open_slide(tmp_path / "a.png")
    with open_slide(tmp_path / "a.png", mpp=0.5) as slide:
        assert slide.info.levels == (Frame(20, 30, 0.5),)
        assert (slide.level(0).read(slide.info.frame.box) == (10, 20, 30)).all()


@pytest.mark.parametrize("content", [b"", b"not a slide", b"II*\0" + b"\xff" * 60, b"\x89PNG\r\n\x1a\n" + b"x" * 40])
@pytest.mark.parametrize("name", ["a.svs", "a.png", "a.tif"])
def test_what_is_no_slide_is_refused_in_two_lines_that_name_it(tmp_path: Path, content: bytes, name: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UnreadableSlide) as caught:
        open_slide(tmp_path / name, mpp=0.25)
    lines = str(caught.value).splitlines()
    assert len(lines) == 2
    assert name in lines[0]


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableSlide, match="no such file"):
        open_slide(tmp_path / "a.svs")
    with pytest.raises(UnreadableSlide, match="not a file"):
        open_slide(tmp_path)


def test_levels_rounded_up_or_down_are_whole_fractions(tmp_path: Path) -> None:
    with open_slide(pyramid(tmp_path / "a.tif")) as slide:
        assert [level.shape for level in slide.info.levels] == [(403, 403), (101, 101), (26, 26)]
        assert [level.mpp / slide.info.frame.mpp for level in slide.info.levels] == [1, 4, 16]


def test_outside_a_level_is_white(tmp_path: Path) -> None:
    with open_slide(pyramid(tmp_path / "a.tif")) as slide:
        level = slide.level(0)
        pixels = level.read(Box(-5, 398, 20, 20))
        assert (pixels[:5] == 255).all()
        assert (pixels[:, 5:] == 255).all()
        assert np.array_equal(pixels[5:, :5], level.read(Box(0, 398, 15, 5)))
        assert level.read(Box(9999, 0, 4, 4)).min() == 255
        assert level.read(Box(3, 3, 0, 7)).shape == (0, 7, 3)


@pytest.mark.parametrize(("mpp", "level"), [(0.25, 0), (0.2, 0), (0.3125, 0), (1.0, 1), (0.8, 1), (1.25, 1), (4.4, 2)])
def test_a_level_that_is_near_enough_is_used_as_it_is(tmp_path: Path, mpp: float, level: int) -> None:
    with open_slide(pyramid(tmp_path / "a.tif"), mpp=0.25) as slide:
        source = base_source(slide, mpp)
        assert isinstance(source, LevelSource)
        assert source.frame == slide.info.levels[level]


@pytest.mark.parametrize(("mpp", "from_mpp"), [(0.5, 0.25), (0.1, 0.25), (2.0, 1.0), (3.0, 1.0), (8.0, 4.0)])
def test_else_the_coarsest_finer_level_is_resampled_from_the_corner(
    tmp_path: Path, mpp: float, from_mpp: float
) -> None:
    with open_slide(pyramid(tmp_path / "a.tif"), mpp=0.25) as slide:
        source = base_source(slide, mpp)
        assert isinstance(source, Resampled)
        assert source.frame == slide.info.frame.at(mpp)
        finer = next(i for i, level in enumerate(slide.info.levels) if level.mpp == from_mpp)
        expected = Resampled(slide.level(finer), source.frame)
        assert np.array_equal(source.read(Box(2, 3, 9, 9)), expected.read(Box(2, 3, 9, 9)))


@pytest.mark.slides
@pytest.mark.parametrize("codec", OTHER_CODECS)
def test_one_slide_in_several_codecs_looks_the_same(codec: str) -> None:
    with (
        open_slide(real_file("wsi/CMU-1-Small-Region.svs")) as svs,
        open_slide(real_file(f"wsi/CMU-1-Small-Region.{codec}.tiff"), mpp=0.499) as other,
    ):
        assert other.info.frame == svs.info.frame == Frame(2967, 2220, 0.499)
        box = Box(1400, 900, 500, 500)
        alike = np.corrcoef(svs.level(0).read(box).ravel(), other.level(0).read(box).ravel())[0, 1]
        assert alike > 0.97


@pytest.mark.slides
@pytest.mark.parametrize("reader", ["tiffslide", "openslide"])
def test_an_aperio_slide_tells_about_itself(reader: Literal["tiffslide", "openslide"]) -> None:
    path = real_file("wsi/CMU-1-Small-Region.svs")
    with open_slide(path, reader=reader) as slide:
        info = slide.info
    assert (info.name, info.vendor, info.reader) == ("CMU-1-Small-Region", "aperio", reader)
    assert (info.mpp_source, info.objective_power, info.bytes) == ("aperio.MPP", 20, 1_938_955)


@pytest.mark.slides
def test_every_level_of_a_generic_pyramid_is_found() -> None:
    with open_slide(real_file("wsi/BS9_HE2.tif")) as slide:
        assert [level.shape for level in slide.info.levels] == [(16783, 14486), (4196, 3622), (2098, 1811), (1049, 906)]
        assert [level.mpp for level in slide.info.levels] == [0.25, 1, 2, 4]


@pytest.mark.slides
@pytest.mark.parametrize(
    ("name", "error", "says"),
    [
        ("tcga-cr-7395-no-mpp.svs", MissingResolution, "--mpp X"),
        ("CMU-1-Small-Region.wrong-mpp.tiff", ImplausibleResolution, "0.00499 um/px"),
        ("boxes.tiff", ImplausibleResolution, "352.778 um/px"),
        ("camelyon_multiframe_jpeg.dcm", ImplausibleResolution, "28.9685 um/px"),
        ("no-pixels.vsi", UnreadableSlide, ".ets files"),
        ("4D-series.ome.tiff", UnreadableSlide, "TZYX"),
    ],
)
def test_a_bad_file_gets_the_right_error(name: str, error: type[SlideError], says: str) -> None:
    with pytest.raises(error) as caught:
        open_slide(real_file(f"wsi/{name}"))
    lines = str(caught.value).splitlines()
    assert len(lines) == 2
    assert name in lines[0]
    assert says in str(caught.value)


@pytest.mark.slides
@pytest.mark.parametrize("name", ["tcga-cr-7395-no-mpp.svs", "boxes.tiff", "camelyon_multiframe_jpeg.dcm"])
def test_the_option_makes_good_what_the_file_does_not_say(name: str) -> None:
    with open_slide(real_file(f"wsi/{name}"), mpp=0.25) as slide:
        assert slide.level(0).read(slide.info.frame.box).std() > 10


@pytest.mark.slides
def test_an_ome_tiff_is_read() -> None:
    with open_slide(real_file("wsi/OS-1-detail.ome.tif")) as slide:
        assert slide.info.frame.shape == (1101, 1101)
        assert slide.info.frame.mpp == pytest.approx(0.2271, abs=1e-4)
        assert slide.info.mpp_source == "OME PhysicalSizeX"
        assert 100 < slide.level(0).read(slide.info.frame.box).mean() < 200


@pytest.mark.slides
@pytest.mark.parametrize("reader", ["auto", "openslide", "tiffslide"])
def test_pixels_that_cannot_be_decoded_are_an_unreadable_slide(reader: Any) -> None:
    with (
        open_slide(real_file("wsi/fails-on-read.svs"), reader=reader) as slide,
        pytest.raises(UnreadableSlide, match=r"fails-on-read\.svs.*decoded on level 0 at y 0, x 0, 16 x 16 px: "),
    ):
        slide.level(0).read(Box(0, 0, 16, 16))


@pytest.mark.parametrize(("claim", "told"), [(-56, "-56"), (4_194_504, "4,194,504")])
def test_a_header_that_claims_what_no_slide_has_is_refused(tmp_path: Path, claim: int, told: str) -> None:
    path = pyramid(tmp_path / "slide.tif", steps=(1,))
    with tifffile.TiffFile(path) as file:
        width = file.pages[0].tags["ImageWidth"]
    signed_long = 9
    content = bytearray(path.read_bytes())
    struct.pack_into("<HIi", content, width.offset + 2, signed_long, 1, claim)
    path.write_bytes(content)
    with pytest.raises(UnreadableSlide, match=f"claims {told} x 403 px"):
        open_slide(path)
