"""A folder, with the folders in it, as an inbox: which slides lie in it, and whether all of each is there."""

from __future__ import annotations

import fcntl
import hashlib
import os
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from flows.inbox import Sighting
from flows.provenance import identify
from flows.slide_names import is_slide_name
from flows.slide_parts import Parts, parts, slides_among
from pipeline.errors import ConfigError, UnreadableSlide
from pipeline.geometry import Box
from pipeline.slide import open_slide
from pipeline.tiff_extent import reaches_its_end

_CORNER_PX = 64


@dataclass(frozen=True, slots=True)
class FolderInbox:
    """Slides in `folder`; hidden files, and all below `without` (the results, should they lie inside), are none."""

    folder: Path
    without: Path

    @property
    def address(self) -> str:
        """See `Inbox`."""
        return str(self.folder.resolve())

    def look(self) -> Sequence[Sighting]:
        """See `Inbox`."""
        if not self.folder.is_dir():
            msg = f"{self.folder}: no such folder to watch"
            raise ConfigError(msg, "Make it, mount it, or name another.")
        slides = ((slide, _stamp(files)) for slide, files in self._slides())
        return [Sighting(str(slide), stamp) for slide, stamp in slides if stamp is not None]

    def stamp(self, source: str) -> str | None:
        """See `Inbox`."""
        slide = Path(source)
        return _stamp(parts(slide)) if slide.is_file() else None

    def is_whole(self, source: str) -> bool:
        """See `Inbox`; a slide without a resolution is whole too."""
        slide = Path(source)
        files = parts(slide).values()
        return not any(map(_being_written, files)) and all(map(reaches_its_end, files)) and _opens(slide)

    def identify(self, source: str) -> str:
        """See `Inbox`; of one file the SHA-256 that `run.json` has, else one of the parts' labels and hashes."""
        hashes = {label: identify(part)["sha256"] for label, part in parts(Path(source)).items()}
        if len(hashes) == 1:
            return str(*hashes.values())
        return hashlib.sha256("".join(f"{label}\0{each}\0" for label, each in hashes.items()).encode()).hexdigest()

    def _slides(self) -> Iterator[tuple[Path, Parts]]:
        without = self.without.resolve()
        for folder, inner, names in os.walk(self.folder):
            here = Path(folder)
            shown = (here / name for name in names if is_slide_name(name) and name[0] != ".")
            slides = list(slides_among(shown))
            yield from slides
            apart = {slide.stem for slide, _ in slides if slide.suffix.lower() == ".mrxs"}
            inner[:] = sorted(
                name for name in inner
                if name[0] != "." and name not in apart and (here / name).resolve() != without
            )  # fmt: skip


def _stamp(files: Parts) -> str | None:
    digest = hashlib.sha256()
    try:
        for label, part in files.items():
            stat = part.stat()
            digest.update(f"{label}\0{stat.st_size}\0{stat.st_mtime_ns}\0".encode(errors="surrogateescape"))
    except OSError:
        return None
    return digest.hexdigest()[:32]


def _opens(slide: Path) -> bool:
    """Whether the slide opens and its last corner can be decoded: a copy that is cut short lacks it at the latest."""
    try:
        with open_slide(slide, mpp=1.0) as opened:  # whether it says its own um per px is not the question here
            for index in opened.info.usable_levels:
                level = opened.level(index)
                height, width = level.frame.shape
                level.read(Box(max(0, height - _CORNER_PX), max(0, width - _CORNER_PX), _CORNER_PX, _CORNER_PX))
    except (UnreadableSlide, OSError):
        return False
    return True


def _being_written(path: Path) -> bool:
    """Whether a process of this machine has the file open for writing: then the kernel gives no lease for reading.

    Where there are no leases (networks' disks, other people's files, other systems), nobody can tell: then it is False.
    """
    if not hasattr(fcntl, "F_SETLEASE"):
        return False
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        # Should a writer come in this moment, it is announced by a signal that does nothing unless it is waited for.
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return False
