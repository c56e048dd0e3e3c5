"""Each shipped network on each engine, device and precision, beside what the device multiplies at its best."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from statistics import median
from typing import TYPE_CHECKING

from flows.bench.engines import Place, computes, places_of
from flows.bench.measurement import Measurement, Trial, rates, seconds_of
from flows.bench.subject import Subject

if TYPE_CHECKING:
    from models.card import Card
    from models.engine import EngineName

SHARE = "share of product"

_GROUP = "networks"
_TILES_AT_ONCE_CUDA = 8


def trials(subject: Subject) -> Iterator[Trial]:
    """The product of matrices on each device, then the networks."""
    from models.engine import ENGINES
    from models.shelf import list_bundles

    places = dict.fromkeys(place for engine in ENGINES for place in places_of(engine))
    products = {place: cache(partial(_product, subject, place)) for place in places}
    for place, product in products.items():
        yield Trial("device", (_product_name(subject, place),), partial(_alone, product))
    for card in list_bundles():
        for engine in (engine for engine in ENGINES if computes(engine, card)):
            for place in places_of(engine):
                work = _Work.of(card, place, subject)
                name = f"{card.name} {work.side_px} px, {place}"
                yield Trial(_GROUP, (name,), partial(work.measure, engine, products[place], name))


def _alone(product: Callable[[], Measurement]) -> list[Measurement]:
    return [product()]


def _product_name(subject: Subject, place: Place) -> str:
    return f"matrix product {_product_side(subject, place):,}, {place}"


def _product_side(subject: Subject, place: Place) -> int:
    return subject.sizes.product_cuda if place.is_cuda else subject.sizes.product_cpu


def _product(subject: Subject, place: Place) -> Measurement:
    from models.cost import product_seconds

    side = _product_side(subject, place)
    took = product_seconds(place.device, place.precision, side, subject.repeat)
    return Measurement("device", _product_name(subject, place), "GFLOP/s", "higher", rates(2 * side**3 / 1e9, took))


@dataclass(frozen=True, slots=True)
class _Work:
    """What one network is given at once."""

    card: Card
    place: Place
    side_px: int
    tiles: int
    repeat: int

    @classmethod
    def of(cls, card: Card, place: Place, subject: Subject) -> _Work:
        """Tiles of the size that suits the device; of a classifier's patches, as many as it judges at once."""
        if card.field_px is not None:
            from models.predict import CLASSIFIED_AT_ONCE_CPU, CLASSIFIED_AT_ONCE_CUDA

            patches = CLASSIFIED_AT_ONCE_CUDA if place.is_cuda else CLASSIFIED_AT_ONCE_CPU
            return cls(card, place, card.field_px, patches, subject.repeat)
        sides = subject.sizes.dense_cuda_px if place.is_cuda else subject.sizes.dense_cpu_px
        return cls(card, place, sides[card.task], _TILES_AT_ONCE_CUDA if place.is_cuda else 1, subject.repeat)

    def measure(self, engine: EngineName, product: Callable[[], Measurement], name: str) -> list[Measurement]:
        """Pixels in, pixels or probabilities out."""
        import numpy as np

        from models.predict import load_predictor

        predict = load_predictor(self.card.name, self.place.device, self.place.precision, engine=engine)
        shape = (self.tiles, self.side_px, self.side_px, 3)
        pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
        took = [seconds / self.tiles for seconds in seconds_of(lambda: predict(pixels), self.repeat)]
        operations = 2 * self._multiply_adds()
        figures = {
            "megapixels/s": self.side_px**2 / 1e6 / median(took),
            SHARE: operations / 1e9 / median(took) / product().median,
            "GFLOP a tile": operations / 1e9,
        }
        note = (
            f"{'patches' if self.card.field_px else 'tiles'} on a GPU go in by {self.tiles}"
            if self.place.is_cuda
            else ""
        )
        milliseconds = tuple(1000 * seconds for seconds in took)
        return [Measurement(_GROUP, name, "ms/tile", "lower", milliseconds, note, engine, figures)]

    def _multiply_adds(self) -> int:
        """Of one tile, counted on a network without memory."""
        from models.bundle import build_without_memory
        from models.cost import multiply_adds

        return multiply_adds(build_without_memory(self.card, self.card.name), self.side_px)
