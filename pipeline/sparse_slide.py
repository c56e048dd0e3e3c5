"""A slide of an object store as a file of this machine that fills with what is asked of it.

FOLDER/<name>             as long as the object, with holes where nothing was asked for yet
FOLDER/.<name>.object     which object it is, as JSON; who opens the file fetches by this
FOLDER/.<name>.blocks     a byte a block: 1 where the block is here and on disk

Any process of this machine may open it, several at once: a block that two of them fetch is the same bytes. Only a
reader that asks for ranges can read such a file (`pipeline.tiff_reader`); to any other it is full of zeros.
"""

from __future__ import annotations

import errno
import io
import json
import os
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

from pipeline.bucket import Bucket, ObjectFacts
from pipeline.errors import ResourceLost
from pipeline.object_url import ObjectUrl

BLOCK_BYTES = 256 * 1024
"""What is fetched is rounded to blocks: about a row of ten JPEG tiles, which lie side by side in a slide's file."""

_RUN_BLOCKS = 32
_RUNS_AT_ONCE = 4


def lay_out(file: Path, url: ObjectUrl, facts: ObjectFacts) -> None:
    """Make the file of an object, empty, in one step: `file` appears last."""
    known = asdict(url) | {"bytes": facts.bytes, "etag": facts.etag, "modified": facts.modified.isoformat()}
    _beside(file, "object").write_text(json.dumps(known), encoding="utf-8")
    _beside(file, "blocks").write_bytes(bytes(-(-facts.bytes // BLOCK_BYTES)))
    draft = file.with_name(f".{file.name}")
    with draft.open("wb") as target:
        target.truncate(facts.bytes)
    os.utime(draft, (facts.modified.timestamp(),) * 2)
    draft.rename(file)


def is_sparse(file: Path) -> bool:
    """Whether a file is one of these."""
    return _beside(file, "object").is_file()


def _beside(file: Path, what: str) -> Path:
    return file.with_name(f".{file.name}.{what}")


class SparseSlide(io.RawIOBase):
    """The bytes of such a file, fetched where they are missing. `pread` and `fetch` are safe to share between threads.

    Raises `ResourceLost` where the object is another by now, the store gives way, or this disk is full.
    """

    def __init__(self, file: Path) -> None:
        super().__init__()
        known = json.loads(_beside(file, "object").read_text(encoding="utf-8"))
        url = ObjectUrl(known["scheme"], known["bucket"], known["key"])
        self.name = str(file)
        self.size: int = known["bytes"]
        self._facts = ObjectFacts(url.key, self.size, known["etag"], datetime.fromisoformat(known["modified"]))
        self._bucket = Bucket(url)
        self._content = os.open(file, os.O_RDWR)
        self._blocks = os.open(_beside(file, "blocks"), os.O_RDWR)
        self._pool = ThreadPoolExecutor(_RUNS_AT_ONCE)
        self._lock = threading.Lock()
        self._place = 0

    def fetch(self, ranges: Iterable[tuple[int, int]]) -> None:
        """Bring all (offset, count) here, what lies side by side in one request, several requests at once."""
        wanted = {
            block
            for offset, count in ranges
            if count > 0 and offset < self.size
            for block in range(offset // BLOCK_BYTES, -(-min(offset + count, self.size) // BLOCK_BYTES))
        }
        with self._lock:
            missing = sorted(block for block in wanted if os.pread(self._blocks, 1, block) != b"\1")
            for _ in self._pool.map(self._bring, _runs(missing)):
                pass

    def _bring(self, run: range) -> None:
        start = run.start * BLOCK_BYTES
        content = self._bucket.read_range(self._facts, start, min(run.stop * BLOCK_BYTES, self.size) - start)
        try:
            os.pwrite(self._content, content, start)
            os.fdatasync(self._content)  # a mark must not outlive, in a power cut, what it says
            os.pwrite(self._blocks, b"\1" * len(run), run.start)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                msg = f"{self.name}: no room on this disk for what is read of the slide"
                raise ResourceLost(msg, "Make room there, or name a folder on another disk: --staging DIR.") from error
            raise

    def pread(self, count: int, offset: int) -> bytes:
        """At most `count` bytes from `offset` on; fewer at the end of the file."""
        self.fetch([(offset, count)])
        return os.pread(self._content, count, offset)

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # a Buffer, in newer Pythons' types
        """Fill a buffer from the present place on."""
        content = self.pread(len(buffer), self._place)
        buffer[: len(content)] = content
        self._place += len(content)
        return len(content)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place, counted from the start, from here or from the end."""
        self._place = max(0, offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self.size}[whence])
        return self._place

    def tell(self) -> int:
        """The present place."""
        return self._place

    def close(self) -> None:
        """Let go of the file; what was fetched stays."""
        if not self.closed:
            self._pool.shutdown()
            os.close(self._content)
            os.close(self._blocks)
        super().close()


def _runs(blocks: list[int]) -> Iterator[range]:
    """Neighbouring blocks together, as far as one request goes."""
    start = 0
    for place, block in enumerate(blocks):
        last = place + 1 == len(blocks)
        if last or blocks[place + 1] != block + 1 or place - start + 1 == _RUN_BLOCKS:
            yield range(blocks[start], block + 1)
            start = place + 1
