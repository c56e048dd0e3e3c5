"""What lies near a mask is what the distances of all pixels say."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from pipeline.nearest import near


def speckles(seed: int, height: int, width: int) -> NDArray[np.bool_]:
    random = np.random.default_rng(seed)
    mask: NDArray[np.bool_] = random.random((height, width)) < random.choice([0.003, 0.03, 0.3, 0.9])
    mask[random.integers(height), random.integers(width)] = True
    return mask


masks = st.builds(speckles, st.integers(0, 10_000), st.integers(1, 40), st.integers(1, 40))
reaches = st.one_of(st.floats(0, 14), st.integers(0, 9).map(float), st.integers(0, 80).map(np.sqrt))


@given(masks, reaches)
def test_of_several_pixels_as_near_scipys_choice_is_taken(mask: NDArray[np.bool_], reach_px: float) -> None:
    away, (y, x) = ndimage.distance_transform_edt(~mask, return_indices=True)
    place = np.flatnonzero(away <= reach_px)
    found = near(mask, reach_px)
    assert np.array_equal(found.place, place)
    assert np.array_equal(found.distance_px, away.reshape(-1)[place])
    assert np.array_equal(found.nearest, (y * mask.shape[1] + x).reshape(-1)[place])
