import pytest

from pipeline.errors import CannotFeed
from pipeline.geometry import Frame
from pipeline.resolution import choose_base_mpp, choose_factor, choose_layer, fits, heatmap_level


@pytest.mark.parametrize(
    ("mpp", "target", "factor"),
    [(0.25, 0.25, 1), (0.2271, 0.25, 1), (0.499, 0.25, 2), (0.35, 0.25, 1), (0.36, 0.25, 2), (1.0, 0.25, 4),
     (2.0, 0.25, 8), (4.0, 0.25, 16), (18.0, 0.25, 16), (0.25, 0.5, 1), (0.25, 0.125, 2)],
)  # fmt: skip
def test_the_factor_brings_a_multiple_of_the_target_nearest(mpp: float, target: float, factor: int) -> None:
    assert choose_factor(mpp, target) == factor


@pytest.mark.parametrize(
    ("level0_mpp", "classifiers", "base_mpp"),
    [(0.499, (4.0,), 0.499), (4.0, (4.0,), 4.0), (1.0, (), 1.0), (1.0, (4.0, 0.25), 0.25), (0.35, (4.0,), 0.25),
     (0.35, (), 0.35), (0.125, (4.0,), 0.25), (8.0, (4.0,), 0.25)],
)  # fmt: skip
def test_a_slide_is_interpolated_only_where_a_classifier_could_not_be_fed_else(
    level0_mpp: float, classifiers: tuple[float, ...], base_mpp: float
) -> None:
    assert choose_base_mpp(level0_mpp, 0.25, classifiers) == base_mpp


def test_a_network_is_fed_from_the_nearest_layer() -> None:
    layers = {"0": Frame(9, 9, 0.499), "3": Frame(9, 9, 3.992), "sr/0": Frame(9, 9, 0.2495)}
    assert choose_layer(layers, 0.25, "nuclei-unet", "a") == "sr/0"
    assert choose_layer(layers, 4.0, "idc-hybrid", "a") == "3"


def test_a_network_that_no_layer_fits_is_refused_by_name() -> None:
    with pytest.raises(CannotFeed, match=r"a: nuclei-unet was trained at 0\.25 um/px; this run has 0\.5") as refusal:
        choose_layer({"0": Frame(9, 9, 0.5)}, 0.25, "nuclei-unet", "a")
    assert "--sr auto" in refusal.value.cure


def test_the_tolerance_is_a_quarter_either_way() -> None:
    assert fits(0.2, 0.25)
    assert fits(0.3125, 0.25)
    assert not fits(0.19, 0.25)
    assert not fits(0.32, 0.25)


@pytest.mark.parametrize(("mpp", "level"), [(0.499, 3), (0.25, 4), (0.26, 3), (4.0, 0), (9.0, 0)])
def test_heat_maps_have_pixels_of_at_most_4_um(mpp: float, level: int) -> None:
    frames = tuple(Frame(4096, 4096, mpp).halved(times) for times in range(6))
    assert heatmap_level(frames) == level
