"""Hypothesis strategies for places on slides."""

from __future__ import annotations

from hypothesis import strategies as st

from pipeline.geometry import Box, Frame
from pipeline.grid import TileGrid

mpps = st.one_of(st.sampled_from([0.25, 0.5, 1.0, 2.0, 4.0]), st.floats(0.05, 20))
"""um per pixel, as scanners have it and as they do not."""


def frames(max_side_px: int = 5000, mpps: st.SearchStrategy[float] = mpps) -> st.SearchStrategy[Frame]:
    """Frames from one pixel on."""
    sides = st.integers(1, max_side_px)
    return st.builds(Frame, sides, sides, mpps)


def boxes(reach_px: int = 5000, min_side_px: int = 0) -> st.SearchStrategy[Box]:
    """Boxes anywhere: before a frame's first corner, across it, beyond its last one; of no area unless told."""
    corners, sides = st.integers(-reach_px, reach_px), st.integers(min_side_px, reach_px)
    return st.builds(Box, corners, corners, sides, sides)


@st.composite
def boxes_in(draw: st.DrawFn, frame: Frame) -> Box:
    """Boxes of at least one pixel inside a frame."""
    y, x = draw(st.integers(0, frame.height - 1)), draw(st.integers(0, frame.width - 1))
    return Box(y, x, draw(st.integers(1, frame.height - y)), draw(st.integers(1, frame.width - x)))


@st.composite
def grids(draw: st.DrawFn, max_tiles_per_axis: int = 12) -> TileGrid:
    """Grids of few tiles: cores smaller and larger than the frame, halos smaller and larger than a core."""
    core_px = draw(st.integers(1, 600))
    frame = draw(frames(core_px * max_tiles_per_axis))
    return TileGrid(frame, core_px, draw(st.integers(0, 2 * core_px)))
