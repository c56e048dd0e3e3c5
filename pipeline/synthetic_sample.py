"""A synthetic slide to try things on, with the truth about its nuclei in a table beside it."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.synthetic import SyntheticTruth, write_synthetic_slide

MPP = 0.25


def write_synthetic_sample(folder: Path, side_px: int) -> Path:
    """Write `synthetic-N.svs`, side_px x side_px at 0.25 um/px, and `synthetic-N.truth.parquet`; return the slide."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"synthetic-{side_px}.svs"
    draft = path.with_suffix(".part.svs")
    truth = write_synthetic_slide(draft, side_px, side_px, MPP)
    _write_truth(truth, path.with_suffix(".truth.parquet"))
    draft.replace(path)
    return path


def _write_truth(truth: SyntheticTruth, path: Path) -> None:
    """One row a nucleus, written block by block: there may be millions."""
    columns = ("y", "x", "semi_major_px", "semi_minor_px", "angle")
    names = ("centroid_y_level0_px", "centroid_x_level0_px", "semi_major_px", "semi_minor_px", "angle_rad")
    with pq.ParquetWriter(path, pa.schema([(name, pa.float64()) for name in names])) as writer:
        for nuclei in truth.nuclei_by_block():
            writer.write_table(pa.table([getattr(nuclei, column) for column in columns], names=list(names)))
