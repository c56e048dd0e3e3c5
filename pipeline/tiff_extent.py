"""How far a TIFF file reaches: a copy that was cut short says of itself what it lacks.

A file may open and show pixels though its end is missing, where the finest level comes first: to readers a directory
whose offset lies beyond the end of the file does not exist. So every directory, tile and strip is asked where it ends.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import tifffile


def reaches_its_end(path: Path) -> bool:
    """Whether all that a file's directories name lies within it; True of a file that is no TIFF."""
    try:
        with tifffile.TiffFile(path) as tiff:
            end = path.stat().st_size
            return all(extent <= end for extent in _extents(tiff))
    except tifffile.TiffFileError:
        return not _starts_as_tiff(path)
    except (struct.error, ValueError, LookupError):  # a directory that is cut in its middle
        return False


def _extents(tiff: tifffile.TiffFile) -> Iterator[int]:
    """The first byte behind each thing that the directories name, in bytes from the start of the file."""
    pages = list(tiff.pages)
    for each in [*pages, *(inner for page in pages for inner in page.pages or ())]:
        whole = each.aspage()
        yield from (start + length for start, length in zip(whole.dataoffsets, whole.databytecounts, strict=False))
    if pages:
        yield _next_directory(tiff, int(pages[-1].offset)) + 1


def _next_directory(tiff: tifffile.TiffFile, offset: int) -> int:
    """Where the directory after the last readable one is said to begin; 0 where there is none."""
    file, form = tiff.filehandle, tiff.tiff
    file.seek(offset)
    (tags,) = struct.unpack(form.tagnoformat, file.read(form.tagnosize))
    file.seek(offset + form.tagnosize + tags * form.tagsize)
    (following,) = struct.unpack(form.offsetformat, file.read(form.offsetsize))
    return int(following)


def _starts_as_tiff(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) in (b"II", b"MM")
