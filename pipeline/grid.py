"""Tiles over a frame: each owns its core and reads its core plus a halo."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from pipeline.geometry import Box, Frame


@dataclass(frozen=True, slots=True)
class Tile:
    """One step of work: the pixels it owns (`core`) and the pixels it must see to know them (`read`)."""

    row: int
    col: int
    core: Box
    read: Box


@dataclass(frozen=True, slots=True)
class TileGrid:
    """Cores of core_px x core_px that partition the frame; reads grown by halo_px and clipped to the frame.

    A read ends where the frame ends, so that there a network pads exactly as it would over the whole image; this, and
    a halo of at least its receptive-field radius, makes tile-wise output equal whole-image output.
    """

    frame: Frame
    core_px: int
    halo_px: int = 0

    def __post_init__(self) -> None:
        if self.core_px < 1 or self.halo_px < 0:
            msg = f"no grid with a core of {self.core_px} px and a halo of {self.halo_px} px"
            raise ValueError(msg)

    @property
    def rows(self) -> int:
        """Tiles from top to bottom."""
        return -(-self.frame.height // self.core_px)

    @property
    def cols(self) -> int:
        """Tiles from left to right."""
        return -(-self.frame.width // self.core_px)

    def __len__(self) -> int:
        """Tiles in the whole grid."""
        return self.rows * self.cols

    def tile(self, row: int, col: int) -> Tile:
        """The tile in one place of the grid."""
        square = Box(row * self.core_px, col * self.core_px, self.core_px, self.core_px)
        return Tile(row, col, self.frame.box.clip(square), self.frame.box.clip(square.grow(self.halo_px)))

    def trimmed(self, tile: Tile, wanted: Box, step_px: int) -> Tile:
        """A tile with no more of its core than holds `wanted`, cut on multiples of step_px, and the read of that."""
        core = tile.core.clip(wanted.over(step_px).times(step_px))
        return replace(tile, core=core, read=self.frame.box.clip(core.grow(self.halo_px)))

    def __iter__(self) -> Iterator[Tile]:
        """All tiles in reading order."""
        for row in range(self.rows):
            for col in range(self.cols):
                yield self.tile(row, col)
