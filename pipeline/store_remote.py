"""The store of one slide where it is no local folder: zarr asks `Files` for bytes, and can neither write nor list."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from threading import Lock, RLock
from typing import IO, TYPE_CHECKING, Any, Literal, NoReturn

import zarr
from zarr.abc.store import ByteRequest, OffsetByteRequest, RangeByteRequest, Store, SuffixByteRequest
from zarr.core.buffer import Buffer, BufferPrototype

from pipeline.store import Layer, SlideStore

if TYPE_CHECKING:
    from pipeline.ngff import Pyramid
    from pipeline.view_files import Files

# Of these the store's answer to "what are you" is kept: a shard is asked for its index, then for each chunk.
_KEPT_OPEN = 64

# zarrs reads local folders alone.
_ANY_STORE = {"codec_pipeline.path": "zarr.core.codec_pipeline.BatchedCodecPipeline"}
_opening = RLock()


class RemoteStore(SlideStore):
    """A slide's store that is only read."""

    _mode: Literal["r", "r+"] = "r"

    def __init__(self, files: Files, path: str) -> None:
        super().__init__(Path(path))
        self._files, self._remote = files, _FilesStore(files, path)

    @property
    def _source(self) -> Any:
        return self._remote

    def layer(self, path: str) -> Layer:
        """The layer at '0', 'sr/0', ..., to be read."""
        with _opening, zarr.config.set(_ANY_STORE):
            return self.open_layer(path)

    def pyramid(self, group: str) -> Pyramid:
        """The frames of the image in `group`."""
        with _opening, zarr.config.set(_ANY_STORE):
            return super().pyramid(group)

    def _members(self, group: str) -> list[str]:
        return self._files.folders(f"{self.path.as_posix()}/{group}".rstrip("/"))


class _FilesStore(Store):
    """Files below a path, as zarr asks for them."""

    supports_writes = False
    supports_deletes = False
    supports_listing = False
    supports_partial_writes = False

    def __init__(self, files: Files, path: str) -> None:
        super().__init__(read_only=True)
        self._files, self._path = files, path
        self._open_files: OrderedDict[str, tuple[IO[bytes], int, Lock]] = OrderedDict()
        self._lock = Lock()

    def __eq__(self, other: object) -> bool:
        return self is other

    __hash__ = Store.__hash__

    async def get(self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None) -> Buffer | None:
        """Bytes of a file; None where there is none."""
        content = await asyncio.to_thread(self._read, key, byte_range)
        return None if content is None else prototype.buffer.from_bytes(content)

    async def get_partial_values(
        self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> list[Buffer | None]:
        """Bytes of several files."""
        return list(await asyncio.gather(*(self.get(key, prototype, part) for key, part in key_ranges)))

    async def exists(self, key: str) -> bool:
        """Whether there is such a file."""
        return await asyncio.to_thread(self._files.stamp, f"{self._path}/{key}") is not None

    def _read(self, key: str, part: ByteRequest | None) -> bytes | None:
        kept = self._opened(key)
        if kept is None:
            return None
        file, size, lock = kept
        begin, end = 0, size
        if isinstance(part, RangeByteRequest):
            begin, end = part.start, min(part.end, size)
        elif isinstance(part, OffsetByteRequest):
            begin = part.offset
        elif isinstance(part, SuffixByteRequest):
            begin = max(0, size - part.suffix)
        with lock:
            file.seek(begin)
            return file.read(max(0, end - begin))

    def _opened(self, key: str) -> tuple[IO[bytes], int, Lock] | None:
        with self._lock:
            if key in self._open_files:
                self._open_files.move_to_end(key)
                return self._open_files[key]
        found = self._files.open(f"{self._path}/{key}")
        if found is None:
            return None
        kept = (found[0], found[1].bytes, Lock())
        with self._lock:
            self._open_files[key] = kept
            while len(self._open_files) > _KEPT_OPEN:
                self._open_files.popitem(last=False)
        return kept

    async def set(self, key: str, value: Buffer) -> None:
        """Not here."""
        _refuse()

    async def delete(self, key: str) -> None:
        """Not here."""
        _refuse()

    async def _nothing(self) -> AsyncIterator[str]:
        _refuse()
        yield ""

    def list(self) -> AsyncIterator[str]:
        """Not here."""
        return self._nothing()

    def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        """Not here."""
        return self._nothing()

    def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """Not here."""
        return self._nothing()


def _refuse() -> NoReturn:
    msg = "this store is only read"
    raise PermissionError(msg)
