from __future__ import annotations

from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.geometry import Frame
from pipeline.ngff import Heatmap, Pyramid
from pipeline.scene import choose_window, heats, look_over, open_scene, outlines_um
from pipeline.store import SlideStore
from tests.pipeline.finished_slide import Parts, make_slide, read_run


def test_the_close_look_is_where_most_nuclei_are(tmp_path: Path) -> None:
    crowd = [(820.0 + 14 * row, 1430.0 + 14 * column) for row in range(4) for column in range(4)]
    scattered = [(100.0 + 150 * step, 90.0 + 100 * step) for step in range(5)]
    folder = make_slide(tmp_path, shape=(1000, 1600), parts=Parts(nuclei=[*scattered, *crowd]))
    scene = open_scene(folder, read_run(folder))
    window = choose_window(scene, look_over(scene, (300, 400)), (200, 250))
    assert all(window.contains(y, x) for y, x in crowd)
    assert scene.base.box.encloses(window)
    assert window.shape == (200, 250)


def test_without_nuclei_the_close_look_is_where_the_tissue_is_stained(tmp_path: Path) -> None:
    folder = make_slide(tmp_path, shape=(600, 1600), parts=Parts(sr=False, nuclei=[(300.0, 200.0)], heat=False))
    (folder / "nuclei.parquet").unlink()
    scene = open_scene(folder, read_run(folder))
    assert choose_window(scene, look_over(scene, (600, 1600)), (100, 100)).contains(300, 200)


def test_outlines_are_placed_from_level_0_px_into_the_window(tmp_path: Path) -> None:
    """Level 0 has twice the resolution of what was read: its px 120 is um 30."""
    folder = make_slide(tmp_path, parts=Parts(nuclei=[(120.0, 160.0)]))
    run = read_run(folder)
    run["resolution"]["level0"] = {"height": 500, "width": 600, "mpp": 0.25}
    scene = open_scene(folder, run)
    window = choose_window(scene, look_over(scene, (250, 300)), (40, 50))
    (outline,) = outlines_um(scene, window)
    np.testing.assert_allclose(outline.min(axis=0), [28.5 + 10 - window.x / 2, 28.5 - window.y / 2])
    np.testing.assert_allclose(outline.max(axis=0) - outline.min(axis=0), 3.0)


@settings(max_examples=12, deadline=None)
@given(st.integers(1, 700), st.integers(1, 700), st.integers(60, 400))
def test_an_overview_fits_its_room_and_covers_the_slide(height: int, width: int, room_px: int) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as root:
        bare = Parts(sr=False, nuclei=None, heat=False)
        scene = open_scene(make_slide(Path(root), shape=(height, width), parts=bare), {})
        overview = look_over(scene, (room_px, room_px))
    assert max(overview.frame.shape) <= room_px
    assert overview.pixels.shape[:2] == overview.frame.shape
    assert overview.tissue is not None
    assert overview.tissue.shape == overview.frame.shape
    for seen, whole in zip(overview.frame.shape, scene.base.shape, strict=True):
        assert seen == 1 or abs(seen * overview.frame.mpp - whole * scene.base.mpp) <= overview.frame.mpp


def test_of_two_classes_the_second_is_shown_and_of_more_the_one_that_varies_most(tmp_path: Path) -> None:
    folder = tmp_path / "slide"
    folder.mkdir()
    store, frame = SlideStore(folder / "slide.ome.zarr"), Frame(64, 64, 1.0)
    store.create_image("", "slide", Pyramid.over(frame), 256)
    for name, classes in (("two", ("a", "b")), ("three", ("a", "b", "c")), ("unseen", ("a", "b"))):
        store.create_heatmap(f"heatmaps/{name}", Pyramid.over(frame), Heatmap(classes), 256)
    ramp = np.linspace(0, 1, 64, dtype=np.float32)[None].repeat(64, axis=0)
    store.layer("heatmaps/two/0").write(frame.box, np.stack([1 - ramp, ramp], axis=-1))
    store.layer("heatmaps/three/0").write(frame.box, np.stack([0 * ramp, ramp, 1 - ramp / 9], axis=-1))
    shown = {heat.classifier: heat for heat in heats(open_scene(folder, {}), frame)}
    assert {name: heat.label for name, heat in shown.items()} == {"two": "b", "three": "b"}
    np.testing.assert_array_equal(shown["two"].values, ramp)
