from __future__ import annotations

import pytest

from flows.networks import choose_networks
from models.card import Card
from models.shelf import list_bundles, read_card
from pipeline.config import SlideConfig

PUPILS = [one for one in list_bundles() if one.training.get("teacher")]


@pytest.mark.parametrize(("factor", "chosen"), [(1, []), (2, ["sr-x2"]), (4, ["sr-x4"]), (8, ["sr-x4", "sr-x2"])])
def test_what_learned_from_another_bundle_is_not_chosen_unasked(factor: int, chosen: list[str]) -> None:
    networks = choose_networks(SlideConfig(nuclei="none", classifiers=()), factor)
    assert [card.name for card in networks.sr] == chosen


@pytest.mark.parametrize("pupil", PUPILS, ids=lambda card: card.name)
def test_a_shipped_pupil_has_a_teacher_that_ships_and_has_seen_nobody_of_its_test(pupil: Card) -> None:
    teacher = read_card(pupil.training["teacher"]["name"])
    assert pupil.training["teacher"]["sha256"] == teacher.sha256
    assert set(pupil.training["test_patients"]) == set(teacher.training["test_patients"])
    assert not set(pupil.training["test_patients"]) & set(pupil.training["train_patients"])


def test_a_pupil_is_taken_where_it_is_named() -> None:
    networks = choose_networks(SlideConfig(sr="sr-x2-fast", nuclei="nuclei-unet-fast", classifiers=()), factor=2)
    assert [card.name for card in networks.sr] == ["sr-x2-fast"]
    assert networks.nuclei is not None
    assert networks.nuclei.name == "nuclei-unet-fast"
