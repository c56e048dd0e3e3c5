"""A slide's results as one SpatialData store, which scverse's tools read: pictures, labels, outlines, measurements.

Written as the files that its format consists of (container 0.2, SpatialData 0.5 and later), so that neither side needs
the other's packages: the store's pixels are copied as they are, shard by shard. Coordinate systems are `global`, in
level-0 px, and `um`; both begin at the slide's first corner. SpatialData counts as the tables do: pixel i covers i to
i + 1.

Format: https://spatialdata.scverse.org/en/stable/design_doc.html
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import shapely

from pipeline.anndata_files import Measurements, write_measurements
from pipeline.disk import room_for
from pipeline.errors import StoreError
from pipeline.geometry import Frame
from pipeline.output import read_json
from pipeline.scene import Scene, open_scene
from pipeline.zarr_files import write_group

_CONTAINER, _RASTER, _SHAPES = "0.2", "0.3", "0.3"
_ODD = re.compile(r"[^A-Za-z0-9_.-]")
_NUCLEUS_PLACE = ("centroid_x_level0_px", "centroid_y_level0_px")
_PATCH_PLACE = ("x_level0_px", "y_level0_px", "size_level0_px")


@dataclass(frozen=True, slots=True)
class _Raster:
    """A picture or label image of the store, and what it is called there and here."""

    group: str
    kind: str
    name: str


def export_spatialdata(folder: Path, out: Path) -> Path:
    """Write the results in a slide's folder as a SpatialData store `out`; return it. It appears when it is whole.

    Raises
    ------
    StoreError
        for a folder without whole results, results in zarr 2, where something is called `out` already, or where nothing
        can be made
    """
    run = read_json(folder / "run.json")
    if run is None:
        msg = f"{folder}: no whole results of a slide"
        raise StoreError(msg, "Name a slide's folder below the folder of results; finish its run first.")
    scene = open_scene(folder, run)
    if not (scene.store.path / "zarr.json").is_file():
        msg = f"{scene.store.path}: zarr 2 (NGFF 0.4); SpatialData's format is of zarr 3"
        raise StoreError(msg, "Run the slide again with --ngff 0.5 into another folder, and export that.")
    if out.exists():
        msg = f"{out}: is there already"
        raise StoreError(msg, "Give another --out, or move that away.")
    draft = out.with_name(f".{out.name}.tmp")
    shutil.rmtree(draft, ignore_errors=True)
    try:
        draft.mkdir(parents=True)
    except OSError as error:
        msg = f"{out}: cannot be made: {error.strerror or error}"
        raise StoreError(msg, "Give another --out.") from error
    needed_bytes = sum(path.stat().st_size for path in scene.store.path.rglob("*") if path.is_file())
    try:
        with room_for(out, needed_bytes):
            _write(scene, draft)
        draft.rename(out)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return out


def _write(scene: Scene, root: Path) -> None:
    rasters = list(_rasters(scene))
    labels = [raster.name for raster in rasters if raster.kind == "labels"]
    write_group(root, {"spatialdata_attrs": {"version": _CONTAINER, "spatialdata_software_version": "histoloom"}})
    for kind in ("images", "shapes", "tables"):
        write_group(root / kind)
    write_group(root / "labels", {"ome": {"labels": labels}})
    for raster in rasters:
        _write_raster(scene, raster, root / raster.kind / raster.name)
    if scene.nuclei_path:
        _write_nuclei(scene.nuclei_path, root, scene.level0)
    patches = scene.folder / "patches.parquet"
    if patches.is_file():
        _write_patches(patches, root, scene.level0)


def _rasters(scene: Scene) -> Iterator[_Raster]:
    store = scene.store
    yield _Raster("", "images", "image")
    if scene.sr:
        yield _Raster("sr", "images", "super_resolved")
    for parent, title in (("heatmaps", "heatmap"), ("qc", "qc")):
        yield from (
            _Raster(f"{parent}/{name}", "images", _named(f"{title}_{name}"))
            for name in store.images(parent)
            if store.has(f"{parent}/{name}")
        )
    for parent in ("labels", "sr/labels"):
        yield from (_Raster(f"{parent}/{name}", "labels", _named(f"{name}_labels")) for name in store.images(parent))


def _named(name: str) -> str:
    """A name that SpatialData takes."""
    return _ODD.sub("_", name)


def _write_raster(scene: Scene, raster: _Raster, path: Path) -> None:
    levels = scene.store.pyramid(raster.group).levels
    lead = ["c"] if raster.kind == "images" else []
    axes = [*lead, "y", "x"]
    datasets = [
        {"path": f"s{number}", "coordinateTransformations": [_scale(lead, frame.mpp / levels[0].mpp)]}
        for number, frame in enumerate(levels)
    ]
    content: dict[str, Any] = {
        "version": "0.5-dev-spatialdata",
        "multiscales": [{
            "name": raster.name, "axes": [_axis(name) for name in axes], "datasets": datasets,
            "coordinateTransformations": _placed(axes, scene.level0, levels[0].mpp),
        }],
    }  # fmt: skip
    if lead:
        content["omero"] = {"channels": [{"label": label} for label in scene.store.classes(raster.group)]}
    write_group(path, {"ome": content, "spatialdata_attrs": {"version": _RASTER}})
    for number in range(len(levels)):
        shutil.copytree(scene.store.path / raster.group / str(number), path / f"s{number}")


def _placed(axes: Sequence[str], level0: Frame, mpp: float) -> list[dict[str, Any]]:
    """From pixels of `mpp` um, or from level-0 px, to both coordinate systems."""
    lead = [name for name in axes if name == "c"]
    scales = {"global": mpp / level0.mpp, "um": mpp}
    return [
        {**_scale(lead, factor), "input": _system("".join(axes), axes), "output": _system(system, axes)}
        for system, factor in scales.items()
    ]


def _scale(lead: Sequence[str], factor: float) -> dict[str, Any]:
    return {"type": "scale", "scale": [*(1.0 for _ in lead), factor, factor]}


def _axis(name: str) -> dict[str, str]:
    return {"name": name, "type": "channel" if name == "c" else "space"}


def _system(name: str, axes: Sequence[str]) -> dict[str, Any]:
    unit = "micrometer" if name == "um" else "unit"
    return {"name": name, "axes": [_axis(axis) if axis == "c" else {**_axis(axis), "unit": unit} for axis in axes]}


def _write_shapes(path: Path, polygons: Iterator[pa.Array], count: int, level0: Frame) -> None:
    """Polygons (WKB, level-0 px), named 1 .. count, a group of rows at a time."""
    write_group(path, {
        "encoding-type": "ngff:shapes", "axes": ["x", "y"], "spatialdata_attrs": {"version": _SHAPES},
        "coordinateTransformations": _placed(["x", "y"], level0, level0.mpp),
    })  # fmt: skip
    geometry = {"encoding": "WKB", "geometry_types": ["Polygon"], "crs": None}
    index = {"kind": "range", "name": None, "start": 1, "stop": count + 1, "step": 1}
    kinds = {"pandas_type": "bytes", "numpy_type": "object", "metadata": None}
    column = {"name": "geometry", "field_name": "geometry", **kinds}
    metadata = {
        "geo": {"version": "1.0.0", "primary_column": "geometry", "columns": {"geometry": geometry}},
        "pandas": {"index_columns": [index], "column_indexes": [], "columns": [column], "pandas_version": "2.0.0"},
    }
    schema = pa.schema([("geometry", pa.binary())], {key: json.dumps(value) for key, value in metadata.items()})
    with pq.ParquetWriter(path / "shapes.parquet", schema, compression="zstd") as writer:
        for part in polygons:
            writer.write_table(pa.table([part], schema=schema))


def _write_nuclei(path: Path, root: Path, level0: Frame) -> None:
    """Outlines are named as in the label image."""
    file = pq.ParquetFile(path)
    groups = (
        file.read_row_group(number, columns=["geometry"])["geometry"].combine_chunks()
        for number in range(file.num_row_groups)
    )
    count = file.metadata.num_rows
    _write_shapes(root / "shapes" / "nuclei", groups, count, level0)
    numbers = [field.name for field in file.schema_arrow if pa.types.is_floating(field.type)]
    table = file.read(columns=numbers)
    columns = {name: table[name].to_numpy() for name in numbers}
    centres = np.stack([columns[name] for name in _NUCLEUS_PLACE], axis=-1)
    measured = Measurements("nuclei", np.arange(1, count + 1), columns, centres)
    write_measurements(root / "tables" / "nuclei_measurements", measured)


def _write_patches(path: Path, root: Path, level0: Frame) -> None:
    """A shapes element a classifier, and what it said of each patch."""
    table = pq.read_table(path)
    said = table["classifier"].to_numpy(zero_copy_only=False)
    for classifier in sorted(set(said.tolist())):
        rows = table.filter(pa.array(said == classifier))
        x, y, side = (rows[name].to_numpy().astype(np.float64) for name in _PATCH_PLACE)
        name = _named(f"patches_{classifier}")
        squares = pa.array(shapely.to_wkb(shapely.box(x, y, x + side, y + side)).tolist(), pa.binary())
        _write_shapes(root / "shapes" / name, iter([squares]), len(x), level0)
        shares = [column for column in rows.column_names if column.startswith("p_") and not _absent(rows[column])]
        columns = {column: rows[column].to_numpy().astype(np.float64) for column in shares}
        centres = np.stack([x + side / 2, y + side / 2], axis=-1)
        measured = Measurements(name, np.arange(1, len(x) + 1), columns, centres)
        write_measurements(root / "tables" / f"{name}_probabilities", measured)


def _absent(column: pa.ChunkedArray) -> bool:
    """Whether a class belongs to another classifier."""
    return bool(column.null_count == len(column))
