"""A table of measurements as AnnData keeps it in zarr: a row an object, a column a measurement.

Format: https://anndata.readthedocs.io/en/stable/fileformat-prose.html, of AnnData 0.8 and later.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.zarr_files import write_array, write_group, write_text, write_texts

_INSTANCE, _REGION = "instance_id", "region"


@dataclass(frozen=True, slots=True)
class Measurements:
    """What is known about the shapes of one element, in their order."""

    region: str
    """The element that holds the shapes."""
    instances: NDArray[np.int64]
    """(n,) their names there."""
    columns: Mapping[str, NDArray[np.float64]]
    """(n,) each."""
    centres_xy: NDArray[np.float64]
    """(n, 2), x before y, in the units of the shapes."""


def write_measurements(path: Path, table: Measurements) -> None:
    """Write a table that annotates a SpatialData element."""
    write_group(path, {
        **_kind("anndata", "0.1.0"), "spatialdata-encoding-type": "ngff:regions_table", "version": "0.2",
        "region": table.region, "region_key": _REGION, "instance_key": _INSTANCE,
    })  # fmt: skip
    columns = list(table.columns.values())
    values = np.stack(columns, axis=-1) if columns else np.zeros((len(table.instances), 0))
    write_array(path / "X", values.astype(np.float32), _kind("array"))
    _write_rows(path / "obs", table)
    write_group(path / "var", {**_kind("dataframe"), "column-order": [], "_index": "_index"})
    write_texts(path / "var" / "_index", list(table.columns), _kind("string-array"))
    for name in ("obsm", "obsp", "varm", "varp", "layers", "uns", "uns/spatialdata_attrs"):
        write_group(path / name, _kind("dict", "0.1.0"))
    write_array(path / "obsm" / "spatial", table.centres_xy, _kind("array"))
    keys = {"region": table.region, "region_key": _REGION, "instance_key": _INSTANCE}
    for name, text in keys.items():
        write_text(path / "uns" / "spatialdata_attrs" / name, text, _kind("string"))


def _write_rows(path: Path, table: Measurements) -> None:
    names = [str(number) for number in table.instances.tolist()]
    write_group(path, {**_kind("dataframe"), "column-order": [_REGION, _INSTANCE], "_index": "_index"})
    write_texts(path / "_index", names, _kind("string-array"))
    write_array(path / _INSTANCE, table.instances, _kind("array"))
    write_group(path / _REGION, {**_kind("categorical"), "ordered": False})
    write_texts(path / _REGION / "categories", [table.region], _kind("string-array"))
    write_array(path / _REGION / "codes", np.zeros(len(names), np.int8), _kind("array"))


def _kind(name: str, version: str = "0.2.0") -> dict[str, Any]:
    return {"encoding-type": name, "encoding-version": version}
