"""One OME-Zarr store a slide: layers of pixels that tiles read and write. The only importer of zarr, with `shards`.

Layers are written by whole shards, so that no two writers ever meet in one file. Two writers in one shard lose pixels
silently; `Layer.write` therefore refuses a box that is not made of whole shards (the frame's far edges excepted).
Arrays are (c, y, x) in the store and (y, x, c) everywhere else; this module alone transposes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import BloscCodec

from pipeline import ngff
from pipeline.disk import room_for
from pipeline.durable import sync_names
from pipeline.errors import StoreError
from pipeline.geometry import Box, Frame
from pipeline.ngff import CHUNK_PX, SHARD_PX, LegendEntry, NgffVersion, Pyramid
from pipeline.shards import write_shards
from pipeline.stopwatch import spending
from pipeline.torn import drop_torn_metadata, metadata_is_whole

# What the metadata of an image takes, in round numbers.
_METADATA_BYTES = 65_536

# In Rust, several times as fast as zarr's own pipeline on sharded arrays; leaves zarr 2 arrays to the latter.
zarr.config.set({"codec_pipeline.path": "zarrs.ZarrsCodecPipeline"})


def shard_px(core_px: int) -> int:
    """The side of a shard for layers written by cores of core_px: at most 1,024 and a whole part of the core."""
    return math.gcd(core_px, SHARD_PX)


class Layer:
    """One level of one image in a store: a frame of pixels, axes (y, x) or (y, x, c)."""

    def __init__(self, array: zarr.Array[Any], frame: Frame, written_by_px: int) -> None:
        self._array = array
        self.frame = frame
        self._written_by_px = written_by_px

    @property
    def channels(self) -> int:
        """How many values a pixel has; 0 for label images, whose arrays have no channel axis."""
        return int(self._array.shape[0]) if self._array.ndim == 3 else 0

    @property
    def fill(self) -> Any:
        """The value of pixels that were never written."""
        return self._array.fill_value

    @spending("reading")
    def look(self, box: Box) -> NDArray[Any]:
        """What `read` gives of a box inside the frame, with each channel by itself in memory: nothing is rearranged."""
        rows, columns = box.slices()
        if self.channels:
            return np.moveaxis(np.asarray(self._array[:, rows, columns]), 0, -1)
        return np.asarray(self._array[rows, columns])

    @spending("reading")
    def read(self, box: Box) -> NDArray[Any]:
        """The pixels of `box` as (y, x, c), or (y, x) for labels; the fill value outside the frame."""
        inside = self.frame.box.clip(box)
        pixels = self.look(inside)
        if inside == box:
            return np.ascontiguousarray(pixels)
        framed = np.full((*box.shape, *pixels.shape[2:]), self.fill, pixels.dtype)
        framed[inside.relative_to(box).slices()] = pixels
        return framed

    def files(self, box: Box) -> list[str]:
        """The files, below the store's folder, that hold the pixels of a box of the frame; some may be absent."""
        units = (self._array.shards or self._array.chunks)[-2:]
        down, across = (
            range(begin // unit, -(-end // unit))
            for begin, end, unit in zip((box.y, box.x), (box.y_end, box.x_end), units, strict=True)
        )
        lead = (0,) if self.channels else ()
        keys = (self._array.metadata.encode_chunk_key((*lead, y, x)) for y in down for x in across)
        return [f"{self._array.path}/{key}" for key in keys]

    @spending("writing")
    def write(self, box: Box, pixels: NDArray[Any]) -> None:
        """Write (y, x, c) or (y, x) pixels over `box`, which must be whole shards."""
        self._refuse_partial_shards(box)
        rows, columns = box.slices()
        if self.channels:
            write_shards(self._array, (slice(0, self.channels), rows, columns), np.moveaxis(pixels, -1, 0))
        else:
            write_shards(self._array, (rows, columns), pixels)

    def _refuse_partial_shards(self, box: Box) -> None:
        unit = self._written_by_px
        whole = box.y % unit == 0 and box.x % unit == 0
        whole &= box.y_end % unit == 0 or box.y_end == self.frame.height
        whole &= box.x_end % unit == 0 or box.x_end == self.frame.width
        if not (whole and self.frame.box.encloses(box)):
            msg = f"{self._array.store_path}: {box} is not made of whole shards of {unit} px"
            raise StoreError(msg, "Write by cores that are a multiple of the shard.")


class SlideStore:
    """The OME-Zarr store of one slide, in a local folder."""

    _mode: Literal["r", "r+"] = "r+"

    def __init__(self, path: Path, version: NgffVersion = "0.5") -> None:
        self.path = path
        self.version: NgffVersion = version

    @property
    def _source(self) -> Any:
        """What zarr opens to read."""
        return str(self.path)

    def create_image(self, group: str, name: str, pyramid: Pyramid, core_px: int) -> None:
        """An RGB image in `group` ('' for the root), white where nothing is written."""
        attributes = ngff.image(self.version, name, pyramid)
        self._create(group, attributes, pyramid, core_px, channels=3, dtype="uint8", fill=255)

    def create_labels(
        self, group: str, pyramid: Pyramid, core_px: int, dtype: str = "uint32", legend: Sequence[LegendEntry] = ()
    ) -> None:
        """A label image in `group` ('labels/tissue', 'sr/labels/nuclei'); 0 where nothing is written."""
        parent, _, name = group.rpartition("/")
        self._create(group, ngff.labels(self.version, name, pyramid, legend), pyramid, core_px, 0, dtype, 0)
        self._describe(parent, ngff.label_list(self.version, self._members(parent)))

    def create_heatmap(self, group: str, pyramid: Pyramid, content: ngff.Heatmap, core_px: int) -> None:
        """A float32 heat map in `group` ('heatmaps/idc-hybrid'); NaN where nothing is written."""
        parent, _, name = group.rpartition("/")
        attributes = ngff.heatmap(self.version, name, pyramid, content)
        self._create(group, attributes, pyramid, core_px, len(content.channels), "float32", float("nan"))
        self._describe(parent, ngff.folder(self.version, self._members(parent)))

    def layer(self, path: str) -> Layer:
        """The layer at '0', 'sr/0', 'labels/tissue/2', ..., ready to be read and written."""
        try:
            described = (self.path / path / self._array_files[0]).stat()
        except FileNotFoundError:
            return self.open_layer(path)
        # Opening takes milliseconds, and every batch does it; what a layer is changes with its metadata alone.
        return _opened(self.path, self.version, path, (described.st_ino, described.st_mtime_ns))

    def open_layer(self, path: str) -> Layer:
        """The layer, from its metadata."""
        group, _, level = path.rpartition("/")
        try:
            array = zarr.open_array(self._source, path=path, mode=self._mode)
        except (FileNotFoundError, KeyError) as error:
            msg = f"{self.path}: there is no layer {path}"
            raise StoreError(msg, "Run the slide again; what is missing is made.") from error
        transforms = self._metadata(group)["multiscales"][0]["datasets"][int(level)]["coordinateTransformations"]
        return Layer(array, _frame(array, transforms), (array.shards or array.chunks)[-1])

    def pyramid(self, group: str) -> Pyramid:
        """The frames of the image in `group`, read from its metadata."""
        datasets = self._metadata(group)["multiscales"][0]["datasets"]
        return Pyramid(tuple(self.layer(_join(group, dataset["path"])).frame for dataset in datasets))

    def classes(self, group: str) -> list[str]:
        """The names of the channels of an image or heat map."""
        return [channel["label"] for channel in self._metadata(group)["omero"]["channels"]]

    def windows(self, group: str) -> list[tuple[float, float]]:
        """The least and the largest value that a viewer shows of each channel of an image or heat map."""
        windows = (channel["window"] for channel in self._metadata(group)["omero"]["channels"])
        return [(float(window["start"]), float(window["end"])) for window in windows]

    def legend(self, group: str) -> list[tuple[int, str, str]]:
        """Value, title and colour (#rrggbb) of what a label image tells apart; empty where it does not say."""
        described = self._metadata(group).get("image-label", {})
        colours = {entry["label-value"]: entry["rgba"] for entry in described.get("colors", ())}
        titles = {entry["label-value"]: entry for entry in described.get("properties", ())}
        return [
            (int(value), str(titles.get(value, {}).get("title", value)), "#" + bytes(colours[value][:3]).hex())
            for value in sorted(colours)
        ]

    def images(self, parent: str) -> list[str]:
        """The names of the images inside `parent` ('heatmaps', 'labels', 'qc'); none when it does not exist."""
        return [name for name in self._members(parent) if self.has(_join(parent, name))]

    def has(self, group: str) -> bool:
        """Whether `group` holds an image."""
        try:
            return "multiscales" in self._metadata(group)
        except (FileNotFoundError, KeyError):
            return False

    def _metadata(self, group: str) -> dict[str, Any]:
        attributes = dict(zarr.open_group(self._source, path=group, mode="r").attrs)
        return dict(attributes.get("ome", attributes))  # type: ignore[arg-type]

    def _members(self, group: str) -> list[str]:
        folder = self.path / group
        return sorted(entry.name for entry in folder.iterdir() if entry.is_dir()) if folder.is_dir() else []

    def _describe(self, group: str, attributes: ngff.Attributes) -> None:
        """Make `group` and all groups above it; give it its attributes."""
        zarr_format: Literal[2, 3] = 3 if self.version == "0.5" else 2
        parts = [part for part in group.split("/") if part]
        for depth in range(len(parts) + 1):
            path = "/".join(parts[:depth])
            drop_torn_metadata(self.path / path)
            made = zarr.open_group(str(self.path), path=path, mode="a", zarr_format=zarr_format)
        made.update_attributes(attributes)
        self._sync(group, self._group_files)

    @property
    def _group_files(self) -> tuple[str, ...]:
        return ("zarr.json",) if self.version == "0.5" else (".zgroup", ".zattrs")

    @property
    def _array_files(self) -> tuple[str, ...]:
        return ("zarr.json",) if self.version == "0.5" else (".zarray", ".zattrs")

    def _sync(self, path: str, files: Iterable[str]) -> None:
        sync_names((self.path / path / name for name in files), self.path.parent)

    def _create(
        self, group: str, attributes: ngff.Attributes, pyramid: Pyramid, core_px: int, channels: int, dtype: str,
        fill: float,
    ) -> None:  # fmt: skip
        with room_for(self.path / group, _METADATA_BYTES):
            self._create_levels(group, attributes, pyramid, core_px, channels, dtype, fill)

    def _create_levels(
        self, group: str, attributes: ngff.Attributes, pyramid: Pyramid, core_px: int, channels: int, dtype: str,
        fill: float,
    ) -> None:  # fmt: skip
        lead = (channels,) if channels else ()
        self._describe(group, attributes)
        for level, frame in enumerate(pyramid.levels):
            path = _join(group, str(level))
            if metadata_is_whole(self.path / path, self._array_files):
                continue  # an interrupted run made it; what it holds is kept
            zarr.create_array(
                str(self.path),
                name=path,
                overwrite=True,  # metadata is whole before the first pixel is written: nothing else can be in there
                shape=(*lead, *frame.shape),
                dtype=dtype,
                fill_value=fill,
                config={"write_empty_chunks": False},
                **self._layout(lead, core_px, np.dtype(dtype).itemsize),
            )
            self._sync(path, self._array_files)

    def _layout(self, lead: tuple[int, ...], core_px: int, value_bytes: int) -> dict[str, Any]:
        """Chunks and codecs: the same at every level of every image (Viv wants it), all channels in one chunk."""
        chunk = math.gcd(core_px, CHUNK_PX)
        chunk_bytes = math.prod(lead) * chunk**2 * value_bytes
        if self.version == "0.4":
            from numcodecs import Blosc

            return {
                "zarr_format": 2,
                "chunks": (*lead, chunk, chunk),
                "compressors": Blosc("zstd", clevel=1, shuffle=Blosc.BITSHUFFLE, blocksize=chunk_bytes),
                "chunk_key_encoding": {"name": "v2", "separator": "/"},
            }
        shard = shard_px(core_px)
        # A chunk as one block of blosc's: it cuts large ones, which costs speed and 3 % of the bytes.
        blosc = BloscCodec(cname="zstd", clevel=1, shuffle="bitshuffle", blocksize=chunk_bytes)
        return {
            "zarr_format": 3,
            "chunks": (*lead, chunk, chunk),
            "shards": (*lead, shard, shard),
            "compressors": [blosc],
            "dimension_names": ["c", "y", "x"] if lead else ["y", "x"],
        }


@lru_cache(maxsize=256)
def _opened(store: Path, version: NgffVersion, path: str, _stamp: tuple[int, int]) -> Layer:
    return SlideStore(store, version).open_layer(path)


def _frame(array: zarr.Array[Any], transforms: Sequence[Mapping[str, Any]]) -> Frame:
    return Frame(int(array.shape[-2]), int(array.shape[-1]), float(transforms[0]["scale"][-1]))


def _join(group: str, name: str) -> str:
    return f"{group}/{name}" if group else name
