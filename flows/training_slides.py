"""Lets a training read any slide that the pipeline opens: its levels by the pipeline's readers, its tissue by the mask.

What `models.slide_reader.SlideReader` asks for, without `models` knowing any of it.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.errors import TrainingError
from models.slide_reader import Region, SlideReader
from pipeline.errors import SlideError
from pipeline.geometry import Box
from pipeline.slide import Slide, open_slide
from pipeline.tissue import TissueMask, find_tissue


class TrainingSlide:
    """A slide as a training sees it: the levels whose own pixels the reader can give, and where its tissue is."""

    def __init__(self, slide: Slide) -> None:
        self._slide = slide
        self._frames = tuple(slide.info.levels[level] for level in slide.info.usable_levels)
        self.name = slide.info.name
        self.mpp: float | None = slide.info.frame.mpp

    @property
    def shapes(self) -> tuple[tuple[int, int], ...]:
        """(height, width) of every usable level, the finest first."""
        return tuple(frame.shape for frame in self._frames)

    @property
    def downsamples(self) -> tuple[float, ...]:
        """Level-0 px along one px of every usable level."""
        return tuple(self._slide.info.frame.pixels_per(frame) for frame in self._frames)

    @cached_property
    def _tissue(self) -> TissueMask:
        return find_tissue(self._slide)

    def read(self, level: int, region: Region) -> NDArray[np.uint8]:
        """Return the (y, x, 3) RGB pixels of a region inside a level; raises TrainingError if they do not decode."""
        try:
            return self._slide.level(self._slide.info.usable_levels[level]).read(_box(region))
        except SlideError as error:
            raise TrainingError(error.what, error.cure) from error

    def tissue_share(self, level: int, region: Region) -> float:
        """Return the share of a region that is stained tissue."""
        return self._tissue.share(_box(region), self._frames[level])


def open_training_slide(path: Path, mpp: float | None) -> SlideReader:
    """Open a slide of any format for a training; `mpp`, um per level-0 px, goes before what the file says.

    Raises
    ------
    TrainingError
        if no reader opens it, or its um per px are neither in the file nor given, or implausible.
    """
    try:
        return TrainingSlide(open_slide(path, mpp))
    except SlideError as error:
        cure = error.cure.replace("--mpp X", "slide_mpp = X, in its table of [[sources]]")
        raise TrainingError(error.what, cure) from error


def _box(region: Region) -> Box:
    return Box(region.y, region.x, region.height, region.width)
