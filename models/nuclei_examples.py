"""Labelled images before they are read: what they are called, whose they are, and how to get at their pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

from models.nuclei_image import LabelledImage
from models.slide_reader import OpenSlide
from models.train_config import SourceConfig

Read = Callable[[], LabelledImage]
"""Raises TrainingError where pixels or labels cannot be used."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a layout is asked for."""

    source: SourceConfig
    path: Path
    """The source's file or folder."""
    mpp: float | None
    """um per px of the network; None where it does not matter."""
    open_slide: OpenSlide


@dataclass(frozen=True, slots=True)
class Example:
    """A labelled image that can be read; holds no pixels itself."""

    name: str
    group: str
    """What the source's `patient` expression is matched against."""
    read: Read
    mpp: float | None = None
    """um per px of what is read; None where nobody says."""
    mapped: bool = False
    """Whether reading is a copy out of a memory-mapped file: such images are neither held nor all looked at first."""


class LabelledImages(Sequence[LabelledImage]):
    """Labelled images in their order, each read when it is asked for."""

    def __init__(self, reads: Iterable[Read]) -> None:
        self._reads = tuple(reads)

    def __len__(self) -> int:
        return len(self._reads)

    @overload
    def __getitem__(self, index: int) -> LabelledImage: ...
    @overload
    def __getitem__(self, index: slice) -> LabelledImages: ...
    def __getitem__(self, index: int | slice) -> LabelledImage | LabelledImages:
        if isinstance(index, slice):
            return LabelledImages(self._reads[index])
        return self._reads[index]()


class Memory:
    """Room for decoded images; those that come first stay, the others are read again whenever they are drawn.

    Crops are drawn from all images alike, so that no order of eviction would keep the better ones.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._free_bytes = limit_bytes

    def hold(self, read: Read) -> Read:
        """Read an image once, and return how to have it again: at once, where there was room for it."""
        one = read()
        size_bytes = one.image.nbytes + one.labels.nbytes
        if size_bytes > self._free_bytes:
            return read
        self._free_bytes -= size_bytes
        return lambda: one
