"""Small zarr 3 groups and arrays, written as the plain files that they are: JSON, and chunks of little-endian bytes.

For what other programs' formats want beside the pixels. Pixels are the store's.
Specifications: https://zarr-specs.readthedocs.io/en/latest/v3/core/, and of `vlen-utf8` numcodecs'.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_ROWS_A_CHUNK = 65_536

Attributes = Mapping[str, Any]


def write_group(path: Path, attributes: Attributes | None = None) -> None:
    """A group, empty as yet."""
    _write_json(path, {"zarr_format": 3, "node_type": "group", "attributes": dict(attributes or {})})


def write_array(path: Path, values: NDArray[Any], attributes: Attributes) -> None:
    """Numbers of any dtype, (n,) or (n, columns), in chunks of rows."""
    values = np.ascontiguousarray(values, values.dtype.newbyteorder("<"))
    rows = min(max(1, len(values)), _ROWS_A_CHUNK)
    codec = {"name": "bytes", "configuration": {"endian": "little"}}
    _describe(path, values.shape, (rows, *values.shape[1:]), str(values.dtype.name), 0, codec, attributes)
    for number, begin in enumerate(range(0, len(values), rows)):
        chunk = values[begin : begin + rows]
        whole = np.zeros((rows, *values.shape[1:]), chunk.dtype)  # chunks at the edge are stored whole
        whole[: len(chunk)] = chunk
        _write_chunk(path / "/".join(["c", str(number), *("0" for _ in values.shape[1:])]), whole.tobytes())


def write_texts(path: Path, texts: Sequence[str], attributes: Attributes) -> None:
    """Texts, (n,), in one chunk."""
    _describe(path, (len(texts),), (max(1, len(texts)),), "string", "", {"name": "vlen-utf8"}, attributes)
    if texts:
        _write_chunk(path / "c" / "0", _vlen_utf8(texts))


def write_text(path: Path, text: str, attributes: Attributes) -> None:
    """One text, an array without axes."""
    _describe(path, (), (), "string", "", {"name": "vlen-utf8"}, attributes)
    _write_chunk(path / "c", _vlen_utf8([text]))


def _vlen_utf8(texts: Sequence[str]) -> bytes:
    encoded = [text.encode() for text in texts]
    return struct.pack("<I", len(encoded)) + b"".join(struct.pack("<I", len(text)) + text for text in encoded)


def _describe(
    path: Path, shape: tuple[int, ...], chunk: tuple[int, ...], dtype: str, fill: Any, codec: Attributes,
    attributes: Attributes,
) -> None:  # fmt: skip
    grid = {"name": "regular", "configuration": {"chunk_shape": list(chunk)}}
    keys = {"name": "default", "configuration": {"separator": "/"}}
    _write_json(path, {
        "zarr_format": 3, "node_type": "array", "shape": list(shape), "data_type": dtype, "chunk_grid": grid,
        "chunk_key_encoding": keys, "fill_value": fill, "codecs": [codec], "attributes": dict(attributes),
    })  # fmt: skip


def _write_json(path: Path, content: Attributes) -> None:
    path.mkdir(parents=True, exist_ok=True)
    (path / "zarr.json").write_text(json.dumps(content), encoding="utf-8")


def _write_chunk(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
