from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.geometry import Frame
from pipeline.heatmap_top import TopPatch, cut_patch, top_patches
from pipeline.ngff import Pyramid
from pipeline.store import SlideStore


def write(path: Path, second: list[float], step_px: float = 50.0, name: str = "x", **more: list[float]) -> None:
    """Patches of 100 level-0 px in rows of ten."""
    place = np.arange(len(second))
    table = {
        "classifier": [name] * len(second),
        "x_level0_px": place % 10 * step_px,
        "y_level0_px": place // 10 * step_px,
        "size_level0_px": [100.0] * len(second),
        "p_a": 1 - np.array(second, np.float32),
        "p_b": np.array(second, np.float32),
    }
    pq.write_table(pa.table({**table, **more}), path, row_group_size=7)


def test_the_surest_patches_come_first_and_belong_to_their_class(tmp_path: Path) -> None:
    write(tmp_path / "p.parquet", [0.1, 0.9, 0.2, 0.7, 0.45, 0.8], step_px=100)
    first, other = top_patches(tmp_path / "p.parquet", "x", ["a", "b"], 0.5, 3)
    assert [patch.probability for patch in other] == pytest.approx([0.9, 0.8, 0.7])
    assert [patch.x_px for patch in other] == [100, 500, 300]
    assert [patch.probability for patch in first] == pytest.approx([0.9, 0.8, 0.55])


def test_a_higher_operating_point_leaves_fewer_of_the_second_class(tmp_path: Path) -> None:
    write(tmp_path / "p.parquet", [0.1, 0.9, 0.2, 0.7], step_px=100)
    first, other = top_patches(tmp_path / "p.parquet", "x", ["a", "b"], 0.75, 8)
    assert [patch.x_px for patch in other] == [100]
    assert len(first) == 3


@settings(max_examples=20)
@given(st.integers(0, 999), st.sampled_from([10.0, 25.0, 50.0, 100.0]))
def test_patches_of_one_class_never_overlap_and_none_that_was_left_out_is_surer_and_apart(
    tmp_path_factory: pytest.TempPathFactory, seed: int, step_px: float
) -> None:
    path = tmp_path_factory.mktemp("p") / "p.parquet"
    second = np.random.default_rng(seed).random(60).tolist()
    write(path, second, step_px)
    (_, taken) = top_patches(path, "x", ["a", "b"], 0.5, 4)
    for index, patch in enumerate(taken):
        assert not any(patch.overlaps(other) for other in taken[:index])
    every = [TopPatch(i // 10 * step_px, i % 10 * step_px, 100.0, float(np.float32(p))) for i, p in enumerate(second)]
    least = taken[-1].probability if len(taken) == 4 else 0.5
    for patch in every:
        assert patch.probability <= least or any(patch.overlaps(other) for other in taken)


def test_patches_of_other_classifiers_are_left_alone(tmp_path: Path) -> None:
    write(tmp_path / "p.parquet", [0.9], name="y")
    assert top_patches(tmp_path / "p.parquet", "x", ["a", "b"], 0.5, 3) == [[], []]


@pytest.fixture
def store(tmp_path: Path) -> SlideStore:
    """A slide of 640 x 640 px at 0.5 um whose red says the row and green the column, in steps of 4 px."""
    frame = Frame(640, 640, 0.5)
    store = SlideStore(tmp_path / "a.ome.zarr")
    store.create_image("", "a", Pyramid.over(frame), 256)
    place = np.arange(640) // 4
    pixels = np.stack([*np.meshgrid(place, place, indexing="ij"), np.zeros((640, 640))], axis=-1).astype(np.uint8)
    for level, coarse in enumerate(store.pyramid("").levels):
        store.layer(str(level)).write(coarse.box, pixels[:: 2**level, :: 2**level])
    return store


def test_a_patch_is_cut_from_the_coarsest_level_that_shows_enough(store: SlideStore) -> None:
    cut = cut_patch(store, 0.5, TopPatch(80, 160, 400, 0.9), least_px=128)
    assert cut.shape == (200, 200, 3)  # level 1
    assert cut[0, 0].tolist() == [20, 40, 0]
    assert cut[-1, -1].tolist() == [119, 139, 0]


def test_a_patch_of_few_pixels_is_enlarged_by_whole_ones(store: SlideStore) -> None:
    cut = cut_patch(store, 0.5, TopPatch(80, 160, 40, 0.9), least_px=128)
    assert cut.shape == (120, 120, 3)
    assert (cut[:3, :3] == cut[0, 0]).all()


def test_beyond_the_slide_a_patch_is_white(store: SlideStore) -> None:
    cut = cut_patch(store, 0.5, TopPatch(600, 0, 128, 0.9), least_px=128)
    assert (cut[40:] == 255).all()
    assert (cut[:40] < 255).any()


def test_a_patch_far_larger_than_the_slide_is_refused(store: SlideStore) -> None:
    with pytest.raises(ValueError, match="larger than the slide"):
        cut_patch(store, 0.5, TopPatch(0, 0, 1e9, 0.9), least_px=128)
