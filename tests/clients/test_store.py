"""The store itself, by the rules of NGFF alone: each nucleus in its place in every layer, at every level."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import zarr

from tests.clients.contract import Floats, Hold, KnownSlide, compare, label_centres, nuclei_shown


def levels(slide: KnownSlide, group: str) -> list[tuple[Any, Floats, Floats]]:
    """Of each level its pixels, (y, x, ...), and (y, x) of scale and translation as its metadata has them, in um."""
    opened = zarr.open_group(str(slide.store), path=group, mode="r")
    content: Any = opened.attrs.get("ome", opened.attrs)
    found = []
    for dataset in content["multiscales"][0]["datasets"]:
        steps = {step["type"]: np.array(step[step["type"]][-2:]) for step in dataset["coordinateTransformations"]}
        array: Any = opened[dataset["path"]]
        pixels = np.asarray(array[...])
        found.append((np.moveaxis(pixels, 0, -1) if pixels.ndim == 3 else pixels, steps["scale"], steps["translation"]))
    return found


def test_images_and_labels_show_each_nucleus_in_its_place(slide: KnownSlide, hold: Hold) -> None:
    for group in (*slide.image_groups, slide.nuclei_group):
        pixels, scale, translation = levels(slide, group)[0]
        indices = nuclei_shown(pixels) if pixels.ndim == 3 else label_centres(pixels)
        hold(slide, f"store, {group or 'image'}", (indices * scale + translation) / slide.truth.mpp)


def test_coarser_levels_show_it_there_too(slide: KnownSlide) -> None:
    """As well as their own pixels let it be known, as far as nuclei are told apart at all."""
    for group in (*slide.image_groups, slide.nuclei_group):
        for pixels, scale, translation in levels(slide, group)[1:]:
            if scale[0] > 1.0:
                continue
            indices = nuclei_shown(pixels) if pixels.ndim == 3 else label_centres(pixels)
            shown = compare(slide, (indices * scale + translation) / slide.truth.mpp)
            assert shown.worst_px < 0.6 * scale[0] / slide.truth.mpp
            assert shown.bias_px < 0.15


@pytest.mark.parametrize("group", ["", "labels/tissue", "heatmaps/crowding", "heatmaps/nuclei-density"])
def test_levels_cover_the_slide_from_its_corner_on(slide: KnownSlide, group: str) -> None:
    extents = []
    for pixels, scale, translation in levels(slide, group):
        np.testing.assert_allclose(translation - scale / 2, 0, atol=1e-12)
        extents.append(np.array(pixels.shape[:2]) * scale)
        assert (extents[-1] >= np.array(slide.truth.frame.shape) * slide.truth.mpp - scale).all()
    for finer, coarser in pairwise(extents):
        assert (finer <= coarser + 1e-9).all()
