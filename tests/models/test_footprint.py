"""What a network takes, counted without running it."""

import pytest

from models.footprint import footprint
from models.shelf import list_bundles

CARDS = {card.name: card for card in list_bundles()}


@pytest.mark.parametrize("name", sorted(CARDS))
def test_every_shipped_network_can_be_asked_what_it_takes(name: str) -> None:
    card = CARDS[name]
    found = footprint(card)
    side = card.field_px or 256
    # at the least, the picture and what comes of it are alive together
    channels = 3 + (3 * (card.scale or 0) ** 2 if card.scale else 0)
    assert found.pass_bytes_per_px >= 4 * channels
    assert found.weights_bytes > 0
    assert found.multiply_adds_per_px * side**2 > 1e8
    assert found.at_once_cpu == (16 if card.task == "classification" else 1)


def test_it_is_the_same_each_time() -> None:
    card = CARDS["nuclei-unet"]
    assert footprint(card) == footprint(card)
