from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.batches import network_input
from models.nuclei_channels import CLASSES, OFFSETS, count_classes, probabilities_and_offsets, true_offsets
from models.nuclei_unet import NucleiUNetConfig
from tests.models.examples import card, network, predictor, tissue


def test_offsets_follow_the_classes() -> None:
    assert count_classes(CLASSES) == count_classes(CLASSES + OFFSETS) == 3
    assert count_classes(("background", "nucleus", *OFFSETS)) == 2


def test_offsets_run_from_minus_one_to_one_through_every_nucleus() -> None:
    labels = np.zeros((12, 20), np.int32)
    labels[2:7, 3:10] = 4
    labels[7:10, 3:10] = 9  # touches it from below
    down, right = true_offsets(labels)
    assert np.allclose(down[2:7, 5], [-1, -0.5, 0, 0.5, 1])
    assert np.allclose(down[7:10, 5], [-1, 0, 1])
    assert np.allclose(right[4, 3:10], np.linspace(-1, 1, 7))
    assert not down[labels == 0].any()
    assert not right[labels == 0].any()


def test_a_nucleus_of_one_px_is_all_centroid() -> None:
    labels = np.zeros((3, 3), np.int32)
    labels[1, 1] = 1
    assert not true_offsets(labels).any()


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000))
def test_each_side_of_a_nucleus_ends_one_away_from_its_centroid(seed: int) -> None:
    labels = np.random.default_rng(seed).integers(0, 4, (9, 11)).astype(np.int32)
    offsets = true_offsets(labels)
    assert np.abs(offsets).max(initial=0) <= 1 + 1e-6
    for number in np.unique(labels[labels > 0]):
        for axis, where in enumerate(np.nonzero(labels == number)):
            own = offsets[axis][labels == number]
            if np.ptp(where):
                assert np.allclose([own.min(), own.max()], [-1, 1])
                assert (np.argsort(own, kind="stable") == np.argsort(where, kind="stable")).all()


def test_softmax_is_over_classes_alone() -> None:
    output = torch.randn(2, 5, 4, 3)
    channels = probabilities_and_offsets(output, 3)
    assert torch.allclose(channels[:, :3].sum(1), torch.ones(2, 4, 3))
    assert torch.equal(channels[:, 3:], output[:, 3:])


def test_offsets_pass_as_they_are_behind_probabilities() -> None:
    of = replace(card(NucleiUNetConfig(base=2, depth=2, classes=5)), classes=CLASSES + OFFSETS)
    tile = tissue(48, 48)[None]
    channels = predictor(of)(tile)
    np.testing.assert_allclose(channels[..., :3].sum(-1), 1, atol=1e-5)
    with torch.no_grad():
        offsets = network(of)(network_input(network(of), tile, of.normalisation))[:, 3:].permute(0, 2, 3, 1)
    np.testing.assert_allclose(channels[..., 3:], offsets, atol=1e-4)
