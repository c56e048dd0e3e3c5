from __future__ import annotations

import pytest

from flows.evaluation_subject import trained_on
from tests.models.examples import SMALL_SR, card

TRAINING = {"train_patients": ["a set: p2", "a set: 1", "9175", "12"], "validation_patients": ["other: p3"]}


@pytest.mark.parametrize("name", ["p2", "a set: p2", "a set: 1", "9175", "p3"])
def test_patients_of_a_training_are_known_with_and_without_their_set(name: str) -> None:
    assert trained_on(card(SMALL_SR, training=TRAINING), [name, "p7"]) == [name]


@pytest.mark.parametrize("name", ["1", "12", "other: p2", "p", "a set"])
def test_images_of_the_same_number_and_other_sets_are_strangers(name: str) -> None:
    assert trained_on(card(SMALL_SR, training=TRAINING), [name]) == []


def test_nobody_is_known_without_a_network() -> None:
    assert trained_on(None, ["p2"]) == []
