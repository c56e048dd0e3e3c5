"""`histoloom export spatialdata`, as SpatialData itself reads it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from flows.cli import app
from pipeline.errors import StoreError
from pipeline.spatialdata import export_spatialdata
from tests.clients.contract import Hold, KnownSlide, label_centres, nuclei_shown
from tests.clients.foreign import Foreign


@pytest.mark.clients
def test_spatialdata_shows_each_nucleus_in_its_place(
    slide_05: KnownSlide, hold: Hold, foreign: Foreign, tmp_path: Path
) -> None:
    out = tmp_path / "known.zarr"
    done = CliRunner().invoke(app, ["export", "spatialdata", str(slide_05.folder), "--out", str(out)])
    assert (done.exit_code, done.output.strip()) == (0, str(out))
    seen: Any = foreign("spatialdata", "read_spatialdata.py", str(out), str(tmp_path))
    assert seen["systems"] == ["global", "um"]
    assert set(seen["images"]) >= {"image", "super_resolved", "heatmap_crowding", "heatmap_nuclei-density"}
    assert seen["channels"]["heatmap_crowding"] == ["few", "many"]
    for kind, name in (("images", "image"), ("images", "super_resolved"), ("labels", "nuclei_labels")):
        pixels = np.load(tmp_path / f"{name}.npy")
        indices = label_centres(pixels) if kind == "labels" else nuclei_shown(np.moveaxis(pixels, 0, -1))
        # its pixels cover i to i + 1
        hold(slide_05, f"SpatialData, {name}", (indices + 0.5) * seen[kind][name]["global"])
        np.testing.assert_allclose(np.array(seen[kind][name]["um"]) / slide_05.truth.mpp, seen[kind][name]["global"])
    hold(slide_05, "SpatialData, outlines", np.array(seen["nuclei_um"]) / slide_05.truth.mpp)
    numbers = np.unique(np.load(tmp_path / "nuclei_labels.npy"))
    assert seen["nuclei_index"] == numbers[numbers > 0].tolist()
    assert seen["matched"] == len(seen["nuclei_index"])
    np.testing.assert_allclose(seen["area_um2"], seen["outline_um2"], rtol=1e-5)
    assert seen["tables"]["patches_crowding_probabilities"] == ["p_few", "p_many"]


def test_nothing_is_written_over_nor_left_half_done(slide_05: KnownSlide, tmp_path: Path) -> None:
    there = tmp_path / "there.zarr"
    there.mkdir()
    with pytest.raises(StoreError, match="is there already"):
        export_spatialdata(slide_05.folder, there)
    with pytest.raises(StoreError, match="no whole results"):
        export_spatialdata(tmp_path, tmp_path / "new.zarr")
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot be made: Not a directory"):
        export_spatialdata(slide_05.folder, tmp_path / "file" / "new.zarr")
    assert set(tmp_path.iterdir()) == {there, tmp_path / "file"}


def test_zarr_2_is_refused_in_words(known: Any, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="SpatialData's format is of zarr 3"):
        export_spatialdata(known("super-resolved, NGFF 0.4").folder, tmp_path / "new.zarr")
