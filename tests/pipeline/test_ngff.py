from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from pipeline import ngff
from pipeline.geometry import Frame
from pipeline.ngff import Pyramid

frames = st.builds(Frame, st.integers(1, 5000), st.integers(1, 5000), st.sampled_from([0.25, 0.2271, 0.499]))


@given(frames)
def test_every_level_is_half_the_one_before_and_none_is_taken_for_colours(frame: Frame) -> None:
    levels = Pyramid.over(frame).levels
    assert levels[0] == frame
    for finer, coarser in pairwise(levels):
        assert coarser == finer.halved()
        assert min(coarser.shape) >= 5
    assert max(levels[-1].shape) <= 256 or min(levels[-1].halved().shape) < 5


@given(frames)
def test_coarse_pixels_lie_amid_the_fine_ones_they_stand_for(frame: Frame) -> None:
    attributes = ngff.image("0.5", "slide", Pyramid.over(frame))
    for level, dataset in enumerate(attributes["ome"]["multiscales"][0]["datasets"]):
        scale, *translation = dataset["coordinateTransformations"]
        assert scale["scale"] == [1.0, frame.mpp * 2**level, frame.mpp * 2**level]
        offset = translation[0]["translation"][1:] if translation else [0.0, 0.0]
        assert abs(offset[0] - (2**level - 1) / 2 * frame.mpp) < 1e-9
        assert offset[0] == offset[1]


def test_an_image_says_what_viewers_ask_for() -> None:
    content = ngff.image("0.5", "slide", Pyramid.over(Frame(900, 900, 0.5)))["ome"]
    assert [axis.get("unit") for axis in content["multiscales"][0]["axes"]] == [None, "micrometer", "micrometer"]
    assert [channel["color"] for channel in content["omero"]["channels"]] == ["FF0000", "00FF00", "0000FF"]
    assert content["omero"]["rdefs"]["model"] == "color"


def test_version_0_4_stands_inside_and_nothing_under_ome() -> None:
    attributes = ngff.labels("0.4", "tissue", Pyramid.over(Frame(900, 900, 0.5)))
    assert attributes["multiscales"][0]["version"] == "0.4"
    assert attributes["image-label"] == {"source": {"image": "../../"}, "version": "0.4"}
    assert "ome" not in attributes


def test_the_list_of_labels_stands_twice() -> None:
    attributes = ngff.label_list("0.5", ["nuclei", "tissue"])
    assert attributes["labels"] == attributes["ome"]["labels"] == ["nuclei", "tissue"]
