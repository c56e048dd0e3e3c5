"""Synthetic H&E-like slides of any size whose every nucleus is known.

Everything is a function of the seed and of absolute level-0 coordinates, so that any box can be rendered alone, in any
order, and agrees with its neighbours: tissue is where a smooth spline over random knots is high, its texture repeats
with two periods that share no divisor, and a nucleus is drawn from a hash of the grid cell that it lives in.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from pipeline.errors import ConfigError
from pipeline.geometry import Box, Frame
from pipeline.pyramidal_tiff import Compression, write_pyramidal_tiff

Floats = NDArray[np.float64]

VIOLET_BELOW_RED = 160
"""A rendered pixel whose red is below this is more than half nucleus: tissue stays above 215, nuclei stay below 110."""

BACKGROUND = np.array([245, 244, 246], np.uint8)
SEMI_MINOR_UM = (2.6, 3.8)
SEMI_MAJOR_UM = (3.8, 5.6)
# Distance that a nucleus keeps from its cell's border; neighbours are twice as far apart, so that they never touch.
_GAP_PX = 1.5
# The other grid cells stay empty, which hides the grid.
_INHABITED = 0.9
# Distance that a nucleus keeps from the tissue's edge: a mask from a thumbnail is not exact there.
_EDGE_UM = 20.0


@dataclass(frozen=True, slots=True)
class Nuclei:
    """Some nuclei, each an ellipse: equally long arrays, in level-0 px from the slide's corner (pixel i is i..i+1)."""

    y: Floats
    x: Floats
    semi_major_px: Floats
    semi_minor_px: Floats
    angle: Floats
    """Radians from the x axis towards the y axis to the major one."""

    def __len__(self) -> int:
        """How many."""
        return len(self.y)

    def take(self, chosen: NDArray[np.bool_]) -> Nuclei:
        """Those that `chosen` is true for."""
        columns = (self.y, self.x, self.semi_major_px, self.semi_minor_px, self.angle)
        return Nuclei(*(column[chosen] for column in columns))

    def distance_px(self, y: Floats, x: Floats) -> Floats:
        """Signed distance of points to the outlines, negative inside, right to first order near an outline.

        `y` and `x` have the nuclei along their first axis. The implicit function of the ellipse, divided by its slope.
        """
        each = (slice(None), *(np.newaxis,) * (y.ndim - 1))
        cos, sin = np.cos(self.angle)[each], np.sin(self.angle)[each]
        down, right = y - self.y[each], x - self.x[each]
        along, across = right * cos + down * sin, down * cos - right * sin
        major, minor = self.semi_major_px[each], self.semi_minor_px[each]
        level = np.hypot(along / major, across / minor)
        slope = np.hypot(along / major**2, across / minor**2) / np.maximum(level, 1e-9)
        return np.asarray((level - 1) / np.maximum(slope, 1e-9))


@dataclass(frozen=True, slots=True)
class SyntheticTruth:
    """What a synthetic slide shows: a small value from which every box of it can be rendered."""

    height: int
    width: int
    mpp: float
    nuclei_per_mm2: float = 2000
    """Of tissue, expected; fewer near its edge."""
    tissue_share: float = 0.5
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.tissue_share <= 1 or self.nuclei_per_mm2 < 0:
            msg = f"no slide has {self.nuclei_per_mm2} nuclei per mm2 and a tissue share of {self.tissue_share}"
            raise ConfigError(msg, "Give a density of at least 0 and a share above 0, up to 1.")
        if self.nuclei_per_mm2 and self.cell_px / 2 < SEMI_MAJOR_UM[1] / self.mpp + _GAP_PX:
            msg = f"{self.nuclei_per_mm2} nuclei per mm2 would touch each other at {self.mpp} um/px"
            raise ConfigError(msg, "Ask for fewer nuclei per mm2 or for a finer resolution.")

    @property
    def frame(self) -> Frame:
        """The slide's level 0."""
        return Frame(self.height, self.width, self.mpp)

    @property
    def cell_px(self) -> float:
        """Side of the grid cells that hold at most one nucleus each; infinite when there are none."""
        if not self.nuclei_per_mm2:
            return math.inf
        return 1000 * math.sqrt(_INHABITED / self.nuclei_per_mm2) / self.mpp

    def nuclei(self, box: Box | None = None) -> Nuclei:
        """The nuclei whose centres lie in `box` (the whole slide by default), by grid cell in reading order."""
        box = box or self.frame.box
        found = self._touching(box)
        inside = (box.y <= found.y) & (found.y < box.y_end) & (box.x <= found.x) & (found.x < box.x_end)
        return found.take(inside)

    def nuclei_by_block(self, side_px: int = 8192) -> Iterator[Nuclei]:
        """All nuclei, each once, by square blocks of the slide: for slides with more than fit into memory."""
        for block in self.frame.partition(side_px):
            yield self.nuclei(block)

    def is_tissue(self, y: Floats, x: Floats) -> NDArray[np.bool_]:
        """Whether points, in level-0 px, lie on tissue."""
        return np.asarray(self._tissue_height(y, x, paired=True) > 0)

    def is_nucleus(self, y: Floats, x: Floats) -> NDArray[np.bool_]:
        """Whether points, in level-0 px, lie in a nucleus."""
        if not self.nuclei_per_mm2:
            return np.zeros(np.shape(y), np.bool_)
        cells = self._cells(np.floor(y / self.cell_px).astype(np.int64), np.floor(x / self.cell_px).astype(np.int64))
        return self._exists(cells) & (cells.distance_px(np.asarray(y), np.asarray(x)) <= 0)

    def render_mask(self, box: Box) -> NDArray[np.bool_]:
        """(y, x) of `box`: pixels whose centres lie in a nucleus."""
        return self._coverage(box) >= 0.5

    def render(self, box: Box) -> NDArray[np.uint8]:
        """(y, x, 3) RGB of a box of the slide, in level-0 px."""
        height = self._tissue_height(*_pixel_centres(box))
        picture = np.broadcast_to(BACKGROUND, (*box.shape, 3)).copy()
        opacity = np.clip(height * max(self.frame.shape) / 20 + 0.5, 0, 1)
        if not opacity.any():
            return picture
        texture = _texture(self.mpp, self.seed, box)
        pink, violet = _palettes()
        whole = opacity >= 1
        picture[whole] = pink[texture[whole]]
        edge = (opacity > 0) & ~whole
        picture[edge] = _blend(picture[edge], pink[texture[edge]], opacity[edge])
        coverage = self._coverage(box)
        dark = coverage > 0
        picture[dark] = _blend(picture[dark], violet[texture[dark]], coverage[dark])
        return picture

    def _tissue_height(self, y: Floats, x: Floats, *, paired: bool = False) -> Floats:
        """How far the smooth field is above the tissue's threshold: over two axes, or at paired points."""
        return _field(self, y, x, paired=paired) - _threshold(self)

    def _touching(self, box: Box) -> Nuclei:
        """The nuclei that live in cells which share a pixel with `box`."""
        if not (self.nuclei_per_mm2 and box.area_px):
            return self._cells(np.zeros(0, np.int64), np.zeros(0, np.int64))
        rows = np.arange(int(box.y / self.cell_px), math.ceil(box.y_end / self.cell_px))
        columns = np.arange(int(box.x / self.cell_px), math.ceil(box.x_end / self.cell_px))
        row, column = (axis.ravel() for axis in np.meshgrid(rows, columns, indexing="ij"))
        cells = self._cells(row, column)
        return cells.take(self._exists(cells))

    def _cells(self, row: NDArray[np.int64], column: NDArray[np.int64]) -> Nuclei:
        """One nucleus a grid cell, whether it exists or not; those of empty cells have no centre (NaN)."""
        inhabited, up, left, major, minor, turn = _uniform(self.seed, row, column, draws=6)
        semi_major = _between(SEMI_MAJOR_UM, major) / self.mpp
        room = self.cell_px / 2 - semi_major - _GAP_PX
        y = (row + 0.5) * self.cell_px + room * (2 * up - 1)
        x = (column + 0.5) * self.cell_px + room * (2 * left - 1)
        y[inhabited > _INHABITED] = np.nan
        return Nuclei(y, x, semi_major, _between(SEMI_MINOR_UM, minor) / self.mpp, turn * math.pi)

    def _exists(self, cells: Nuclei) -> NDArray[np.bool_]:
        """Which nuclei are there: in an inhabited cell, whole on the slide, and away from the tissue's edge."""
        reach = cells.semi_major_px + _GAP_PX
        exists = ~np.isnan(cells.y)
        for centre, size in ((cells.y, self.height), (cells.x, self.width)):
            exists &= (centre - reach >= 0) & (centre + reach <= size)
        for angle in np.arange(8) * math.pi / 4 if exists.any() else ():
            dy, dx = (trig(angle) * _EDGE_UM / self.mpp for trig in (math.sin, math.cos))
            y, x = cells.y[exists] + dy, cells.x[exists] + dx
            exists[exists] = self.is_tissue(np.clip(y, 0, self.height), np.clip(x, 0, self.width))
        return exists

    def _coverage(self, box: Box) -> NDArray[np.float32]:
        """(y, x) of `box`: the share of each pixel that a nucleus covers; 0.5 where an outline meets its centre."""
        coverage = np.zeros(box.shape, np.float32)
        nuclei = self._touching(box)
        if not len(nuclei):
            return coverage
        reach = math.ceil(SEMI_MAJOR_UM[1] / self.mpp) + 2
        window = np.arange(-reach, reach + 1, dtype=np.float64)
        rows = np.floor(nuclei.y)[:, np.newaxis, np.newaxis] + window[:, np.newaxis]
        columns = np.floor(nuclei.x)[:, np.newaxis, np.newaxis] + window
        share = np.clip(0.5 - nuclei.distance_px(rows + 0.5, columns + 0.5), 0, 1)
        inside = (rows >= box.y) & (rows < box.y_end) & (columns >= box.x) & (columns < box.x_end) & (share > 0)
        y, x = (np.broadcast_to(places, inside.shape)[inside].astype(np.int64) for places in (rows, columns))
        coverage[y - box.y, x - box.x] = share[inside]
        return coverage


def write_synthetic_slide(  # noqa: PLR0913 - one keyword for each thing that a test varies
    path: Path,
    height: int,
    width: int,
    mpp: float,
    *,
    level_downsamples: Sequence[float] = (1, 4, 16),
    nuclei_per_mm2: float = 2000,
    tissue_share: float = 0.5,
    seed: int = 0,
    compression: Compression = "jpeg",
) -> SyntheticTruth:
    """Write a pyramidal TIFF that openslide and tiffslide read, tile by tile, and return what is on it."""
    truth = SyntheticTruth(height, width, mpp, nuclei_per_mm2, tissue_share, seed)
    write_pyramidal_tiff(path, truth.frame, truth.render, level_downsamples=level_downsamples, compression=compression)
    return truth


# Of the tissue field: (spans along the slide's longer side, weight).
_OCTAVES = ((5, 1.0), (16, 0.4), (50, 0.12))


@lru_cache(maxsize=4)
def _knots(seed: int) -> list[tuple[int, NDArray[np.float64]]]:
    """Octaves of the tissue field: (spans along the slide's longer side, random knot values weighted by the octave)."""
    random = np.random.default_rng(seed)
    return [(spans, weight * random.standard_normal((spans + 3, spans + 3))) for spans, weight in _OCTAVES]


def _field(truth: SyntheticTruth, y: Floats, x: Floats, *, paired: bool = False) -> Floats:
    """A smooth random field over the slide, low along its border; at all of two axes, or at paired points.

    Uniform cubic B-splines over the knots of every octave.
    """
    longer = max(truth.frame.shape)
    fall = _border_fall(y / truth.height), _border_fall(x / truth.width)
    field = fall[0] + fall[1] if paired else fall[0][:, np.newaxis] + fall[1]
    for spans, knots in _knots(truth.seed):
        across, along = _spline(y / longer, spans), _spline(x / longer, spans)
        field = field + (np.sum((across @ knots) * along, axis=1) if paired else across @ knots @ along.T)
    return np.asarray(field)


def _border_fall(place: Floats) -> Floats:
    """0 over most of the slide, -4 at its border (places 0 and 1), so that tissue is framed by background."""
    return np.asarray(-4 * np.abs(2 * place - 1) ** 16)


def _spline(place: Floats, spans: int) -> Floats:
    """(n, spans + 3) weights of the knots at places 0..1: uniform cubic B-splines."""
    position = np.clip(place * spans, 0, spans)
    first = np.minimum(np.floor(position).astype(np.int64), spans - 1)
    t = position - first
    pieces = ((1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3)
    weights = np.zeros((len(position), spans + 3))
    for offset, piece in enumerate(pieces):
        weights[np.arange(len(position)), first + offset] = piece / 6
    return weights


@lru_cache(maxsize=4)
def _threshold(truth: SyntheticTruth) -> float:
    """The height of the field above which the wanted share of the slide lies."""
    if truth.tissue_share == 1:
        return -math.inf
    y, x = ((np.arange(256) + 0.5) / 256 * side for side in truth.frame.shape)
    return float(np.quantile(_field(truth, y, x), 1 - truth.tissue_share))


@lru_cache(maxsize=4)
def _texture_periods(mpp: float, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Two tileable textures with values 0..127: fibres some 12 um apart, and grain of 1.5 um."""
    random = np.random.default_rng(seed + 1)
    fibres, grain = (
        gaussian_filter(random.standard_normal((period, period)), (um / mpp, slant * um / mpp), mode="wrap")
        for period, um, slant in ((1021, 5.0, 2.0), (761, 0.7, 1.0))
    )
    ridges = 1 - np.abs(fibres / fibres.std()) / 2
    return _as_texture(ridges), _as_texture(0.5 + grain / grain.std() / 5)


def _as_texture(values: Floats) -> NDArray[np.uint8]:
    return np.round(np.clip(values, 0, 1) * 127).astype(np.uint8)


def _texture(mpp: float, seed: int, box: Box) -> NDArray[np.uint8]:
    """(y, x) of `box`: how strongly tissue is stained, 0..254."""
    rows, columns = np.arange(box.y, box.y_end), np.arange(box.x, box.x_end)
    fibres, grain = (
        texture[np.ix_(rows % texture.shape[0], columns % texture.shape[1])] for texture in _texture_periods(mpp, seed)
    )
    return np.asarray(fibres + grain)


@lru_cache(maxsize=1)
def _palettes() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """(256, 3) RGB of stroma and of nuclei by strength of stain, after Beer and Lambert.

    Optical densities of haematoxylin and eosin as in ImageJ's Colour Deconvolution, stain pair "H&E 2".
    """
    haematoxylin, eosin = np.array([0.490, 0.769, 0.410]), np.array([0.046, 0.842, 0.537])
    strength = np.linspace(0, 1, 256)[:, np.newaxis]
    stroma = (0.02 + 0.05 * strength) * haematoxylin + (0.05 + 0.22 * strength) * eosin
    nucleus = (0.75 + 0.35 * strength) * haematoxylin + 0.1 * eosin
    pink, violet = (np.round(BACKGROUND * 10**-density).astype(np.uint8) for density in (stroma, nucleus))
    return pink, violet


def _blend(below: NDArray[np.uint8], above: NDArray[np.uint8], opacity: NDArray[np.floating]) -> NDArray[np.uint8]:
    share = opacity[:, np.newaxis]
    return np.round(below * (1 - share) + above * share).astype(np.uint8)


def _pixel_centres(box: Box) -> tuple[Floats, Floats]:
    return np.arange(box.y, box.y_end, dtype=np.float64) + 0.5, np.arange(box.x, box.x_end, dtype=np.float64) + 0.5


def _between(limits: tuple[float, float], share: Floats) -> Floats:
    return limits[0] + (limits[1] - limits[0]) * share


def _uniform(seed: int, row: NDArray[np.int64], column: NDArray[np.int64], draws: int) -> Floats:
    """(draws, n) numbers in [0, 1) that depend on nothing but the seed, the cell and the draw.

    The finaliser of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014), once for each of the four.
    """
    state = np.full((draws, len(row)), seed, np.uint64)
    for key in (row.astype(np.uint64), column.astype(np.uint64), np.arange(draws, dtype=np.uint64)[:, np.newaxis]):
        state = (state ^ key) + np.uint64(0x9E3779B97F4A7C15)
        state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        state = state ^ (state >> np.uint64(31))
    return np.asarray((state >> np.uint64(11)) * 2.0**-53)
