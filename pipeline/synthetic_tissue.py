"""The tissue of synthetic slides: where it is, and what it looks like, box by box at any size of slide.

Tissue is where a smooth random field is above a threshold. The field is a sum of uniform cubic B-splines over a few
random knots, lowered along the slide's border. Its texture repeats with two periods that share no divisor.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from pipeline.geometry import Box

Floats = NDArray[np.float64]

BACKGROUND = np.array([245, 244, 246], np.uint8)
"""RGB of glass."""

# (spans along the slide's longer side, weight) of each spline.
_OCTAVES = ((5, 1.0), (16, 0.4), (50, 0.12))
_BORDER_DEPTH, _BORDER_POWER = 4, 16
# Width of the blur where tissue ends, on a slope of one per slide.
_BLUR_PX = 20
_COARSE_PX = 8


@dataclass(frozen=True, slots=True)
class TissueShape:
    """Where a slide of height x width px holds tissue: over `share` of it."""

    height: int
    width: int
    share: float
    seed: int

    def holds(self, y: Floats, x: Floats) -> NDArray[np.bool_]:
        """Whether points, in px, lie on tissue."""
        height = _border_fall(y / self.height) + _border_fall(x / self.width)
        for spans, knots in _knots(self.seed):
            (row, across), (column, along) = (_spline(place / self.longer, spans) for place in (y, x))
            for down, right in np.ndindex(4, 4):
                height += across[down] * along[right] * knots[row + down, column + right]
        return np.asarray(height > _threshold(self))

    @property
    def longer(self) -> int:
        """The longer side, in px."""
        return max(self.height, self.width)

    def opacity(self, box: Box) -> Floats | float:
        """How much tissue hides of the glass, 0..1: (y, x) of `box`, or one number where it is the same everywhere.

        A coarse look settles most boxes: away from its samples the field changes by no more than its slope allows.
        """
        y, x = pixel_centres(box)
        blur = _BLUR_PX / self.longer
        above = _field(self, np.append(y[::_COARSE_PX], y[-1]), np.append(x[::_COARSE_PX], x[-1])) - _threshold(self)
        change = _steepest(self) * _COARSE_PX
        if above.min() - change > blur:
            return 1.0
        if above.max() + change < -blur:
            return 0.0
        return np.clip((_field(self, y, x) - _threshold(self)) / blur + 0.5, 0, 1)


def pixel_centres(box: Box) -> tuple[Floats, Floats]:
    """Y of every row and x of every column of `box`."""
    return np.arange(box.y, box.y_end, dtype=np.float64) + 0.5, np.arange(box.x, box.x_end, dtype=np.float64) + 0.5


def texture(mpp: float, seed: int, box: Box) -> NDArray[np.uint8]:
    """(y, x) of `box`: how strongly what is there takes the stain, 0..254."""
    rows, columns = np.arange(box.y, box.y_end), np.arange(box.x, box.x_end)
    fibres, grain = (
        period[np.ix_(rows % period.shape[0], columns % period.shape[1])] for period in _texture_periods(mpp, seed)
    )
    return np.asarray(fibres + grain)


@lru_cache(maxsize=1)
def palettes() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """(256, 3) RGB of stroma and of nuclei by strength of stain, after Beer and Lambert.

    Optical densities of haematoxylin and eosin as in ImageJ's Colour Deconvolution, stain pair "H&E 2".
    """
    haematoxylin, eosin = np.array([0.490, 0.769, 0.410]), np.array([0.046, 0.842, 0.537])
    strength = np.linspace(0, 1, 256)[:, np.newaxis]
    stroma = (0.02 + 0.05 * strength) * haematoxylin + (0.05 + 0.22 * strength) * eosin
    nucleus = (0.75 + 0.35 * strength) * haematoxylin + 0.1 * eosin
    pink, violet = (np.round(BACKGROUND * 10**-density).astype(np.uint8) for density in (stroma, nucleus))
    return pink, violet


def _field(shape: TissueShape, y: Floats, x: Floats) -> Floats:
    """(y, x): the random field over two axes."""
    field = _border_fall(y / shape.height)[:, np.newaxis] + _border_fall(x / shape.width)
    for spans, knots in _knots(shape.seed):
        across, along = (_spline_matrix(*_spline(axis / shape.longer, spans), spans) for axis in (y, x))
        field += across @ knots @ along.T
    return field


def _border_fall(place: Floats) -> Floats:
    """0 over most of the slide, deep at its border (places 0 and 1), so that background frames the tissue."""
    return np.asarray(-_BORDER_DEPTH * np.abs(2 * place - 1) ** _BORDER_POWER)


def _spline(place: Floats, spans: int) -> tuple[NDArray[np.int64], Floats]:
    """Uniform cubic B-splines at places 0..1: first of the four knots that count, (n,), and their weights, (4, n)."""
    position = np.clip(place * spans, 0, spans)
    first = np.minimum(np.floor(position).astype(np.int64), spans - 1)
    t = position - first
    return first, np.stack([(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3]) / 6


def _spline_matrix(first: NDArray[np.int64], weights: Floats, spans: int) -> Floats:
    """(n, knots) weights of all knots."""
    matrix = np.zeros((len(first), spans + 3))
    np.put_along_axis(matrix, first[:, np.newaxis] + np.arange(4), weights.T, axis=1)
    return matrix


@lru_cache(maxsize=4)
def _knots(seed: int) -> list[tuple[int, Floats]]:
    """(spans along the slide's longer side, weighted random knots) of each octave."""
    random = np.random.default_rng(seed)
    return [(spans, weight * random.standard_normal((spans + 3, spans + 3))) for spans, weight in _OCTAVES]


@lru_cache(maxsize=4)
def _steepest(shape: TissueShape) -> float:
    """Bound of the field's change per pixel along either axis: a spline is no steeper than its knots are apart."""
    sides = shape.height, shape.width
    fall = 2 * _BORDER_DEPTH * _BORDER_POWER / min(sides)
    jumps = [
        spans * max(np.abs(np.diff(knots, axis=axis)).max() for axis in (0, 1)) for spans, knots in _knots(shape.seed)
    ]
    return float(fall + sum(jumps) / max(sides))


@lru_cache(maxsize=4)
def _threshold(shape: TissueShape) -> float:
    """The height of the field above which the wanted share of the slide lies."""
    if shape.share == 1:
        return -math.inf
    y, x = ((np.arange(256) + 0.5) / 256 * side for side in (shape.height, shape.width))
    return float(np.quantile(_field(shape, y, x), 1 - shape.share))


@lru_cache(maxsize=4)
def _texture_periods(mpp: float, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Two textures of values 0..127 that can be laid side by side: fibres some 10 um apart, and fine grain."""
    random = np.random.default_rng(seed)
    fibres, grain = (
        gaussian_filter(random.standard_normal((period, period)), (um / mpp, slant * um / mpp), mode="wrap")
        for period, um, slant in ((1021, 5.0, 2.0), (761, 0.7, 1.0))
    )
    return _as_texture(1 - np.abs(fibres / fibres.std()) / 2), _as_texture(0.5 + grain / grain.std() / 5)


def _as_texture(values: Floats) -> NDArray[np.uint8]:
    return np.round(np.clip(values, 0, 1) * 127).astype(np.uint8)
