from dataclasses import replace

import pytest

from pipeline.errors import CannotFeed, ConfigError
from pipeline.geometry import Frame
from pipeline.recipe import Recipe
from pipeline.stage import Network
from pipeline.workspace import Predictor

LEVEL0 = Frame(2967, 2220, 0.499)


def load() -> Predictor:
    """A recipe is laid without any network being loaded."""
    raise AssertionError


SR = Network("sr-x2", load, 0.5, halo_px=20, scale=2)
NUCLEI = Network("nuclei-unet", load, 0.25, halo_px=112, stride_px=16)
IDC = Network("idc-hybrid", load, 4.0, field_px=50, classes=("non-IDC", "IDC"))


def recipe(**changes: object) -> Recipe:
    settings: dict[str, object] = {"sr": SR, "nuclei": NUCLEI, "classifiers": (IDC,), "core_px": 1024}
    return Recipe("a", LEVEL0, LEVEL0, **(settings | changes))  # type: ignore[arg-type]


def test_nuclei_are_found_in_the_super_resolved_image_and_lie_beside_it() -> None:
    with_sr = recipe()
    assert with_sr.segment
    assert with_sr.segment.layer == "sr/0"
    assert with_sr.nuclei_group == "sr/labels/nuclei"
    assert with_sr.segment.frame == Frame(5934, 4440, 0.2495)


def test_without_super_resolution_they_lie_beside_the_image() -> None:
    fine = Recipe("a", Frame(999, 999, 0.25), Frame(999, 999, 0.25), 1024, nuclei=NUCLEI)
    assert fine.nuclei_group == "labels/nuclei"
    assert fine.super_resolve is None


def test_a_classifier_at_4_um_reads_that_level() -> None:
    (stage,) = recipe().classify
    assert stage.layer == "3"
    assert stage.stride_px == 25


@pytest.mark.parametrize(("share", "stride_px"), [(0.25, 12), (0.5, 25), (1.0, 50)])
def test_patches_begin_as_far_apart_as_told(share: float, stride_px: int) -> None:
    (stage,) = recipe(stride_share=share).classify
    assert stage.stride_px == stride_px


def test_a_small_picture_has_a_level_for_a_classifier_too() -> None:
    frame = Frame(300, 320, 0.25)
    (stage,) = Recipe("a", frame, frame, 1024, classifiers=(IDC,)).classify
    assert stage.layer == "4"
    assert stage.frame.mpp == 4.0


def test_halos_are_whole_strides_and_hold_field_and_nucleus() -> None:
    segment = recipe().segment
    assert segment
    assert segment.halo_px % 16 == 0
    assert segment.halo_px >= 112 + 12 / 0.2495


def test_every_stage_covers_what_the_next_one_looks_at() -> None:
    whole = recipe()
    assert whole.segment
    assert whole.super_resolve
    assert whole.super_resolve.reach_um >= whole.segment.halo_px * whole.segment.frame.mpp
    assert whole.ingest.reach_um >= whole.super_resolve.reach_um + SR.halo_px * LEVEL0.mpp
    assert whole.ingest.reach_um >= IDC.field_px * 3.992


def test_patches_are_cut_from_what_is_super_resolved_for_them() -> None:
    fine = Network("fine", load, 0.25, field_px=512, classes=("a", "b"))
    whole = recipe(classifiers=(fine,), nuclei=None)
    (stage,) = whole.classify
    assert stage.layer.startswith("sr/")
    assert whole.super_resolve
    assert whole.super_resolve.reach_um >= 512 * stage.frame.mpp
    assert whole.ingest.reach_um >= whole.super_resolve.reach_um + SR.halo_px * LEVEL0.mpp


def test_cores_of_super_resolution_keep_their_size_in_what_is_written() -> None:
    assert recipe().super_resolve.core_px == 512  # type: ignore[union-attr]


def test_a_classifier_with_the_name_of_the_density_map_is_refused() -> None:
    for nuclei in (NUCLEI, None):
        with pytest.raises(ConfigError, match=r"^nuclei-density: .*\n.*card\.json"):
            recipe(nuclei=nuclei, classifiers=(IDC, replace(IDC, name="nuclei-density")))


def test_a_network_that_cannot_be_fed_is_refused_before_any_work() -> None:
    with pytest.raises(CannotFeed, match="nuclei-unet"):
        recipe(sr=None).refuse_what_cannot_be_fed()


def test_heat_maps_coincide_with_a_level_of_the_image() -> None:
    whole = recipe()
    assert whole.heatmap_pyramid.levels[0] == whole.pyramids[""].levels[3]
    assert set(whole.heatmaps) == {"heatmaps/idc-hybrid", "heatmaps/nuclei-density", "qc/sr-consistency"}
    assert whole.density
    assert whole.density.frame == whole.heatmap_pyramid.levels[0]


def test_where_no_nuclei_are_looked_for_there_is_no_map_of_their_density() -> None:
    without = recipe(nuclei=None)
    assert without.density is None
    assert set(without.heatmaps) == {"heatmaps/idc-hybrid", "qc/sr-consistency"}
