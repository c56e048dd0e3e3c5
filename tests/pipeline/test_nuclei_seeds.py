from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from pipeline.nuclei_distance import squared_distance
from pipeline.nuclei_necks import split_at_necks
from pipeline.nuclei_seeds import NOBODY, grow, separate
from tests.pipeline.nuclei_maps import discs


def grown_slowly(labels: NDArray[np.int32], region: NDArray[np.bool_], steps: int) -> NDArray[np.int32]:
    """Pixel by pixel, as the docstring has it."""
    for _ in range(steps):
        before = np.pad(labels, 1)
        labels = labels.copy()
        for y, x in np.argwhere((labels == 0) & region).tolist():
            neighbours = before[y, x + 1], before[y + 1, x], before[y + 1, x + 2], before[y + 2, x + 1]
            labels[y, x] = next((label for label in neighbours if label), 0)
    return labels


@given(st.integers(0, 10_000), st.integers(0, 5))
def test_labels_grow_as_if_each_pixel_looked_at_its_neighbours(seed: int, steps: int) -> None:
    random = np.random.default_rng(seed)
    labels = np.where(random.random((14, 17)) < 0.1, random.integers(-1, 6, (14, 17)), 0).astype(np.int32)
    region = (random.random(labels.shape) < 0.7) | (labels != 0)
    assert (grow(labels, region, steps) == grown_slowly(labels, region, steps)).all()


def parted(mask: NDArray[np.bool_], height_px: float = 1.0) -> NDArray[np.int32]:
    labels, count = ndimage.label(mask, output=np.int32)
    return split_at_necks(labels, squared_distance(mask, 60), np.ones(count + 1, bool), height_px)


def same_parts(one: NDArray[np.int32], other: NDArray[np.int32]) -> bool:
    pairs = np.unique(np.stack((one, other)).reshape(2, -1), axis=1)
    return bool(len(np.unique(pairs[0])) == len(np.unique(pairs[1])) == pairs.shape[1])


@given(st.integers(0, 10_000))
def test_a_seed_is_parted_the_same_whatever_lies_beside_it(seed: int) -> None:
    random = np.random.default_rng(seed)
    places = [(y, x, r) for y, x, r in zip(*random.uniform(10, 60, (2, 9)), random.uniform(4, 9, 9), strict=True)]
    mask = discs((70, 70), places) > 0
    together = parted(mask)
    components, count = ndimage.label(mask)
    for label in range(1, count + 1):
        alone = components == label
        assert same_parts(np.where(alone, together, 0), parted(alone))


def test_two_humps_of_one_height_are_two_nuclei() -> None:
    mask = discs((40, 70), [(20.0, 20.0, 12.0), (20.0, 40.0, 12.0)]) > 0
    labels = parted(mask)
    assert labels.max() == 2
    assert abs(int((labels == 1).sum()) - int((labels == 2).sum())) < 30
    assert parted(mask, height_px=8.0).max() == 1


def test_a_bent_seed_without_a_neck_stays_whole() -> None:
    """The straight path between its ends leaves it; the way round does not sink."""
    y, x = np.mgrid[:90, :90] - 45.0
    ring = (np.hypot(y, x) > 22) & (np.hypot(y, x) < 38) & ~((y > 0) & (abs(x) < 8))
    assert parted(ring, height_px=2.0).max() == 1


def test_what_stays_wider_than_a_nucleus_is_not_parted() -> None:
    labels = separate(np.ones((80, 90), bool), 4, 30, 1.0)
    assert len(np.unique(labels)) == 1
    assert labels[0, 0] not in (0, NOBODY)


def test_no_seeds_give_no_labels() -> None:
    assert not separate(np.zeros((8, 9), bool), 4, 30, 1.0).any()
