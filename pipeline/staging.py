"""Slides of object stores on this machine's disk, while they are worked on and for as long as there is room.

FOLDER/slides/<digest>/<name>     one slide; the digest is that of URL, size and ETag, so a changed object is another
FOLDER/slides/<digest>/.<name>    one that is being fetched, as long as it will be: room is taken before bytes come
FOLDER/slides/<digest>/.<name>.*  beside a slide of which parts are fetched as they are read (`pipeline.sparse_slide`)
FOLDER/slides.lock                held while room is made

A folder is locked (flock) by whoever uses it: shared by readers, exclusively by the one who fetches and by the one who
throws out. The system frees such locks when a process dies, so that a kill leaves nothing to delete by hand.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from pipeline.bucket import Bucket, ObjectFacts
from pipeline.errors import HistoloomError, ResourceLost, SlideError, UnreadableSlide
from pipeline.object_url import ObjectUrl
from pipeline.sparse_slide import lay_out
from pipeline.tiff_reader import TiffReader

GIB = 2**30
_RANGE_BYTES = 8 * 2**20
_RANGES_AT_ONCE = 4
_MULTI_FILE = {".mrxs", ".vms", ".vmu"}
_TIFF = {".svs", ".tif", ".tiff"}


@dataclass(frozen=True, slots=True)
class Staging:
    """A folder of this machine for what comes from and goes to object stores, and how much of slides it may hold."""

    folder: Path
    slides_gib: float = 100.0
    parts: bool = False
    """Whether slides of the TIFF family are fetched in the parts that are read of them."""

    @contextmanager
    def hold(self, url: ObjectUrl, *, parts: bool = False) -> Iterator[tuple[Path, ObjectFacts]]:
        """The slide as a file, which stays as long as the block; and what the store says about it.

        With `parts` it is a file that fills as it is read, where a reader is here that can do with one.

        Raises
        ------
        UnreadableSlide
            where there is no such object, or it is one file of several
        SlideError
            where it is larger than all the room
        ResourceLost
            where there is no room now, or the store gives way
        """
        facts = look_up(url)
        with _shared(self, url, facts, parts=parts and is_read_in_parts(url)) as file:
            if file is not None:
                yield file, facts
                return
        with _shared(self, url, facts, parts=False) as whole:
            assert whole is not None
            yield whole, facts

    @property
    def slides(self) -> Path:
        """Where slides lie."""
        return self.folder / "slides"

    def make_room(self, wanted_bytes: int) -> None:
        """Throw out slides that nobody uses until so much is free on this disk, or none is left to throw out."""
        if not self.slides.is_dir():
            return
        with _room_is_made(self):
            for entry in _unused_longest_first(self, None):
                if shutil.disk_usage(self.folder).free >= wanted_bytes:
                    return
                _throw_out(entry)

    def results(self, url: ObjectUrl) -> Path:
        """Where results grow that are published under `url`: always the same folder, so that a second call finds it."""
        digest = hashlib.sha256(str(url).encode()).hexdigest()[:12]
        return self.folder / "results" / f"{url.name}-{digest}"


def look_up(url: ObjectUrl) -> ObjectFacts:
    """What the store says about a slide; raises `UnreadableSlide` where it cannot be had as one file."""
    if url.suffix.lower() in _MULTI_FILE:
        msg = f"{url}: one file of several that make this slide, which are not fetched together"
        raise UnreadableSlide(msg, "Copy the slide's file and its folder to a disk and name it there.")
    facts = Bucket(url).head(url.key)
    if facts is None:
        msg = f"{url}: there is no such object"
        raise UnreadableSlide(msg, "Check bucket and key; keys tell capitals from small letters.")
    return facts


def is_read_in_parts(url: ObjectUrl) -> bool:
    """Whether a slide of this name may be one that needs no file of its own."""
    return url.suffix.lower() in _TIFF


@contextmanager
def _shared(staging: Staging, url: ObjectUrl, facts: ObjectFacts, *, parts: bool) -> Iterator[Path | None]:
    """Hold a slide's folder as one of its readers; None where its parts alone can be read by nobody here."""
    kind = "\0parts" if parts else ""
    entry = staging.slides / hashlib.sha256(f"{url}\0{facts.bytes}\0{facts.etag}{kind}".encode()).hexdigest()[:24]
    file = entry / url.name
    while True:
        entry.mkdir(parents=True, exist_ok=True)
        with _locked(entry, fcntl.LOCK_SH) as held:
            if held and file.is_file():
                os.utime(entry)  # used last now
                try:
                    yield None if parts and not _opens(file) else file
                finally:
                    os.utime(entry)
                return
        with _locked(entry, fcntl.LOCK_EX) as held:
            if held and not file.is_file():
                if parts:
                    lay_out(file, url, facts)
                else:
                    _fetch(staging, entry, file, url, facts)


def _opens(file: Path) -> bool:
    """Whether the reader that does with parts reads this one; its tables are fetched by that, and stay."""
    try:
        TiffReader(file).close()
    except HistoloomError:
        raise
    except Exception:  # whatever a damaged or foreign file makes it raise: the readers of whole files say what it is
        return False
    return True


@contextmanager
def _locked(entry: Path, kind: int) -> Iterator[bool]:
    """Lock a folder; False where somebody has it (with LOCK_NB), or threw it out while this waited."""
    try:
        handle = os.open(entry, os.O_RDONLY)
    except FileNotFoundError:
        yield False
        return
    try:
        yield _got(handle, kind) and _is_still(entry, handle)
    finally:
        os.close(handle)


def _got(handle: int, kind: int) -> bool:
    try:
        fcntl.flock(handle, kind)
    except BlockingIOError:
        return False
    return True


def _is_still(entry: Path, handle: int) -> bool:
    try:
        return os.path.samestat(entry.stat(), os.fstat(handle))
    except FileNotFoundError:
        return False


def _fetch(staging: Staging, entry: Path, file: Path, url: ObjectUrl, facts: ObjectFacts) -> None:
    """Bring the slide under its name, in one step and with the time of the object as its own."""
    draft = entry / f".{file.name}"
    draft.unlink(missing_ok=True)
    _make_room(staging, entry, draft, url, facts.bytes)
    bucket = Bucket(url)
    with draft.open("r+b") as target, ThreadPoolExecutor(_RANGES_AT_ONCE) as pool:

        def bring(offset: int) -> None:
            content = bucket.read_range(facts, offset, min(_RANGE_BYTES, facts.bytes - offset))
            os.pwrite(target.fileno(), content, offset)

        for _ in pool.map(bring, range(0, facts.bytes, _RANGE_BYTES)):
            pass
        os.fsync(target.fileno())
    os.utime(draft, (facts.modified.timestamp(),) * 2)
    draft.rename(file)


def _make_room(staging: Staging, entry: Path, draft: Path, url: ObjectUrl, wanted_bytes: int) -> None:
    """Throw out what was not used for longest until the slide fits, then take its place."""
    most_bytes = int(staging.slides_gib * GIB)
    if wanted_bytes > most_bytes:
        msg = f"{url}: {_gib(wanted_bytes)}, more than the {_gib(most_bytes)} that {staging.slides} may hold"
        raise SlideError(msg, f"Give it room: --staging-gib {-(-wanted_bytes // GIB)} or more.")
    with _room_is_made(staging):
        entries = _unused_longest_first(staging, entry)
        held_bytes = sum(map(_size_bytes, entries))
        for other in entries:
            if held_bytes + wanted_bytes <= most_bytes and shutil.disk_usage(staging.folder).free >= wanted_bytes:
                break
            held_bytes -= _throw_out(other)
        if held_bytes + wanted_bytes > most_bytes:
            msg = f"{url}: {_gib(wanted_bytes)} find no room in {staging.slides}: other runs use what is there"
            raise ResourceLost(msg, "Wait until one of them is through, or give more: --staging-gib.")
        _reserve(draft, wanted_bytes)


@contextmanager
def _room_is_made(staging: Staging) -> Iterator[None]:
    with (staging.folder / "slides.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _unused_longest_first(staging: Staging, but: Path | None) -> list[Path]:
    return sorted((path for path in staging.slides.iterdir() if path != but and path.is_dir()), key=_used)


def _reserve(draft: Path, count: int) -> None:
    """Take up disk space at once: better no room now than none in an hour."""
    with draft.open("wb") as target:
        try:
            if count and hasattr(os, "posix_fallocate"):
                os.posix_fallocate(target.fileno(), 0, count)
            else:  # macOS
                target.truncate(count)
        except OSError as error:
            draft.unlink()
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                msg = f"{draft.parent}: no room on this disk for {_gib(count)}"
                raise ResourceLost(msg, "Make room there, or name a folder on another disk: --staging DIR.") from error
            raise


def _throw_out(entry: Path) -> int:
    """Remove a slide that nobody uses; return the bytes that this gave back."""
    with _locked(entry, fcntl.LOCK_EX | fcntl.LOCK_NB) as held:
        if not held:
            return 0
        count = _size_bytes(entry)
        shutil.rmtree(entry, ignore_errors=True)
        return count - _size_bytes(entry)


def _used(entry: Path) -> float:
    try:
        return entry.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _size_bytes(entry: Path) -> int:
    total = 0
    with suppress(FileNotFoundError):
        total = sum(512 * path.stat().st_blocks for path in entry.iterdir())  # of a slide in parts, what is here
    return total


def _gib(count: int) -> str:
    return f"{count / GIB:.3g} GiB"
