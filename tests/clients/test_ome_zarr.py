"""The store in ome-zarr-py, in an environment of its own, and in ome-zarr-models."""

from __future__ import annotations

import subprocess
from typing import Any

import numpy as np
import pytest
import zarr
from ome_zarr_models import open_ome_zarr

from tests.clients.contract import Hold, KnownSlide, nuclei_shown
from tests.clients.foreign import Foreign, environment


def test_every_image_is_valid(slide: KnownSlide) -> None:
    maps = ("heatmaps/crowding", "heatmaps/nuclei-density", "labels/tissue")
    for group in (*slide.image_groups, slide.nuclei_group, *maps):
        opened = open_ome_zarr(zarr.open_group(str(slide.store), path=group, mode="r"))
        assert type(opened).__name__ == ("ImageLabel" if "labels/" in group else "Image")


@pytest.mark.clients
@pytest.mark.parametrize("case", ["super-resolved", "super-resolved, NGFF 0.4"])
def test_ome_zarr_info_lists_images_labels_and_levels(known: Any, case: str) -> None:
    slide: KnownSlide = known(case)
    for group, frame in slide.image_groups.items():
        command = [str(environment("ome-zarr") / "ome_zarr"), "info", str(slide.store / group)]
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        assert f"(3, {frame.height}, {frame.width})" in said
        assert f"version: {slide.case.ngff}" in said
        assert "Label" in said


@pytest.mark.clients
@pytest.mark.parametrize("case", ["super-resolved", "super-resolved, NGFF 0.4"])
def test_its_reader_puts_each_nucleus_in_its_place(known: Any, case: str, foreign: Foreign, hold: Hold) -> None:
    slide: KnownSlide = known(case)
    for group in slide.image_groups:
        seen = foreign("ome-zarr", "read_ome_zarr.py", str(slide.store / group))
        assert seen["axes"] == ["c", "y", "x"]
        scale, translation = (np.array(values[1:]) for values in (seen["scale"], seen["translation"]))
        array: Any = zarr.open_array(str(slide.store), path=f"{group}/0".lstrip("/"), mode="r")
        assert seen["shape"] == list(array.shape)
        places_um = nuclei_shown(np.moveaxis(np.asarray(array[...]), 0, -1)) * scale + translation
        hold(slide, f"ome-zarr-py, {group or 'root'}, NGFF {slide.case.ngff}", places_um / slide.truth.mpp)
