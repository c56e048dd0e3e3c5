"""From the rows that batches committed to a slide's tables and heat maps; each is made whole again when made again."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.classify import Classify
from pipeline.density import DENSITY, MapDensity
from pipeline.durable import whole_or_absent
from pipeline.heatmap_fold import fold_grid, lay_grid
from pipeline.heatmap_summary import operating_point, summarise_heatmap
from pipeline.nuclei_geojson import write_geojson_gz
from pipeline.nuclei_table import merge_fragments
from pipeline.segment import Segment
from pipeline.stitch import lay_blocks, table_blocks
from pipeline.summary import summarise_density
from pipeline.super_resolve import SuperResolve
from pipeline.workspace import Workspace


def gather_nuclei(workspace: Workspace, stage: Segment) -> int:
    """Write nuclei.parquet and nuclei.geojson.gz; return how many nuclei there are."""
    fragments = workspace.ledger(stage.name).fragments()
    count = merge_fragments(fragments, workspace.nuclei_path, {"slide": workspace.name, "network": stage.network.name})
    write_geojson_gz(workspace.nuclei_path, workspace.folder / "nuclei.geojson.gz")
    return count


def gather_density(workspace: Workspace, stage: MapDensity, nuclei: int) -> dict[str, float]:
    """Nuclei per mm2 of tissue, for run.json: over all of it, and how the density map spreads around that."""
    found = summarise_density(workspace.store.layer(f"{DENSITY}/0"))
    tissue_mm2 = workspace.tissue.area_um2 / 1e6
    if found is None or not tissue_mm2:
        return {}
    mean = {"sigma_um": stage.sigma_um, "mean_per_mm2": nuclei / tissue_mm2}
    return {**mean, "median_per_mm2": found.median_per_mm2, "p95_per_mm2": found.p95_per_mm2}


def gather_patches(workspace: Workspace, stages: Iterable[Classify]) -> dict[str, int]:
    """Write patches.parquet, all classifiers one after another; return how many patches each judged."""
    tables = {stage.network.name: patch_rows(workspace, stage) for stage in stages}
    write_table(pa.concat_tables(tables.values(), promote_options="default"), workspace.patches_path)
    return {name: table.num_rows for name, table in tables.items()}


def patch_rows(workspace: Workspace, stage: Classify) -> pa.Table:
    """One classifier's patches in reading order, whatever tiles they were judged in."""
    rows = workspace.ledger(stage.name).rows()
    return rows.sort_by([("y_level0_px", "ascending"), ("x_level0_px", "ascending")])


def fold_patches(workspace: Workspace, stage: Classify, core_px: int) -> None:
    """Fill the finest level of a classifier's heat map."""
    layer = workspace.store.layer(f"heatmaps/{stage.network.name}/0")
    stride_level0_px = stage.stride_px * stage.level0.pixels_per(stage.frame)
    rows = patch_rows(workspace, stage)
    fold_grid(lay_grid(rows, stage.network.classes, stride_level0_px, layer.frame, stage.level0), layer, core_px)


def gather_classes(workspace: Workspace, stages: Iterable[Classify]) -> dict[str, dict[str, Any]]:
    """Classifier to tissue per class and largest foci, for run.json, from heat maps that are folded."""
    found = {}
    for stage in stages:
        threshold = operating_point(stage.network.postprocessing, stage.network.name)
        found[stage.network.name] = summarise_heatmap(workspace.store, stage.network.name, threshold).as_dict(
            stage.level0
        )
    return found


def fold_consistency(workspace: Workspace, stage: SuperResolve, group: str, core_px: int) -> float:
    """Fill the finest level of the consistency map; return the root mean square over all of it."""
    blocks = table_blocks(workspace.ledger(stage.name).rows())
    lay_blocks(blocks, workspace.store.layer(f"{group}/0"), core_px)
    total = sum(float((block.values.astype(float) ** 2).sum()) for block in blocks)
    cells = sum(block.values.size for block in blocks)
    return (total / cells) ** 0.5 if cells else 0.0


def write_table(table: pa.Table, path: Path) -> None:
    """Write a Parquet file in one step."""
    with whole_or_absent(path) as draft:
        pq.write_table(table, draft, compression="zstd")
