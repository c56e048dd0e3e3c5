"""nuclei.geojson.gz, the GeoJSON that QuPath opens, from nuclei.parquet, a group of rows at a time.

Numbers are many and their values few: coordinates are halves of a frame's pixels, measurements have four decimals. Each
value is put into words once; the text of a group is a list of places in that vocabulary, gathered in one go.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from imagecodecs import gzip_encode
from numpy.typing import NDArray

from pipeline.durable import whole_or_absent

_MEASUREMENTS = {
    "Area µm^2": "area_um2",
    "Perimeter µm": "perimeter_um",
    "Major axis µm": "major_axis_um",
    "Minor axis µm": "minor_axis_um",
    "Circularity": "circularity",
    "Eccentricity": "eccentricity",
    "Probability": "probability",
    "Hematoxylin OD mean": "hematoxylin_od",
    "Eosin OD mean": "eosin_od",
}
_COLUMNS = ["geometry", *_MEASUREMENTS.values()]

# A feature is: before its id, id, before its corners, corners, before its measurements, measurements, its end.
_BEFORE_ID = ',\n{"type":"Feature","id":"'
_BEFORE_CORNERS = '","geometry":{"type":"Polygon","coordinates":[[['
_BEFORE_MEASUREMENTS = (
    ']]]},"properties":{"objectType":"detection","classification":{"name":"Nucleus","color":[59,130,246]},'
    '"measurements":{'
)
_END = "}}}"

# WKB of a polygon of one ring: little-endian, type 3, 1 ring; how many corners, as 4 bytes; pairs of (x, y).
_ONE_RING = b"\x01\x03\x00\x00\x00\x01\x00\x00\x00"
_CORNERS_FROM = len(_ONE_RING) + 4

_DIGITS_OF_UUID = [place for place in range(36) if place not in (8, 13, 18, 23)]

# Some 2 MB of text: a whole group's would be most of what is in memory.
_WORDS_A_PIECE = 1 << 17

# libdeflate's: a quarter of the time of zlib's level 6, for files 1.5 % smaller, and half of the work here. Level 1
# takes half of that, for files a fifth larger.
_GZIP_LEVEL = 5


def write_geojson_gz(parquet_path: Path, path: Path) -> None:
    """Write a nuclei.parquet as the GeoJSON that QuPath (0.4 and later) opens: detections of the class Nucleus.

    Coordinates are level-0 px to 0.01. The same nuclei give the same bytes. One group of rows is in memory at a time.
    Every piece of text is a member of the gzip file: members follow one another (RFC 1952) and are read as one.
    """
    with whole_or_absent(path) as draft, draft.open("wb") as out:
        for text in _pieces(pq.ParquetFile(parquet_path)):
            out.write(gzip_encode(text, level=_GZIP_LEVEL))


def _pieces(file: pq.ParquetFile) -> Iterator[bytes]:
    """The file's text, as bytes."""
    yield b'{"type":"FeatureCollection","features":['
    comma = len(",")  # there is none before the first feature
    for number in range(file.num_row_groups):
        group = file.read_row_group(number, columns=_COLUMNS, use_threads=False)
        for piece in _features(group) if group.num_rows else ():
            yield piece[comma:]
            comma = 0
    yield b"\n]}\n"


def _features(table: pa.Table) -> Iterator[bytes]:
    """The features of at least one row, each after a comma and a line break."""
    polygons = table["geometry"].to_pylist()
    coordinates, begin = _coordinates(polygons)
    numbers = _in_words(coordinates)
    words = numbers.dictionary
    before, after = _join(_BEFORE_ID, _ids(polygons), _BEFORE_CORNERS), _measurements(table)
    # A coordinate's words are there three times: as an x, as a y before another corner, as the last y.
    vocabulary = pa.concat_arrays([before, after, _join(words, ","), _join(words, "],["), words])
    place = np.tile(np.array([0, len(words)], np.int32), len(coordinates) // 2)
    place[begin[1:] - 1] += len(words)
    place += numbers.indices.to_numpy()
    place += len(before) + len(after)
    around = np.arange(len(before) + len(after), dtype=np.int32).reshape(2, -1).T.ravel()
    place = np.insert(place, np.repeat(begin, 2)[1:-1], around)
    for start in range(0, len(place), _WORDS_A_PIECE):
        yield _bytes_of(vocabulary.take(pa.array(place[start : start + _WORDS_A_PIECE])))


def _coordinates(polygons: Sequence[bytes]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """x, y, x, y, .. of all corners to 0.01, and (rows + 1): where those of each row begin."""
    if not all(polygon.startswith(_ONE_RING) for polygon in polygons):
        msg = "outlines are not little-endian WKB polygons of one ring"
        raise ValueError(msg)
    corners = [polygon[_CORNERS_FROM:] for polygon in polygons]
    coordinates = np.frombuffer(b"".join(corners), "<f8").round(2)
    return coordinates, np.cumsum([0, *map(len, corners)]) // coordinates.itemsize


def _ids(polygons: Sequence[bytes]) -> pa.LargeStringArray:
    """QuPath wants UUIDs; made from the outlines, they are the same in every run."""
    digests = b"".join(hashlib.sha256(polygon).digest()[:16] for polygon in polygons)
    numbers = np.frombuffer(bytearray(digests), np.uint8).reshape(-1, 16)
    numbers[:, 6] = numbers[:, 6] & 0x0F | 0x50  # version 5
    numbers[:, 8] = numbers[:, 8] & 0x3F | 0x80  # the variant of RFC 4122
    text = np.full((len(numbers), 36), ord("-"), np.uint8)
    text[:, _DIGITS_OF_UUID] = np.frombuffer(numbers.tobytes().hex().encode(), np.uint8).reshape(-1, 32)
    return pa.array(text.view("S36").ravel()).cast(pa.large_string())


def _measurements(table: pa.Table) -> pa.LargeStringArray:
    """What follows a row's corners."""
    columns = np.concatenate([table[column].to_numpy().round(4) for column in _MEASUREMENTS.values()])
    words = _in_words(columns).dictionary_decode()
    parts: list[str | pa.LargeStringArray] = [_BEFORE_MEASUREMENTS]
    for number, name in enumerate(_MEASUREMENTS):
        separator = ", " if number else ""
        parts.append(f"{separator}{json.dumps(name, ensure_ascii=False)}: ")
        parts.append(words.slice(number * table.num_rows, table.num_rows))
    return _join(*parts, _END)


def _in_words(numbers: NDArray[np.float64]) -> pa.DictionaryArray:
    """Numbers as JSON has them, each value put into words once."""
    # As whole numbers: 0.0 and -0.0 are equal, and not the same text.
    encoded = pa.array(numbers.view(np.int64)).dictionary_encode()
    values = encoded.dictionary.to_numpy().view(np.float64)
    words = json.dumps(values.tolist())[1:-1].split(", ")
    return pa.DictionaryArray.from_arrays(encoded.indices, pa.array(words, pa.large_string()))


def _join(*parts: str | pa.LargeStringArray) -> pa.LargeStringArray:
    """Row by row; a string is the same in every row."""
    typed = [pa.scalar(part, pa.large_string()) if isinstance(part, str) else part for part in (*parts, "")]
    return pc.binary_join_element_wise(*typed)  # the last one stands between the others


def _bytes_of(array: pa.LargeStringArray) -> bytes:
    """All of an array's values, one behind the other, as pyarrow holds them."""
    _, ends, values = array.buffers()
    begin, end = np.frombuffer(ends, np.int64)[[array.offset, array.offset + len(array)]]
    return np.frombuffer(values, np.uint8)[begin:end].tobytes()
