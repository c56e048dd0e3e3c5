"""What networks take that come with histoloom, counted once: `python -m flows.footprints` prints the table anew.

`models.footprint` counts it for any network, on PyTorch's `meta` device, whose first operation loads a second and more
of code. A run asks for it before it reads its first tile.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pprint import pprint
from typing import NamedTuple

from models.card import Card


class Footprint(NamedTuple):
    """As `models.footprint` has it."""

    weights_bytes: int
    pass_bytes_per_px: float
    multiply_adds_per_px: float
    at_once_cpu: int
    at_once_cuda: int


# By what of a card says how its network is built.
_COUNTED = {
    "414f5ce9bbfc50c1": Footprint(4992448, 1036.0, 1245888.0, 1, 1),
    "7bf204d152e6419a": Footprint(1880040, 277.505859375, 13246.1875, 1, 1),
    "a0d264367ecb25f8": Footprint(8483160, 332.3072, 113524.5824, 16, 256),
    "a290de4342ce699e": Footprint(3727664, 1036.0, 930240.0, 1, 1),
    "a77edebb803a7fab": Footprint(942256, 524.0, 234720.0, 1, 1),
    "eadcb054cec42032": Footprint(1944476, 364.0, 24510.1875, 1, 1),
    "ffba65e40d403cf3": Footprint(8498520, 44.06122448979592, 8111.857142857143, 16, 256),
}


def footprint_of(card: Card) -> Footprint:
    """What the network of a card takes; counted here and now where the table has none like it."""
    return _COUNTED.get(_built_as(card)) or _count(card)


def _count(card: Card) -> Footprint:
    from models.footprint import footprint

    return Footprint(**asdict(footprint(card)))


def _built_as(card: Card) -> str:
    traits = (card.task, card.architecture, card.parameters, card.scale, card.classes, card.field_px, card.stride_px)
    return hashlib.sha256(json.dumps(traits, sort_keys=True).encode()).hexdigest()[:16]


if __name__ == "__main__":
    from models.shelf import list_bundles

    pprint({_built_as(card): tuple(_count(card)) for card in list_bundles()})
