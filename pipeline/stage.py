"""What a stage is: one kind of work, tile by tile, over one slide.

A stage names its tiles and knows what to do with a few of them in a worker. It holds no pixels, no handles and no
networks, so that it can be sent anywhere; what it needs it takes from the `Workspace`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import pyarrow as pa

from pipeline.grid import Tile
from pipeline.tissue import TissueMask
from pipeline.workspace import Loader, Workspace


class Stage(Protocol):
    """One kind of work over one slide."""

    @property
    def name(self) -> str:
        """The stage's name, unique within a slide; a folder of the ledger is called so."""
        ...

    @property
    def batch_tiles(self) -> int:
        """How many tiles are done and committed together."""
        ...

    def tiles(self, tissue: TissueMask) -> Iterable[Tile]:
        """The tiles that have to be done, always in the same order."""
        ...

    def run(self, tiles: Sequence[Tile], workspace: Workspace) -> pa.Table | None:
        """Do some tiles: write their cores into the store, return the rows found. Doing it twice does no harm."""
        ...


@dataclass(frozen=True, slots=True)
class Network:
    """What the pipeline knows of a network: how to feed it, and how a worker gets hold of it."""

    name: str
    load: Loader
    mpp: float
    """um per pixel of the input that it was trained on."""
    halo_px: int = 0
    """Input pixels it must see around those it answers for: the receptive-field radius, rounded up to the stride."""
    stride_px: int = 1
    scale: int = 1
    """Output pixels per input pixel along one axis."""
    field_px: int = 0
    """Side of the square patch that a classifier judges."""
    classes: tuple[str, ...] = ()
    postprocessing: Mapping[str, float] = field(default_factory=dict)
