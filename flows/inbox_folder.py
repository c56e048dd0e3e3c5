"""A folder, with the folders in it, as an inbox: which files make a slide, and whether all of it is there."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import signal
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from flows.cohort import ENDINGS
from flows.inbox import Sighting
from flows.provenance import identify
from pipeline.errors import ConfigError, UnreadableSlide
from pipeline.geometry import Box
from pipeline.slide import open_slide
from pipeline.tiff_extent import reaches_its_end

_NAMED_FILE = re.compile(r"^[^=\[\r\n]+=\s*([^\r\n]+?)\s*$", re.MULTILINE)
_MOST_INDEX_BYTES = 1 << 20
_CORNER_PX = 64


@dataclass(frozen=True, slots=True)
class FolderInbox:
    """Slides in `folder`; hidden files, and all below `without` (the results, should they lie inside), are none.

    A slide is one file, but for
    .mrxs       and the folder of the same name beside it
    .vms, .vmu  and the files that it names
    .dcm        all of a folder together, known by the first in order of name
    """

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
        slides = ((source, self.stamp(str(source))) for source in self._slides())
        return [Sighting(str(source), stamp) for source, stamp in slides if stamp is not None]

    def stamp(self, source: str) -> str | None:
        """See `Inbox`."""
        digest = hashlib.sha256()
        try:
            for label, part in parts(Path(source)).items():
                stat = part.stat()
                digest.update(f"{label}\0{stat.st_size}\0{stat.st_mtime_ns}\0".encode(errors="surrogateescape"))
        except OSError:
            return None
        return digest.hexdigest()[:32]

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

    def _slides(self) -> Iterator[Path]:
        without = self.without.resolve()
        for folder, inner, names in os.walk(self.folder):
            here = Path(folder)
            slides = [here / name for name in sorted(names) if Path(name).suffix.lower() in ENDINGS and name[0] != "."]
            belonging = {part for slide in slides for label, part in parts(slide).items() if label}
            yield from (slide for slide in slides if slide not in belonging)
            apart = {slide.stem for slide in slides if slide.suffix.lower() == ".mrxs"}
            inner[:] = sorted(
                name for name in inner
                if name[0] != "." and name not in apart and (here / name).resolve() != without
            )  # fmt: skip


def parts(slide: Path) -> Mapping[str, Path]:
    """The files of a slide, by labels that stay the same when the slide is renamed; its own file's is empty."""
    ending = slide.suffix.lower()
    if ending == ".mrxs":
        folder = slide.with_suffix("")
        inside = sorted(path for path in folder.rglob("*") if path.is_file())
        return {"": slide} | {path.relative_to(folder).as_posix(): path for path in inside}
    if ending in {".vms", ".vmu"}:
        named = (slide.with_name(name) for name in _named_files(slide))
        return {"": slide} | {path.name: path for path in sorted(named) if path.is_file()}
    if ending == ".dcm":
        first, *others = sorted(path for path in slide.parent.iterdir() if path.suffix.lower() == ".dcm")
        return {"": first} | {path.name: path for path in others}
    return {"": slide}


def _named_files(index: Path) -> Iterator[str]:
    """Names of files after a `=`; one that leads elsewhere is not followed."""
    try:
        with index.open("rb") as file:
            text = file.read(_MOST_INDEX_BYTES).decode("utf-8", "replace")
    except OSError:
        return
    yield from (name for name in _NAMED_FILE.findall(text) if name == Path(name).name and "\0" not in name)


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
