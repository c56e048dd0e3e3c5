"""One writer a slide, where no file system has locks: an object that says who works on it, renewed while they live.

The object is made, renewed and taken over by conditional writes alone (If-None-Match, If-Match): of two who try, the
store lets one. A lease that its holder no longer renews is taken over by whoever has *watched* it for a while without
seeing it change; no two machines' clocks are compared for that. A holder that could not renew for long stops by itself,
and asks (`check`) before everything it writes.
"""

from __future__ import annotations

import json
import os
import platform
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipeline.bucket import Bucket, ObjectFacts, Patience
from pipeline.errors import HistoloomError, StoreBusy
from pipeline.object_url import ObjectUrl


@dataclass(frozen=True, slots=True)
class LeaseTimes:
    """How often a lease is renewed, and when its holder counts as dead."""

    renew_s: float = 20.0
    fresh_s: float = 120.0
    """A lease that looks younger than this is not even watched; a holder that could not renew for as long stops."""
    watch_s: float = 65.0
    """Unchanged for as long, it is taken over: three renewals that did not come."""


TIMES = LeaseTimes()

# A renewal that takes long is better made anew: its time runs from when it began.
_BRISK = Patience(timeout_s=15.0, connect_s=5.0, retries=3, retry_s=30.0)


def _awake_or_not_s() -> float:
    """A clock that goes on while the machine sleeps, as the store's does; where there is none, one that does not."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


class Lease:
    """The right to write under one slide's prefix. Made by `hold_lease`."""

    def __init__(self, bucket: Bucket, url: ObjectUrl, owner: str, times: LeaseTimes) -> None:
        self._bucket, self._url, self._owner, self._times = bucket, url, owner, times
        self._etag = self._take()
        self._renewed = _awake_or_not_s()
        self._lost = False
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._renew, name=f"lease of {url}", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Raise `StoreBusy` unless this is still, for certain, the only writer."""
        if self._lost or _awake_or_not_s() - self._renewed > self._times.fresh_s:
            msg = f"{self._url}: lost to another process, or not renewed for too long"
            raise StoreBusy(msg, "Run the same command again; it goes on where it stopped.")

    def release(self) -> None:
        """Give it back."""
        self._over.set()
        self._thread.join()
        with suppress(HistoloomError):  # a lease that stays is taken over later
            # It may be another's by now: a store deletes without asking, but replaces on condition.
            if not self._lost and self._bucket.replace(self._url.key, self._content(), self._etag) is not None:
                self._bucket.delete([self._url.key])

    def _content(self) -> bytes:
        said = {
            "owner": self._owner,
            "host": platform.node(),
            "process": os.getpid(),
            "renewed": datetime.now(UTC).isoformat(timespec="seconds"),
            "mark": uuid.uuid4().hex,  # no two are alike, so that every renewal has another ETag
        }
        return json.dumps(said).encode()

    def _take(self) -> str:
        """Make the object, or take it over from this very machine's folder or from the dead; return its ETag."""
        while True:
            content = self._content()
            etag = self._bucket.create(self._url.key, content)
            if etag is not None:
                return etag
            there = self._bucket.read(self._url.key)
            if there is None:
                continue  # given back in between
            holder, facts = _parsed(there[0]), there[1]
            if holder.get("owner") != self._owner:
                self._refuse_the_living(holder, facts)
            etag = self._bucket.replace(self._url.key, content, facts.etag)
            if etag is not None:
                return etag

    def _refuse_the_living(self, holder: dict[str, Any], facts: ObjectFacts) -> None:
        if (datetime.now(UTC) - facts.modified).total_seconds() > self._times.fresh_s:
            time.sleep(self._times.watch_s)
            seen = self._bucket.head(self._url.key)
            if seen is None or seen.etag == facts.etag:
                return
        who = f"process {holder.get('process', '?')} on {str(holder.get('host', '?'))[:80]!r}"
        msg = f"{self._url}: another run is working on this slide: {who}"
        cure = "Wait until it is through. If it died, the same command takes over "
        raise StoreBusy(msg, f"{cure}{self._times.fresh_s:g} s after it was last heard of.")

    def _renew(self) -> None:
        while not self._over.wait(self._times.renew_s):
            began = _awake_or_not_s()
            try:
                etag = self._bucket.replace(self._url.key, self._content(), self._etag)
            except HistoloomError:
                continue  # the network: `check` counts the time
            if etag is None:
                self._lost = True
                return
            self._etag, self._renewed = etag, began


@contextmanager
def hold_lease(url: ObjectUrl, owner: str, times: LeaseTimes = TIMES) -> Iterator[Lease]:
    """Be the one writer of a slide for as long as the block.

    Parameters
    ----------
    owner
        names the folder that the results grow in; who calls holds that folder against other processes of this machine,
        so that a lease of the same owner is one that a dead process left

    Raises
    ------
    StoreBusy
        where another run holds it
    """
    lease = Lease(Bucket(url, _BRISK), url, owner, times)
    try:
        yield lease
    finally:
        lease.release()


def owner_of(folder: Path) -> str:
    """The name that a folder's runs go by in leases: made once, then read."""
    file = folder / "owner"
    folder.mkdir(parents=True, exist_ok=True)
    if not file.is_file():
        draft = folder / f".owner.{os.getpid()}.tmp"
        draft.write_text(uuid.uuid4().hex, encoding="utf-8")
        with suppress(FileExistsError):
            os.link(draft, file)  # of two processes the first names it
        draft.unlink()
    return file.read_text(encoding="utf-8")


def _parsed(content: bytes) -> dict[str, Any]:
    try:
        said = json.loads(content)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}
