from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from models.data_nuclei import three_classes
from models.errors import EvaluationError
from models.instances import InstanceStep
from models.metrics_instances import aji, panoptic_quality
from models.shelf import read_card
from models.train_config import from_table
from pipeline.nuclei_instances import NucleiParameters, segment


def discs() -> NDArray[np.int32]:
    """Labels (80, 100) of four nuclei, two of which touch."""
    labels = np.zeros((80, 100), dtype=np.int32)
    y, x = np.indices(labels.shape)
    for number, (cy, cx) in enumerate([(20, 20), (50, 30), (50, 47), (25, 80)], start=1):
        labels[((y - cy) ** 2 + (x - cx) ** 2 < 81) & (labels == 0)] = number
    return labels


def certain(labels: NDArray[np.int32]) -> NDArray[np.float32]:
    """Probabilities (y, x, 3) of somebody who knows the classes, with soft edges."""
    sharp = np.eye(3, dtype=np.float32)[three_classes(labels)]
    return np.asarray(ndimage.gaussian_filter(sharp, (0.5, 0.5, 0)))


def test_perfect_probabilities_give_the_nuclei_back() -> None:
    labels = discs()
    found = InstanceStep()(certain(labels))
    assert len(np.unique(found)) == 5
    assert aji(labels, found) > 0.93
    assert panoptic_quality(labels, found).dq == 1


def test_small_specks_are_dropped_and_holes_filled() -> None:
    labels = discs()
    probabilities = certain(labels)
    probabilities[2:4, 2:5] = (0, 1, 0)
    probabilities[19:22, 19:22] = (1, 0, 0)
    found = InstanceStep()(probabilities)
    assert found[2, 3] == 0
    assert found[20, 20] == found[15, 20] > 0


def test_nothing_gives_nothing() -> None:
    probabilities = np.zeros((32, 32, 3), np.float32)
    probabilities[..., 0] = 1
    assert InstanceStep()(probabilities).max() == 0


def test_what_is_measured_is_what_is_run() -> None:
    probabilities = certain(discs())
    step = InstanceStep(seed_threshold=0.2, smoothing_px=0.5)
    parameters = NucleiParameters.from_card(step.as_dict())
    assert (step(probabilities) == segment(probabilities, parameters)).all()


def test_a_step_of_a_card_written_before_there_was_one_protocol_loads() -> None:
    card = read_card("nuclei-unet")
    step = from_table(InstanceStep, card.postprocessing, card.name)
    assert step.seed_threshold == card.postprocessing["seed_threshold"]
    assert step.as_dict() == asdict(NucleiParameters.from_card(card.postprocessing))


def test_what_is_no_number_is_an_error_of_the_network() -> None:
    probabilities = certain(discs())
    probabilities[4, 5, 2] = np.nan
    with pytest.raises(EvaluationError, match="no numbers"):
        InstanceStep()(probabilities)


def test_a_network_without_contours_parts_touching_nuclei_by_their_shape() -> None:
    labels = discs()
    nucleus = ndimage.gaussian_filter((labels > 0).astype(np.float32), 0.5)
    found = InstanceStep()(np.stack((1 - nucleus, nucleus), axis=2))
    assert len(np.unique(found)) == 5
    assert panoptic_quality(labels, found).dq == 1


def test_no_number_is_refused_without_contours_too() -> None:
    with pytest.raises(EvaluationError, match="no numbers"):
        InstanceStep()(np.full((8, 8, 2), np.nan, dtype=np.float32))
