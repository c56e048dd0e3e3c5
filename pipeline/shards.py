"""Whole shards of a zarr array on a local disk: each appears in one step, and survives a power cut.

zarr and zarrs write a shard in place: they empty the file, then fill it. A process that dies in between leaves a torn
shard, a reader in between sees one, and a shard at a frame's far edge is read before it is written, so that a torn one
would refuse every later try. Here shards are written in a folder of drafts, then moved under their names.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import zarr
from numpy.typing import NDArray
from zarr.storage import LocalStore, StorePath

from pipeline.disk import room_for
from pipeline.durable import sync_names
from pipeline.shard_codec import ShardCodec
from pipeline.torn import DRAFTS

Selection = tuple[slice, ...]


def write_shards(array: zarr.Array[Any], selection: Selection, pixels: NDArray[Any]) -> None:
    """Set `array[selection] = pixels`, where the selection is made of whole shards (the array's far edges excepted)."""
    store = array.store_path.store
    if not isinstance(store, LocalStore):
        array[selection] = pixels
        return
    top = store.root / array.store_path.path
    with room_for(top, pixels.nbytes):
        drafts = Path(tempfile.mkdtemp(prefix=DRAFTS, dir=store.root))
        try:
            for place, draft in _draft(array, selection, pixels, drafts):
                _put(draft, top / array.metadata.encode_chunk_key(place))
        finally:
            shutil.rmtree(drafts, ignore_errors=True)
        sync_names((top / array.metadata.encode_chunk_key(place) for place in _places(array, selection)), top)


def _draft(
    array: zarr.Array[Any], selection: Selection, pixels: NDArray[Any], drafts: Path
) -> Iterator[tuple[tuple[int, ...], Path]]:
    """Write the shards of a selection into a folder; (place, file) of each, no file for nothing but fill."""
    codec = ShardCodec.of(array)
    if codec is None:
        _array_in(array, drafts)[selection] = pixels
        yield from ((place, drafts / array.metadata.encode_chunk_key(place)) for place in _places(array, selection))
        return
    corner = [chosen.start or 0 for chosen in selection]
    for number, place in enumerate(_places(array, selection)):
        inside = tuple(
            slice(index * side - begin, (index + 1) * side - begin)
            for index, side, begin in zip(place, codec.shard, corner, strict=True)
        )
        draft = drafts / str(number)
        if parts := codec.encode(pixels[inside]):
            with draft.open("wb") as file:
                file.writelines(parts)
        yield place, draft


def _array_in(array: zarr.Array[Any], folder: Path) -> zarr.Array[Any]:
    """The same array with its shards in another folder, where there are none yet."""
    there = StorePath(LocalStore(folder), "")
    return zarr.Array(zarr.AsyncArray(array.metadata, there, array.async_array.config))


def _places(array: zarr.Array[Any], selection: Selection) -> Iterator[tuple[int, ...]]:
    """Where in the grid of shards those lie that a selection touches."""
    sides = array.shards or array.chunks
    return product(*(
        range((chosen.start or 0) // side, -(-(length if chosen.stop is None else chosen.stop) // side))
        for chosen, side, length in zip(selection, sides, array.shape, strict=True)
    ))  # fmt: skip


def _put(draft: Path, final: Path) -> None:
    """Give a draft its name; where there is none, as for a shard of nothing but fill, take the name away."""
    if draft.exists():
        final.parent.mkdir(parents=True, exist_ok=True)
        os.replace(draft, final)  # noqa: PTH105 - a rename that replaces, said so
    else:
        final.unlink(missing_ok=True)
