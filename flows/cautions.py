"""What a reader must know before believing a slide's figures, in words; pages and tables repeat it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from flows.networks import ChosenNetworks
from models.card import Card
from pipeline.config import SlideConfig
from pipeline.heatmap_summary import operating_point

if TYPE_CHECKING:
    from pipeline.recipe import Recipe

# What licences call it when weights are not for every use.
_RESTRICTED = re.compile(r"non-?commercial|\bNC\b|research", re.IGNORECASE)


def cautions(recipe: Recipe, config: SlideConfig, networks: ChosenNetworks) -> list[str]:
    """One line each: where lengths come from, what is estimated, what probabilities mean, what weights are for."""
    return [
        *_resolution(recipe, config),
        *_super_resolution(recipe, config.sr_blend),
        *(line for card in networks.classifiers for line in _classifier(card)),
        *(_licence(card) for card in networks.cards if _RESTRICTED.search(card.licence)),
    ]


def _resolution(recipe: Recipe, config: SlideConfig) -> Iterator[str]:
    if config.mpp is not None:
        yield (
            f"{recipe.level0.mpp:.4g} um/px was given with --mpp, whatever the file says: "
            "lengths, areas and densities are as right as that number"
        )
    if recipe.base.mpp < recipe.level0.mpp:
        yield f"scanned at {recipe.level0.mpp:.3g} um/px and interpolated to {recipe.base.mpp:.3g} um/px"


def _super_resolution(recipe: Recipe, blend: float) -> Iterator[str]:
    if not recipe.sr:
        return
    what = "nuclear detail" if recipe.nuclei else "detail"
    yield (
        f"read at {recipe.base.mpp:.3g} um/px, super-resolved x{recipe.sr.scale}: "
        f"{what} below {recipe.base.mpp:.3g} um is estimated, not measured"
    )
    if blend:
        yield f"{blend:.0%} of the weights were trained against an adversary, for looks: detail is made up"


def _classifier(card: Card) -> Iterator[str]:
    """How a classifier's probabilities became areas, and how far to believe them."""
    classes = card.classes or ()
    if len(classes) == 2:
        point = operating_point(card.postprocessing, card.name)
        chosen = "" if "operating_point" in card.postprocessing else " for want of one in its card"
        yield f"{card.name}: counts as {classes[1]} from a probability of {point:.3g}{chosen}"
    error = _calibration_error(card)
    if error is None:
        yield f"{card.name}: nobody measured whether its probabilities are calibrated; read them as scores"
    else:
        yield (
            f"{card.name}: expected calibration error {error:.1%} on the patients it was tested on; "
            "on other slides its probabilities need not be calibrated"
        )


def _licence(card: Card) -> str:
    return f"{card.name}: the licence of its weights is {card.licence}"


def _calibration_error(card: Card) -> float | None:
    """The expected calibration error that a card states of its test patients; None where it states none."""
    test = card.metrics.get("test")
    error = test.get("ece") if isinstance(test, dict) else None
    return float(error) if isinstance(error, int | float) and not isinstance(error, bool) else None
