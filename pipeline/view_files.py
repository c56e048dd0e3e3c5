"""The files below one folder, or one prefix of a bucket, to be read and never left.

A path is relative, with slashes. Whatever it says, nothing outside the folder is opened: parts such as `..` are
refused, and a symbolic link is followed only to where it stays inside.
"""

from __future__ import annotations

import io
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Protocol

from pipeline.errors import StoreError

if TYPE_CHECKING:
    from pipeline.bucket import Bucket, ObjectFacts
    from pipeline.object_url import ObjectUrl

_MOST_PATH = 1024


@dataclass(frozen=True, slots=True)
class Stamp:
    """What tells one content of a file from another, without reading it."""

    bytes: int
    tag: str


class OutsideFolder(StoreError, PermissionError):
    """A path, or a link on its way, leads out of the folder that may be read."""

    __str__ = StoreError.__str__


class Files(Protocol):
    """A tree of files that can be read."""

    def stamp(self, path: str) -> Stamp | None:
        """What is known of a file; None where there is none. Raises `OutsideFolder`."""

    def open(self, path: str) -> tuple[IO[bytes], Stamp] | None:
        """A file that can be read from any place in it; None where there is none. Raises `OutsideFolder`."""

    def folders(self, path: str) -> list[str]:
        """The names of the folders just below one, sorted; none where it does not exist."""


def read_small(files: Files, path: str, most_bytes: int = 16 << 20) -> bytes | None:
    """A file whole; None where there is none, or where it is larger than anything that is read whole."""
    opened = files.open(path)
    if opened is None:
        return None
    file, stamp = opened
    with file:
        return file.read() if stamp.bytes <= most_bytes else None


def plain_path(path: str) -> str:
    """The path itself, where it is one that stays below; raises `OutsideFolder`."""
    parts = path.split("/")
    if "\0" in path or "\\" in path or len(path) > _MOST_PATH or any(part in {"", ".", ".."} for part in parts):
        msg = f"{path[:200]!r}: no path below a folder"
        raise OutsideFolder(msg, "Name a file of the slide, without '..' or empty parts.")
    return path


class LocalFiles:
    """The files below a folder of this machine."""

    def __init__(self, root: Path) -> None:
        """`root` may be reached by links; what lies below it must not lead out."""
        self.root = Path(os.path.realpath(root))

    def stamp(self, path: str) -> Stamp | None:
        """Size and time of the last change."""
        real = self._inside(path)
        try:
            found = real.stat()
        except OSError:
            return None
        return _stamp(found) if stat.S_ISREG(found.st_mode) else None

    def open(self, path: str) -> tuple[IO[bytes], Stamp] | None:
        """A regular file; a pipe or a device is none, and does not block."""
        real = self._inside(path)
        try:
            handle = os.open(real, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return None
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            os.close(handle)
            return None
        return os.fdopen(handle, "rb"), _stamp(found)

    def folders(self, path: str) -> list[str]:
        """Folders, and links to folders that stay inside."""
        folder = self._inside(path) if path else self.root
        try:
            names = [entry.name for entry in folder.iterdir()]
        except OSError:
            return []
        return sorted(name for name in names if self._is_folder(os.path.realpath(folder / name)))

    def _is_folder(self, real: str) -> bool:
        return self._holds(real) and os.path.isdir(real)  # noqa: PTH112 - Path would be made for each of thousands

    def _inside(self, path: str) -> Path:
        real = os.path.realpath(self.root / plain_path(path))
        if not self._holds(real):
            msg = f"{path}: leads out of {self.root}"
            raise OutsideFolder(msg, "Copy what the link leads to; nothing outside the folder is shown.")
        return Path(real)

    def _holds(self, real: str) -> bool:
        return real == str(self.root) or real.startswith(str(self.root).rstrip("/") + "/")


def _stamp(found: os.stat_result) -> Stamp:
    return Stamp(found.st_size, f"{found.st_size:x}-{found.st_mtime_ns:x}-{found.st_ino:x}")


class BucketFiles:
    """The objects below a prefix of a bucket."""

    def __init__(self, bucket: Bucket, url: ObjectUrl) -> None:
        self.bucket, self.url = bucket, url

    def stamp(self, path: str) -> Stamp | None:
        """Size and ETag."""
        facts = self.bucket.head((self.url / plain_path(path)).key)
        return None if facts is None else Stamp(facts.bytes, facts.etag)

    def open(self, path: str) -> tuple[IO[bytes], Stamp] | None:
        """An object that is read in ranges; one that is written anew meanwhile is an error, not a mixture."""
        facts = self.bucket.head((self.url / plain_path(path)).key)
        if facts is None:
            return None
        reader = io.BufferedReader(_RangeReader(self.bucket, facts), buffer_size=1 << 18)
        return reader, Stamp(facts.bytes, facts.etag)

    def folders(self, path: str) -> list[str]:
        """Prefixes just below."""
        below = self.url / plain_path(path) if path else self.url
        return sorted(self.bucket.list_folder(below.prefix)[0])


class _RangeReader(io.RawIOBase):
    """An object as a file that can be read from any place in it."""

    def __init__(self, bucket: Bucket, facts: ObjectFacts) -> None:
        self._bucket, self._facts, self._place = bucket, facts, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._facts.bytes}[whence]
        self._place = max(0, start + offset)
        return self._place

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        count = max(0, min(len(buffer), self._facts.bytes - self._place))
        if count:
            buffer[:count] = self._bucket.read_range(self._facts, self._place, count)
            self._place += count
        return count
