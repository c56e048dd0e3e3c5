"""The slides below a folder or a URL, as a viewer lists and opens them; also while they are being worked on."""

from __future__ import annotations

import json
import os
import time
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any, Generic, TypeVar

from flows.places import results_folder
from flows.status import slide_states
from flows.view_cohort import cohort_row
from pipeline.errors import StoreError
from pipeline.object_url import ObjectUrl, Place
from pipeline.record import Record
from pipeline.view_files import BucketFiles, Files, LocalFiles, OutsideFolder, read_small
from pipeline.view_slide import SlideView

_OPEN_SLIDES = 4
# How long what was seen is believed, in seconds: a look costs a folder's listing here, and requests there.
_LOCAL_S, _REMOTE_S = 2.0, 20.0

Value = TypeVar("Value")


class UnknownSlide(StoreError, LookupError):
    """There is no such slide."""

    __str__ = StoreError.__str__


@dataclass(slots=True)
class _Kept:
    """A slide that was opened."""

    view: SlideView
    mark: tuple[str, Any]
    seen: float
    """When its mark was looked at."""


class _Lately(Generic[Value]):
    """A value that is looked at again after some seconds; threads that want it meanwhile wait for one look."""

    def __init__(self, look: Callable[[], Value], seconds: float) -> None:
        self._look, self._seconds, self._lock = look, seconds, Lock()
        self._seen: tuple[float, Value] | None = None

    def __call__(self) -> Value:
        with self._lock:
            now = time.monotonic()
            if self._seen is None or now - self._seen[0] > self._seconds:
                self._seen = (now, self._look())
            return self._seen[1]


class Catalogue:
    """The slides below one place. Safe to share between threads."""

    def __init__(self, place: Place) -> None:
        """Raises what is wrong with the place, in two lines."""
        self.place = place
        self.files = _files(place)
        seconds = _LOCAL_S if isinstance(self.files, LocalFiles) else _REMOTE_S
        self._folders = _Lately(self._look, seconds)
        self._rows = _Lately(self._read_rows, seconds)
        self._open: OrderedDict[str, _Kept] = OrderedDict()
        self._lock = Lock()
        self._opening: defaultdict[str, Lock] = defaultdict(Lock)

    @property
    def title(self) -> str:
        """What the folder is called."""
        return self.place.name if isinstance(self.place, ObjectUrl) else self.place.absolute().name or str(self.place)

    def rows(self) -> list[dict[str, Any]]:
        """A row a slide, failed ones with their reason."""
        return self._rows()

    def folder(self, slide: str) -> str:
        """Where a slide lies below the place. Raises `UnknownSlide`."""
        known = self._folders()
        if slide not in known:
            msg = f"{slide[:200]!r}: there is no such slide in {self.title}"
            raise UnknownSlide(msg, "Choose one from the list of slides.")
        return known[slide]

    def slide(self, slide: str) -> SlideView:
        """A slide, opened. Raises `UnknownSlide`; `StoreError` where there is nothing to see yet."""
        folder = self.folder(slide)
        with self._lock:
            opening = self._opening[slide]
        with opening:  # a page asks for many tiles at once: one of its threads opens, the others find it open
            return self._opened(slide, folder)

    def _opened(self, slide: str, folder: str) -> SlideView:
        with self._lock:
            kept = self._open.get(slide)
        mark = self._mark(folder, kept)
        if kept is None or kept.mark != mark:
            kept = _Kept(SlideView(self.files, folder, folder.rpartition("/")[2]), mark, time.monotonic())
        with self._lock:
            self._open[slide] = kept
            self._open.move_to_end(slide)
            while len(self._open) > _OPEN_SLIDES:
                self._open.popitem(last=False)
        return kept.view

    def _mark(self, folder: str, kept: _Kept | None) -> tuple[str, Any]:
        """What stays the same as long as an opened slide is still the one that lies there."""
        now = time.monotonic()
        if folder.startswith(".partial/"):
            return folder, int(now / _LOCAL_S)
        if kept is not None and not isinstance(self.files, LocalFiles) and now - kept.seen < _REMOTE_S:
            return kept.mark
        mark = folder, self.files.stamp(f"{folder}/run.json")
        if kept is not None and kept.mark == mark:
            kept.seen = now
        return mark

    def _look(self) -> dict[str, str]:
        """Id to folder; whole results hide those that grow in their place."""
        growing = {_id(name): f".partial/{name}" for name in self.files.folders(".partial") if name[0] != "."}
        whole = {_id(name): name for name in self.files.folders("") if name[0] != "." and self._is_slide(name)}
        return growing | whole

    def _is_slide(self, name: str) -> bool:
        if isinstance(self.files, BucketFiles):
            return True  # asked when it is opened, not for every prefix of a bucket
        try:
            return self.files.stamp(f"{name}/run.json") is not None
        except OutsideFolder:
            return False

    def _read_rows(self) -> list[dict[str, Any]]:
        if isinstance(self.place, ObjectUrl):
            from flows.publishing import mirrored, published_states

            with mirrored(self.place) as folder:
                return _rows(LocalFiles(folder), published_states(self.place))
        assert isinstance(self.files, LocalFiles)
        inside = {*self.files.folders(""), *self.files.folders(".partial")}
        return _rows(self.files, [state for state in slide_states(self.files.root) if state["slide"] in inside])


def _files(place: Place) -> Files:
    if isinstance(place, ObjectUrl):
        from pipeline.bucket import Bucket, Patience

        bucket = Bucket(place, Patience(timeout_s=20.0, connect_s=5.0, retries=2, retry_s=20.0))
        bucket.list_folder(place.prefix)
        return BucketFiles(bucket, place)
    return LocalFiles(results_folder(place))


def _id(name: str) -> str:
    """A folder's name as text, also where its bytes are none."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _rows(files: LocalFiles, states: list[dict[str, Any]]) -> list[dict[str, Any]]:
    rows = []
    for state in map(partial(_own, files), states):
        name = str(state["slide"])
        whole = Path(name).name == name and _stamped(files, f"{name}/run.json")
        folder = name if whole else f".partial/{name}"
        record = _record(files, f"{folder}/run.json") or _record(files, f"{folder}/begun.json") or Record({})
        preview = bool(whole) and _stamped(files, f"{name}/preview.png")
        rows.append(cohort_row(_id(name), state, record, whole=bool(whole), preview=preview, files=files))
    return rows


def _own(files: LocalFiles, state: dict[str, Any]) -> dict[str, Any]:
    """How a slide is, without what was read through a link that leads elsewhere."""
    folder = f".partial/{state['slide']}"
    if not _stamped(files, f"{folder}/stages.json"):
        state = {**state, "stages": []}
    if state["state"] == "failed" and not _stamped(files, f"{folder}/failed.json"):
        state = {**state, "what": "why it failed is a link that leads out of the folder", "cure": None}
    return state


def _stamped(files: LocalFiles, path: str) -> bool:
    try:
        return files.stamp(path) is not None
    except OutsideFolder:
        return False


def _record(files: LocalFiles, path: str) -> Record | None:
    try:
        content = read_small(files, path)
        found = json.loads(content) if content is not None else None
    except (OutsideFolder, ValueError, RecursionError):
        return None
    return Record(found) if isinstance(found, dict) else None
