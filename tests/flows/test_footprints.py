from dataclasses import asdict, replace

import pytest

from flows.footprints import _COUNTED, _built_as, footprint_of
from models.card import Card
from models.footprint import footprint
from models.shelf import list_bundles


@pytest.mark.parametrize("card", list_bundles(), ids=lambda card: card.name)
def test_the_table_has_every_shipped_network_as_it_is_counted(card: Card) -> None:
    assert _built_as(card) in _COUNTED
    assert footprint_of(card)._asdict() == asdict(footprint(card))


def test_a_network_that_is_built_otherwise_is_counted_anew() -> None:
    card = next(card for card in list_bundles() if card.field_px)
    other = replace(card, field_px=2 * (card.field_px or 0))
    assert _built_as(other) not in _COUNTED
    assert footprint_of(other)._asdict() == asdict(footprint(other))
