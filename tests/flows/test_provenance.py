"""What a run was begun with: everything that decides its results, and nothing else."""

from __future__ import annotations

from dataclasses import replace

from flows.networks import ChosenNetworks
from flows.provenance import slide_plan
from models.card import Card
from models.shelf import read_card
from pipeline.config import SlideConfig

IDENTITY = {"sha256": "0" * 64, "bytes": 1, "modified_ns": 1}


def plan(nuclei: Card) -> dict[str, object]:
    return slide_plan(IDENTITY, SlideConfig(), ChosenNetworks((), nuclei, (), {}))


def test_other_parameters_of_the_instance_step_are_another_plan() -> None:
    card = read_card("nuclei-unet")
    other = replace(card, postprocessing={**card.postprocessing, "seed_height_px": 7.0})
    assert plan(card) == plan(read_card("nuclei-unet"))
    assert plan(other) != plan(card)


def test_figures_in_a_card_are_no_part_of_the_plan() -> None:
    card = read_card("nuclei-unet")
    assert plan(replace(card, metrics={})) == plan(card)
