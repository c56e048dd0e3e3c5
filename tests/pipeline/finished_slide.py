"""Small folders as a finished slide leaves them, for the tests of what is drawn and written from such folders."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import shapely
from numpy.typing import NDArray

from pipeline.geometry import Frame
from pipeline.ngff import Heatmap, Pyramid
from pipeline.nuclei_measure import SCHEMA
from pipeline.nuclei_table import write_geoparquet
from pipeline.store import SlideStore

CORE_PX = 256
PINK, VIOLET = (230, 170, 200), (90, 60, 140)


@dataclass(frozen=True)
class Parts:
    """Which results a slide has."""

    sr: bool = True
    nuclei: Sequence[tuple[float, float]] | None = ((60.0, 80.0), (70.0, 100.0), (200.0, 250.0))
    """Centres (y, x) of squares of 12 x 12 level-0 px; None where the stage did not run."""
    heat: bool = True
    tissue: bool = True
    classes: tuple[str, ...] = ("other", "IDC")


def make_slide(
    root: Path, name: str = "slide", shape: tuple[int, int] = (250, 300), parts: Parts | None = None
) -> Path:
    """A pink slide, its left half tissue, with violet squares for nuclei; returns its folder."""
    parts = parts or Parts()
    folder = root / name
    folder.mkdir(parents=True)
    base = Frame(*shape, 0.5)
    store = SlideStore(folder / f"{name}.ome.zarr")
    pixels = np.full((*shape, 3), PINK, np.uint8)
    for y, x in parts.nuclei or ():
        pixels[int(y) - 6 : int(y) + 6, int(x) - 6 : int(x) + 6] = VIOLET
    store.create_image("", name, Pyramid.over(base), CORE_PX)
    _fill(store, "", pixels)
    if parts.tissue:
        store.create_labels("labels/tissue", Pyramid.over(base), CORE_PX, "uint8")
        _fill(store, "labels/tissue", np.broadcast_to(np.arange(shape[1]) < shape[1] / 2, shape).astype(np.uint8))
    if parts.sr:
        store.create_image("sr", name, Pyramid.over(base.finer(2)), CORE_PX)
        _fill(store, "sr", pixels.repeat(2, axis=0).repeat(2, axis=1))
        _add_map(store, "qc/sr-consistency", base, ("rms",), (0.02,))
    if parts.nuclei is not None:
        write_geoparquet([nuclei_table(parts.nuclei)], folder / "nuclei.parquet")
    if parts.heat:
        shares = (0.25, *(0.75 / (len(parts.classes) - 1) for _ in parts.classes[1:]))
        _add_map(store, "heatmaps/idc-hybrid", base, parts.classes, shares)
        pq.write_table(patch_table(parts.classes, shares), folder / "patches.parquet")
    (folder / "run.json").write_text(json.dumps(make_run(name, base, parts)), encoding="utf-8")
    return folder


def _fill(store: SlideStore, group: str, pixels: NDArray[Any]) -> None:
    for level, frame in enumerate(store.pyramid(group).levels):
        layer = store.layer(f"{group}/{level}".lstrip("/"))
        layer.write(frame.box, pixels[:: 2**level, :: 2**level][: frame.height, : frame.width])


def _add_map(store: SlideStore, group: str, base: Frame, classes: tuple[str, ...], values: tuple[float, ...]) -> None:
    """A map over 2 um pixels: `values`, one a class, over the left half, NaN over the right."""
    frame = base.halved(2)
    store.create_heatmap(group, Pyramid.over(frame), Heatmap(classes), CORE_PX)
    content = np.full((*frame.shape, len(classes)), np.nan, np.float32)
    content[:, : max(1, frame.width // 2)] = values
    _fill(store, group, content)


def add_map(folder: Path, group: str, values: tuple[float, ...], classes: tuple[str, ...]) -> None:
    """One more map for a slide of `make_slide`, over its left half."""
    store = SlideStore(folder / f"{folder.name}.ome.zarr")
    _add_map(store, group, store.pyramid("").levels[0], classes, values)


def nuclei_table(centres: Sequence[tuple[float, float]], side_px: float = 12.0) -> pa.Table:
    """Squares of side_px level-0 px, 0.5 um each, as rows of nuclei.parquet."""
    y, x = np.array(centres, np.float64).reshape(-1, 2).T
    half = side_px / 2
    columns = {name: np.zeros(len(y)) for name in SCHEMA.names}
    columns |= {"centroid_y_level0_px": y, "centroid_x_level0_px": x, "area_um2": np.full(len(y), side_px**2 / 4)}
    geometry = shapely.to_wkb(shapely.box(x - half, y - half, x + half, y + half))
    return pa.table({**columns, "geometry": pa.array(geometry.tolist(), pa.binary())}).select(SCHEMA.names).cast(SCHEMA)


def patch_table(classes: tuple[str, ...], shares: tuple[float, ...]) -> pa.Table:
    """Four patches that all look alike."""
    places = {name: [0, 1, 2, 3] for name in ("x_level0_px", "y_level0_px", "size_level0_px")}
    probabilities = {f"p_{label}": [share] * 4 for label, share in zip(classes, shares, strict=True)}
    return pa.table({"classifier": ["idc-hybrid"] * 4, **places, **probabilities})


def make_run(name: str, base: Frame, parts: Parts) -> dict[str, Any]:
    """The run.json of such a slide."""
    frame = {"height": base.height, "width": base.width, "mpp": base.mpp}
    counts: dict[str, Any] = {"patches": {"idc-hybrid": 4}} if parts.heat else {}
    if parts.nuclei is not None:
        counts["nuclei"] = len(parts.nuclei)
    return {
        "format": 1,
        "histoloom": "0.1.0",
        "name": name,
        "input": {"path": f"/data/{name}.svs", "bytes": 10, "sha256": "ab" * 32, "vendor": "aperio", "objective": 20},
        "resolution": {
            "level0": frame, "base": frame, "mpp_source": "aperio.MPP", "base_from": "level 0",
            "factor": 2 if parts.sr else 1, "super_resolved_mpp": 0.25 if parts.sr else None,
        },
        "plan": {"settings": {"sr": "auto", "core_px": 1024}, "bundles": {"nuclei-unet": "cd" * 32}},
        "devices": {"nuclei-unet": {"device": "cpu", "precision": "fp32"}},
        "tissue": {"area_mm2": 0.5, "share": 0.5},
        "counts": counts,
        "timings": {"stages": [{"name": "ingest", "tiles": 4, "megapixels": 1.5, "seconds": 2.0}], "seconds": 71.0},
        "peak_rss_bytes": 2**30,
        "versions": {"python": "3.11.9"},
        "warnings": ["detail below 0.5 um is estimated, not measured"] if parts.sr else [],
        "finished": "2026-01-01T00:00:00Z",
    }  # fmt: skip


def read_run(folder: Path) -> dict[str, Any]:
    """The run.json in a folder."""
    content: dict[str, Any] = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    return content
