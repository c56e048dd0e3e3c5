"""Which files of a folder make a slide: most are one file, some formats are many.

.mrxs       and the folder of the same name beside it
.vms, .vmu  and the files that it names
.dcm        and the others of its series in the same folder, known by the first in order of name
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

Parts = Mapping[str, Path]
"""The files of a slide, by labels that stay the same when the slide is renamed; its own file's is empty."""

_NAMED_FILE = re.compile(r"^[^=\[\r\n]+=\s*([^\r\n]+?)\s*$", re.MULTILINE)
_MOST_INDEX_BYTES = 1 << 20
# Series Instance UID (0020,000E), little-endian: with the kind of value spelled out, or with its length alone.
_SERIES = re.compile(rb"\x20\x00\x0e\x00(?:UI..|..\x00\x00)([0-9.]{5,64})", re.DOTALL)
_DICOM_HEAD_BYTES = 1 << 16


def parts(slide: Path) -> Parts:
    """The files of a slide that is named by its own. Raises OSError."""
    if slide.suffix.lower() == ".dcm":
        beside = sorted(path for path in slide.parent.iterdir() if path.suffix.lower() == ".dcm")
        return next(_of_one_series(group) for group in _series(beside) if slide in group)
    return _parts(slide)


def slides_among(files: Iterable[Path]) -> Iterator[tuple[Path, Parts]]:
    """The slides among the files of one folder, with their parts; what is a part of another slide is none itself."""
    ordered = sorted(files)
    dicom = [path for path in ordered if path.suffix.lower() == ".dcm"]
    found = [(path, _parts(path)) for path in ordered if path.suffix.lower() != ".dcm"]
    found += [(group[0], _of_one_series(group)) for group in _series(dicom)]
    belonging = {part for _, each in found for label, part in each.items() if label}
    yield from ((slide, each) for slide, each in found if slide not in belonging)


def _parts(slide: Path) -> Parts:
    ending = slide.suffix.lower()
    if ending == ".mrxs":
        folder = slide.with_suffix("")
        inside = sorted(path for path in folder.rglob("*") if path.is_file())
        return {"": slide} | {path.relative_to(folder).as_posix(): path for path in inside}
    if ending in {".vms", ".vmu"}:
        named = (slide.with_name(name) for name in _named_files(slide))
        return {"": slide} | {path.name: path for path in sorted(named) if path.is_file()}
    return {"": slide}


def _named_files(index: Path) -> Iterator[str]:
    """Names of files after a `=`; one that leads elsewhere is not followed."""
    text = _head(index, _MOST_INDEX_BYTES).decode("utf-8", "replace")
    yield from (name for name in _NAMED_FILE.findall(text) if name == Path(name).name and "\0" not in name)


def _series(dicom: Iterable[Path]) -> Iterator[list[Path]]:
    """Files that belong together; one that names no series stands alone."""
    groups: dict[bytes, list[Path]] = {}
    for path in dicom:
        match = _SERIES.search(_head(path, _DICOM_HEAD_BYTES))
        groups.setdefault(match[1].rstrip(b"\0") if match else str(path).encode(errors="surrogateescape"), []).append(
            path
        )
    yield from groups.values()


def _of_one_series(group: list[Path]) -> Parts:
    return {"": group[0]} | {path.name: path for path in group[1:]}


def _head(path: Path, most_bytes: int) -> bytes:
    """The beginning of a file; nothing of one that cannot be read, which is told of when it is opened."""
    try:
        with path.open("rb") as file:
            return file.read(most_bytes)
    except OSError:
        return b""
