from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from pipeline.nuclei_distance import squared_distance


def blobs(seed: int, height: int, width: int) -> NDArray[np.bool_]:
    random = np.random.default_rng(seed)
    noise = ndimage.gaussian_filter(random.random((height, width)), random.choice([0.0, 1.0, 3.0]))
    return np.asarray(noise > np.quantile(noise, random.uniform(0, 0.8)))


masks = st.builds(blobs, st.integers(0, 10_000), st.integers(1, 90), st.integers(1, 90))


def exact(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    distance = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    return np.asarray(np.rint(distance**2), np.int64)


@pytest.mark.parametrize("cap_px", [100, 200])
@given(masks)
def test_distances_are_those_of_scipy(cap_px: int, mask: NDArray[np.bool_]) -> None:
    assert (squared_distance(mask, cap_px) == exact(mask)).all()


@given(masks, st.integers(1, 12))
def test_distances_beyond_the_cap_are_beyond_it_and_no_others(mask: NDArray[np.bool_], cap_px: int) -> None:
    found, expected = squared_distance(mask, cap_px), exact(mask)
    beyond = expected >= cap_px**2
    assert ((found >= cap_px**2) == beyond).all()
    assert (found[~beyond] == expected[~beyond]).all()
