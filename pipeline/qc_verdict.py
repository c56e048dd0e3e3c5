"""A slide's map of flags, from what was measured of its cells and what its thumbnail shows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.density import tissue_share
from pipeline.geometry import Frame
from pipeline.qc_findings import figures_of
from pipeline.qc_flags import BLUR, DIRT, FOLD, LEGEND, OUTSIDE, PEN, Mask, QcMap, spread
from pipeline.qc_judge import BLUR_MOST_MPP, LEAST_TISSUE, blurred, dirty, folded, sharpness
from pipeline.qc_measure import MEASURES
from pipeline.qc_stage import Inspect
from pipeline.qc_thumbnail import Glance
from pipeline.stitch import Block, table_blocks
from pipeline.tissue import TissueMask
from pipeline.workspace import Workspace

_UNKNOWN_FOCUS = "blur was not looked for: pixels of {mpp:.2g} um are too coarse to tell it"
_UNKNOWN_INK = "pen marks in blue, red and black were not looked for: the stain is not haematoxylin and eosin"

_UNKNOWN_WHITE = "black ink and dirt were not looked for: no bare glass shows what white is"


def verdict(workspace: Workspace, stage: Inspect, seen: Glance) -> tuple[QcMap, dict[str, float], tuple[str, ...]]:
    """The flags of a slide that is inspected, their figures, and what could not be told."""
    measures = lay_cells(table_blocks(workspace.ledger(stage.name).rows()), stage.cells.frame)
    flags, figures = judge(measures, stage.cells.frame, seen, workspace.tissue, stage.frame.mpp)
    notes = []
    if stage.frame.mpp > BLUR_MOST_MPP:
        notes.append(_UNKNOWN_FOCUS.format(mpp=stage.frame.mpp))
    if not seen.told.inks:
        notes.append(_UNKNOWN_INK)
    if not seen.told.white:
        notes.append(_UNKNOWN_WHITE)
    return flags, figures, tuple(notes)


def lay_cells(blocks: Sequence[Block], cells: Frame) -> NDArray[np.float32]:
    """What was measured of all cells, (y, x, measures); NaN where nothing was."""
    laid = np.full((*cells.shape, MEASURES), np.nan, np.float32)
    for block in blocks:
        laid[block.box.slices()] = block.values
    return laid


def judge(
    measures: NDArray[np.float32], cells: Frame, seen: Glance, tissue: TissueMask, inspected_mpp: float
) -> tuple[QcMap, dict[str, float]]:
    """The flags of a slide's cells, and how much of the tissue each kind takes."""
    share = tissue_share(tissue, cells.box, cells, tissue.frame)
    found = _seen_on_thumbnail(seen, tissue, cells)
    clear = (share >= LEAST_TISSUE) & np.isfinite(measures[..., 0])
    for mask in found.values():
        clear &= ~mask
    if seen.told.white:
        found[DIRT] = found[DIRT] | (clear & dirty(measures))
    found[FOLD] = folded(measures, clear & ~found[DIRT], cells.mpp)
    if inspected_mpp <= BLUR_MOST_MPP:
        found[BLUR] = blurred(sharpness(measures, clear & ~found[DIRT], cells.mpp), cells.mpp)
    flags = QcMap.of(found, cells)
    return flags, _figures(found, flags, share, cells)


def _seen_on_thumbnail(seen: Glance, tissue: TissueMask, cells: Frame) -> dict[int, Mask]:
    worked = tissue.crop(seen.frame.box, seen.frame) > 0
    outside = spread(worked & seen.outside, seen.frame, cells) & ~spread(worked & ~seen.outside, seen.frame, cells)
    pen = spread(seen.pen, seen.frame, cells)
    return {OUTSIDE: outside & ~pen, PEN: pen, DIRT: spread(seen.dirt, seen.frame, cells) & ~pen}


def _figures(found: dict[int, Mask], flags: QcMap, share: NDArray[np.float64], cells: Frame) -> dict[str, float]:
    cell_mm2 = cells.mpp**2 / 1e6
    nowhere = np.zeros(cells.shape, np.bool_)
    areas = {
        entry.code: float(share[found.get(entry.value, nowhere)].sum()) * cell_mm2 for entry in LEGEND
    } | {"flagged": float(share[flags.flags > 0].sum()) * cell_mm2}  # fmt: skip
    beside_mm2 = float((1 - share[found[PEN]]).sum()) * cell_mm2
    return {"cell_um": cells.mpp, **figures_of(areas, float(share.sum()) * cell_mm2), "pen_beside_mm2": beside_mm2}
