from __future__ import annotations

import numpy as np
import torch

from models.task_nuclei import segment
from tests.models.examples import SMALL_UNET, card, network, predictor, tissue


def test_an_image_of_any_size_is_segmented_to_probabilities_of_its_size() -> None:
    of = card(SMALL_UNET)
    with torch.no_grad():
        probabilities = segment(network(of), tissue(37, 50), of.normalisation)
    assert probabilities.shape == (37, 50, 3)
    assert np.allclose(probabilities.sum(2), 1, atol=1e-5)


def test_what_training_judges_is_what_the_predictor_gives() -> None:
    of, image = card(SMALL_UNET), tissue(48, 64)  # whole strides: nothing is padded
    with torch.no_grad():
        judged = segment(network(of), image, of.normalisation)
    assert np.allclose(judged, predictor(of)(image[None])[0], atol=1e-4)
