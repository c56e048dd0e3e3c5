"""At which resolution a slide is read, and which layer has the resolution that a network was trained at."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from pipeline.errors import CannotFeed
from pipeline.geometry import Frame

FACTORS = (1, 2, 4, 8, 16)

# What microscopes give, in um per pixel; anything else is a unit gone wrong.
PLAUSIBLE_MPP = (0.05, 20.0)

# Pixels this much finer or coarser than wanted are used as they are: networks are trained over this range of scale.
TOLERANCE = 1.25


def fits(mpp: float, wanted_mpp: float) -> bool:
    """Whether pixels of `mpp` can stand in for pixels of `wanted_mpp`."""
    return abs(math.log(mpp / wanted_mpp)) <= math.log(TOLERANCE) + 1e-9


def choose_factor(mpp: float, target_mpp: float) -> int:
    """How many times along an axis a slide is super-resolved: the factor whose multiple of the target is nearest."""
    return min(FACTORS, key=lambda factor: abs(math.log(mpp / (factor * target_mpp))))


def choose_base_mpp(level0_mpp: float, target_mpp: float, classifier_mpps: Iterable[float]) -> float:
    """Return the um per px that a slide is read at where nothing is super-resolved and no nuclei are looked for.

    Level 0's own where that is coarser than the target and all classifiers find their resolution among its halvings:
    pixels interpolated to the target would be more, and say no more. Else the target.
    """
    coarser = level0_mpp > target_mpp
    return level0_mpp if coarser and all(_halves_to(level0_mpp, wanted) for wanted in classifier_mpps) else target_mpp


def _halves_to(level0_mpp: float, wanted_mpp: float) -> bool:
    """Whether level 0, or what comes of halving it some times, has the resolution that a network was trained at."""
    times = max(0, round(math.log2(wanted_mpp / level0_mpp)))
    return fits(level0_mpp * 2**times, wanted_mpp)


def choose_layer(layers: Mapping[str, Frame], wanted_mpp: float, network: str, slide: str) -> str:
    """The path of the layer whose resolution is nearest to what a network was trained at; `CannotFeed` if none fits."""
    path, frame = min(layers.items(), key=lambda item: abs(math.log(item[1].mpp / wanted_mpp)))
    if not fits(frame.mpp, wanted_mpp):
        offered = ", ".join(f"{frame.mpp:.3g}" for frame in layers.values())
        msg = f"{slide}: {network} was trained at {wanted_mpp:g} um/px; this run has {offered} um/px"
        raise CannotFeed(msg, f"Let the slide be super-resolved (--sr auto), or leave {network} out (none).")
    return path


def heatmap_level(frames: tuple[Frame, ...], coarsest_mpp: float = 4.0) -> int:
    """The coarsest level of at most 4 um/px: fine enough for every viewer to place it, small enough to fold at once."""
    slack = 1.001
    return max((level for level, frame in enumerate(frames) if frame.mpp <= coarsest_mpp * slack), default=0)
