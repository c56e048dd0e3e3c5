"""One shard of a zarr 3 array as the bytes that it is: chunks by blosc one after another, at the end where each lies.

zarr and zarrs write the same, several times slower: they take a shard through objects, tasks and threads of their own.
Here it is encoded in the thread that has the pixels. Arrays that are laid out in any other way than `pipeline.store`
lays them out are left to zarr.
Specification: https://zarr-specs.readthedocs.io/en/latest/v3/codecs/sharding-indexed/
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any, Self

import numpy as np
import zarr
from google_crc32c import value as crc32c
from imagecodecs import blosc_encode
from numpy.typing import NDArray
from zarr.codecs import BloscCodec, BytesCodec, Crc32cCodec, ShardingCodec

_ABSENT = 2**64 - 1
_SHUFFLES = {"noshuffle": 0, "shuffle": 1, "bitshuffle": 2}


@dataclass(frozen=True, slots=True)
class ShardCodec:
    """How the shards of one array are made."""

    shard: tuple[int, ...]
    chunk: tuple[int, ...]
    dtype: np.dtype[Any]
    fill: Any
    blosc: BloscCodec

    @classmethod
    def of(cls, array: zarr.Array[Any]) -> Self | None:
        """Read it from an array's metadata; None for an array whose shards are made in another way."""
        codecs: tuple[Any, ...] = getattr(array.metadata, "codecs", ())
        if len(codecs) != 1 or not isinstance(codecs[0], ShardingCodec):
            return None
        sharding = codecs[0]
        kinds = tuple(map(type, sharding.codecs)), tuple(map(type, sharding.index_codecs))
        if kinds != ((BytesCodec, BloscCodec), (BytesCodec, Crc32cCodec)):
            return None
        as_bytes: Any = sharding.codecs[0]
        index_as_bytes: Any = sharding.index_codecs[0]
        blosc: Any = sharding.codecs[1]
        orders = {codec.endian.value for codec in (as_bytes, index_as_bytes) if codec.endian}
        plain = orders == {"little"} and array.dtype.isnative and sharding.index_location.value == "end"
        if not plain or array.shards is None:
            return None
        return cls(array.shards, sharding.chunk_shape, array.dtype, array.fill_value, blosc)

    def encode(self, pixels: NDArray[Any]) -> list[bytes]:
        """The parts of the shard's file, in order; none where all is fill. Shards at far edges end where pixels do."""
        parts, places, end = [], [], 0
        for chunk in self._chunks(pixels):
            if chunk is None:
                places.append((_ABSENT, _ABSENT))
                continue
            flat: Any = chunk.reshape(-1).view(np.uint8)
            part = blosc_encode(
                flat, level=self.blosc.clevel, compressor=self.blosc.cname.value,
                shuffle=_SHUFFLES[self.blosc.shuffle.value], typesize=self.dtype.itemsize,
                blocksize=self.blosc.blocksize or None, numthreads=1,
            )  # fmt: skip
            places.append((end, len(part)))
            parts.append(part)
            end += len(part)
        if not parts:
            return []
        index = np.array(places, "<u8").tobytes()
        return [*parts, index, crc32c(index).to_bytes(4, "little")]

    def _chunks(self, pixels: NDArray[Any]) -> Iterator[NDArray[Any] | None]:
        """Every chunk of a shard, whole; None for one of nothing but fill."""
        per_axis = (range(0, side, step) for side, step in zip(self.shard, self.chunk, strict=True))
        for corner in product(*per_axis):
            part = pixels[tuple(slice(begin, begin + step) for begin, step in zip(corner, self.chunk, strict=True))]
            yield None if self._is_fill(part) else self._whole(part)

    def _is_fill(self, part: NDArray[Any]) -> bool:
        if not part.size:
            return True
        unset = np.isnan(self.fill)
        # Most are told by their first pixel.
        return all((np.isnan(some) if unset else some == self.fill).all() for some in (part.flat[:1], part))

    def _whole(self, part: NDArray[Any]) -> NDArray[Any]:
        if part.shape == self.chunk:
            return np.ascontiguousarray(part, self.dtype)
        whole = np.full(self.chunk, self.fill, self.dtype)
        whole[tuple(map(slice, part.shape))] = part
        return whole
