"""Brings one slide's whole results under their prefix in a bucket. `run.json` comes last: it is the done mark.

1. `run.json` goes, where an older one is there: from now on the slide is not done.
2. Objects that are none of these results go: a shard of older results would show where the new ones have nothing.
3. All files but `run.json` come, each in one step of the store. What arrived is written down beside the results.
4. The store lists what it has: size and ETag of every object must be those that were sent.
5. `run.json` comes, on condition that none is there.

Stopped anywhere, the same call goes on: what the list and the store agree on is not sent again.
"""

from __future__ import annotations

import json
import mimetypes
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from pipeline.bucket import Bucket, ObjectFacts
from pipeline.errors import ResourceLost, StoreBusy, StoreError
from pipeline.object_url import ObjectUrl
from pipeline.output import is_result

DONE_MARK = "run.json"
_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Published:
    """What it took to publish a slide."""

    objects: int
    bytes: int
    sent_bytes: int
    """Without what an earlier, interrupted call had sent."""


@dataclass(frozen=True, slots=True)
class _Sent:
    """A file that has arrived: a line of the list."""

    file: str
    bytes: int
    modified_ns: int
    etag: str

    def is_of(self, path: Path) -> bool:
        stat = path.stat()
        return (stat.st_size, stat.st_mtime_ns) == (self.bytes, self.modified_ns)

    def is_there(self, facts: ObjectFacts | None) -> bool:
        # Azure quotes ETags in answers and not in listings
        return facts is not None and (facts.bytes, facts.etag.strip('"')) == (self.bytes, self.etag.strip('"'))


class SentList:
    """What has arrived so far, one JSON object a line; a line that was cut off counts for nothing."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self.sent: dict[str, _Sent] = {}
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []
        for line in lines:
            try:
                entry = _Sent(**json.loads(line))
            except (ValueError, TypeError):
                continue
            self.sent[entry.file] = entry

    def add(self, entry: _Sent) -> None:
        with self._lock, self.path.open("a", encoding="utf-8") as file:
            file.write(f"{json.dumps(asdict(entry))}\n")
            self.sent[entry.file] = entry


def publish_slide(folder: Path, url: ObjectUrl, sent_list: Path, check: Callable[[], None]) -> Published:
    """Publish the whole results in `folder` under `url`; both `folder` and `sent_list` stay.

    Parameters
    ----------
    sent_list
        a file outside of `folder` that tells the next call what has arrived, should this one be stopped
    check
        raises when this process may no longer write there

    Raises
    ------
    ResourceLost
        where the store gave way, or has not what was sent
    StorageRefused, StoreBusy
        where writing is not allowed, or somebody else wrote
    StoreError
        where results would take the place of objects that are none
    """
    bucket, sent = Bucket(url), SentList(sent_list)
    files = {str(path.relative_to(folder)): path for path in sorted(folder.rglob("*")) if path.is_file()}
    mark = files.pop(DONE_MARK)
    there = _there(bucket, url)
    older = sorted(there.keys() - files.keys() - {DONE_MARK})
    _refuse_foreign(older, folder.name, url)
    check()
    bucket.delete([url.prefix + DONE_MARK] if DONE_MARK in there else [])

    def send(name: str) -> int:
        check()
        path, stat = files[name], files[name].stat()
        etag = bucket.put(url.prefix + name, path, _media_type(name))
        sent.add(_Sent(name, stat.st_size, stat.st_mtime_ns, etag))
        return stat.st_size

    def remove(name: str) -> None:
        check()
        bucket.delete([url.prefix + name])

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(remove, older))
        sent_bytes = sum(pool.map(send, _not_arrived(sent, files, there)))
    absent = sorted(_not_arrived(sent, files, _there(bucket, url)))
    if absent:
        msg = f"{url / absent[0]}: is not what was sent{f', nor are {len(absent) - 1} more' if absent[1:] else ''}"
        raise ResourceLost(msg, "Make sure that nobody else writes there, then run the same command again.")
    check()
    _mark_done(bucket, url, mark)
    sizes = [path.stat().st_size for path in (*files.values(), mark)]
    return Published(len(sizes), sum(sizes), sent_bytes)


def _refuse_foreign(older: list[str], slide: str, url: ObjectUrl) -> None:
    """Raise StoreError where what is to go is no result of an earlier run."""
    foreign = [name for name in older if not is_result(name, slide)]
    if foreign:
        msg = f"{url / foreign[0]}: is there already and no result of histoloom, the first of {len(foreign)}"
        raise StoreError(msg, "Give another --out, or move that away.")


def _mark_done(bucket: Bucket, url: ObjectUrl, mark: Path) -> None:
    if bucket.create(url.prefix + DONE_MARK, mark.read_bytes()) is None:
        msg = f"{url / DONE_MARK}: somebody else published this slide in between"
        raise StoreBusy(msg, "Run the same command again to see whether theirs are the results that you want.")


def _there(bucket: Bucket, url: ObjectUrl) -> dict[str, ObjectFacts]:
    return {facts.key.removeprefix(url.prefix): facts for facts in bucket.list_under(url.prefix)}


def _not_arrived(sent: SentList, files: dict[str, Path], there: dict[str, ObjectFacts]) -> list[str]:
    def arrived(name: str, path: Path) -> bool:
        entry = sent.sent.get(name)
        return entry is not None and entry.is_of(path) and entry.is_there(there.get(name))

    return [name for name, path in files.items() if not arrived(name, path)]


def _media_type(name: str) -> str:
    """So that a browser shows pages and pictures instead of saving them."""
    return mimetypes.guess_type(name)[0] or "application/octet-stream"
