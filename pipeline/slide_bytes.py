"""The bytes of a slide's file, for a reader that asks for ranges: of one that is here, or that fills as it is read."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

from pipeline.sparse_slide import SparseSlide, is_sparse


class SlideBytes(Protocol):
    """Positioned reads without lock or cache; safe to share between threads."""

    size: int
    """Bytes of the file."""

    def fetch(self, ranges: Iterable[tuple[int, int]]) -> None:
        """Have all (offset, count) at hand."""
        ...

    def pread(self, count: int, offset: int) -> bytes:
        """At most `count` bytes from `offset` on; fewer at the end of the file."""
        ...

    def close(self) -> None:
        """Let go of the file."""
        ...


class WholeFile:
    """A file that is all on this machine."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb", buffering=0)
        self.size = path.stat().st_size

    def fetch(self, ranges: Iterable[tuple[int, int]]) -> None:
        """It is here."""

    def pread(self, count: int, offset: int) -> bytes:
        """At most `count` bytes from `offset` on; fewer at the end of the file."""
        return os.pread(self._file.fileno(), count, offset)

    def close(self) -> None:
        """Close the file descriptor."""
        self._file.close()


def open_bytes(path: Path) -> SlideBytes:
    """Open a slide's file for positioned reads."""
    return SparseSlide(path) if is_sparse(path) else WholeFile(path)


def as_file(path: Path) -> Any:
    """What a library that reads a slide's tables takes for its file: the path, or a file object that fetches."""
    return SparseSlide(path) if is_sparse(path) else path
