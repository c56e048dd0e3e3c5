"""Synthetic H&E-like slides of any size whose every nucleus is known.

Everything is a function of the seed and of absolute level-0 coordinates, so that any box can be rendered alone, in any
order, and agrees with its neighbours. Each nucleus is drawn from a hash of the grid cell that it lives in.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ConfigError
from pipeline.geometry import Box, Frame
from pipeline.pyramidal_tiff import Compression, write_pyramidal_tiff
from pipeline.synthetic_tissue import BACKGROUND, Floats, TissueShape, palettes, texture

VIOLET_BELOW_RED = 160
"""A rendered pixel whose red is below this is more than half nucleus: tissue stays above 215, nuclei stay below 110."""

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
    def _tissue(self) -> TissueShape:
        return TissueShape(self.height, self.width, self.tissue_share, self.seed)

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
        return self._tissue.holds(y, x)

    def is_nucleus(self, y: Floats, x: Floats) -> NDArray[np.bool_]:
        """Whether points, in level-0 px, lie in a nucleus."""
        if not self.nuclei_per_mm2:
            return np.zeros(np.shape(y), np.bool_)
        cells = self._cells(np.floor(y / self.cell_px).astype(np.int64), np.floor(x / self.cell_px).astype(np.int64))
        return self._exists(cells) & (cells.distance_px(np.asarray(y), np.asarray(x)) <= 0)

    def render_mask(self, box: Box) -> NDArray[np.bool_]:
        """(y, x) of `box`: pixels whose centres lie in a nucleus."""
        mask = np.zeros(box.shape, np.bool_)
        y, x, coverage = self._covered(box)
        mask[y, x] = coverage >= 0.5
        return mask

    def render(self, box: Box) -> NDArray[np.uint8]:
        """(y, x, 3) RGB of a box of the slide, in level-0 px."""
        opacity = self._tissue.opacity(box)
        if not np.any(opacity):
            return np.broadcast_to(BACKGROUND, (*box.shape, 3)).copy()
        stain = texture(self.mpp, self.seed, box)
        pink, violet = palettes()
        picture = np.take(pink, stain, axis=0)
        if isinstance(opacity, np.ndarray):
            picture[opacity <= 0] = BACKGROUND
            thin = (opacity > 0) & (opacity < 1)
            picture[thin] = _blend(BACKGROUND, picture[thin], opacity[thin])
        y, x, coverage = self._covered(box)
        picture[y, x] = _blend(picture[y, x], violet[stain[y, x]], coverage)
        return picture

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
        for direction in np.exp(2j * math.pi * np.arange(8) / 8) * _EDGE_UM / self.mpp:
            y = np.clip(cells.y[exists] + direction.imag, 0, self.height)
            x = np.clip(cells.x[exists] + direction.real, 0, self.width)
            exists[exists] = self.is_tissue(y, x)
        return exists

    def _covered(self, box: Box) -> tuple[NDArray[np.int64], NDArray[np.int64], Floats]:
        """The pixels of `box` that nuclei cover: rows and columns within it, and the share covered of each, above 0."""
        nuclei = self._touching(box)
        reach = math.ceil(SEMI_MAJOR_UM[1] / self.mpp) + 2
        window = np.arange(-reach, reach + 1, dtype=np.float64)
        rows = np.floor(nuclei.y)[:, np.newaxis, np.newaxis] + window[:, np.newaxis]
        columns = np.floor(nuclei.x)[:, np.newaxis, np.newaxis] + window
        share = np.clip(0.5 - nuclei.distance_px(rows + 0.5, columns + 0.5), 0, 1)
        inside = (rows >= box.y) & (rows < box.y_end) & (columns >= box.x) & (columns < box.x_end) & (share > 0)
        y, x = (np.broadcast_to(places, inside.shape)[inside].astype(np.int64) for places in (rows, columns))
        return y - box.y, x - box.x, share[inside]


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


def _blend(below: NDArray[np.uint8], above: NDArray[np.uint8], opacity: NDArray[np.floating]) -> NDArray[np.uint8]:
    share = opacity[:, np.newaxis]
    return np.round(below * (1 - share) + above * share).astype(np.uint8)


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
