"""A slide as a file of this machine, wherever it lies; and how it is told from any other without reading it again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flows.provenance import identify, same_file
from pipeline.errors import HistoloomError
from pipeline.object_url import ObjectUrl, Place
from pipeline.sparse_slide import is_sparse
from pipeline.staging import Staging, look_up

_IDENTITY = ("bytes", "modified_ns", "sha256", "path", "etag")


@dataclass(frozen=True, slots=True)
class SlideFile:
    """A slide's file on this machine."""

    path: Path
    origin: Mapping[str, Any] = field(default_factory=dict)
    """What `run.json` says of where it came from, where that is no file."""
    in_parts: bool = False
    """Whether it is fetched as it is read; then nobody has seen all of its bytes."""

    def identity(self) -> dict[str, Any]:
        """What makes it the same slide again; reads all of it, unless it is fetched in parts."""
        if self.in_parts:
            return {"bytes": self.path.stat().st_size, "sha256": None, **self.origin}
        return {**identify(self.path), **self.origin}


@contextmanager
def at_hand(place: Place, staging: Staging, *, parts: bool = False) -> Iterator[SlideFile]:
    """The slide as a file that stays as long as the block; its faults are told of the place that a person named.

    With `parts` one of an object store is fetched as it is read, where that can be.
    """
    if isinstance(place, Path):
        yield SlideFile(place)
        return
    with staging.hold(place, parts=parts) as (path, facts):
        try:
            changed_ns = int(facts.modified.timestamp()) * 10**9
            origin = {"path": str(place), "etag": facts.etag, "modified_ns": changed_ns}
            yield SlideFile(path, origin, is_sparse(path))
        except HistoloomError as error:
            if str(path) not in error.what:
                raise
            raise type(error)(error.what.replace(str(path), str(place)), error.cure) from error


def same_slide(place: Place, known: Mapping[str, Any], staging: Staging) -> dict[str, Any]:
    """The identity of a slide that is known already; it is fetched and hashed again only if it is another."""
    if isinstance(place, Path):
        return same_file(place, known)
    if known.keys() >= set(_IDENTITY) and _is_known(place, known):
        return {key: known[key] for key in _IDENTITY}
    with at_hand(place, staging) as file:
        return file.identity()


def _is_known(url: ObjectUrl, known: Mapping[str, Any]) -> bool:
    facts = look_up(url)
    return (str(url), facts.bytes, facts.etag) == (known.get("path"), known.get("bytes"), known.get("etag"))
