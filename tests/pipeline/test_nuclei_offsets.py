from __future__ import annotations

import numpy as np
import pytest

from models.nuclei_channels import true_offsets
from pipeline.nuclei_offsets import REACH_PX, spread
from tests.pipeline.nuclei_maps import discs

TOUCHING = discs((60, 80), [(30.0, 25.0, 13.0), (30.0, 50.0, 13.0)])


def of(labels: np.ndarray[tuple[int, int], np.dtype[np.int32]]) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    return spread(np.moveaxis(true_offsets(labels), 0, -1))


def test_offsets_spread_within_nuclei_and_converge_between_them() -> None:
    found = of(TOUCHING)
    assert found[30, 25] == found[30, 50] == 0.5
    assert found[30, 36:38].max() < -2
    assert found[30, 10] < 0  # the end of one that touches nothing
    assert not found[:5].any()


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_borders_of_every_direction_are_alike(turns: int) -> None:
    assert np.allclose(of(np.ascontiguousarray(np.rot90(TOUCHING, turns))), np.rot90(of(TOUCHING), turns), atol=1e-5)


def test_a_px_depends_on_what_is_within_reach() -> None:
    offsets = np.random.default_rng(0).standard_normal((40, 40, 2)).astype(np.float32)
    changed = offsets.copy()
    changed[20, 20] += 1
    rows, columns = np.nonzero(spread(offsets) != spread(changed))
    assert max(np.abs(rows - 20).max(), np.abs(columns - 20).max()) <= REACH_PX
