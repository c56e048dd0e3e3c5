from __future__ import annotations

import pytest
import torch

from models.batches import network_input, normalise
from models.card import Normalisation
from tests.models.examples import tissue


def test_images_become_normalised_planes() -> None:
    image, layer = tissue(5, 7), torch.nn.Linear(1, 1)
    normalisation = Normalisation((0.1, 0.2, 0.3), (0.5, 1.0, 2.0))
    planes = network_input(layer, image, normalisation)
    assert planes.shape == (1, 3, 5, 7)
    for channel, (mean, std) in enumerate(zip(normalisation.mean, normalisation.std, strict=True)):
        wanted = (image[3, 2, channel] / 255 - mean) / std
        assert planes[0, channel, 3, 2].item() == pytest.approx(wanted, abs=1e-5)


def test_no_normalisation_leaves_values_between_nil_and_one() -> None:
    planes = normalise(torch.tensor([[[[0, 255]]] * 3]).byte().reshape(1, 3, 1, 2), Normalisation())
    assert planes.flatten().tolist() == [0, 1, 0, 1, 0, 1]
