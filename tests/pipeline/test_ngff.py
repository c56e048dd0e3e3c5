from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pipeline import ngff
from pipeline.geometry import Frame
from pipeline.ngff import Heatmap, Pyramid

frames = st.builds(Frame, st.integers(1, 5000), st.integers(1, 5000), st.sampled_from([0.25, 0.2271, 0.499]))


@given(frames)
def test_every_level_is_half_the_one_before_and_none_is_taken_for_colours(frame: Frame) -> None:
    levels = Pyramid.over(frame).levels
    assert levels[0] == frame
    for finer, coarser in pairwise(levels):
        assert coarser == finer.halved()
        assert min(coarser.shape) >= 5
    assert max(levels[-1].shape) <= 256 or min(levels[-1].halved().shape) < 5


def corner_um(dataset: dict[str, Any], height: int) -> tuple[float, float]:
    """Where a level begins and ends along y, in um: half a pixel before its first centre and after its last."""
    (_, scale), (_, translation) = (list(step.values()) for step in dataset["coordinateTransformations"])
    first = translation[-2] - scale[-2] / 2
    return first, first + height * scale[-2]


@given(frames, st.sampled_from(["0.5", "0.4"]), st.sampled_from([2, 4, 8, 16]))
def test_every_level_of_every_image_begins_at_the_slides_corner(frame: Frame, version: Any, scale: int) -> None:
    coarse = Pyramid.over(frame.halved(2))
    everything = [
        (Pyramid.over(frame), ngff.image(version, "slide", Pyramid.over(frame))),
        (Pyramid.over(frame.finer(scale)), ngff.image(version, "slide", Pyramid.over(frame.finer(scale)))),
        (Pyramid.over(frame.finer(scale)), ngff.labels(version, "nuclei", Pyramid.over(frame.finer(scale)))),
        (coarse, ngff.heatmap(version, "idc", coarse, Heatmap(("yes", "no")))),
    ]
    for pyramid, attributes in everything:
        datasets = attributes.get("ome", attributes)["multiscales"][0]["datasets"]
        for level, dataset in zip(pyramid.levels, datasets, strict=True):
            first, last = corner_um(dataset, level.height)
            assert abs(first) < 1e-12
            assert abs(last - level.height * level.mpp) < 1e-9 * last
            assert [step["type"] for step in dataset["coordinateTransformations"]] == ["scale", "translation"]


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
