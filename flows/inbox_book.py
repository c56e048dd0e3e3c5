"""What is known about the slides of an inbox, on disk: DIR/.inbox/ of a results folder.

DIR/.inbox/slides/<SHA-256>.json    one slide: its name, where it was seen, what became of it
DIR/.inbox/seen-<inbox>.json        what lay in an inbox at the last look, so that contents are read once
DIR/.inbox/lock                     held during a look

Every file appears in one step. A slide's file may be deleted by hand: then the slide is new to the inbox.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

from filelock import FileLock, Timeout

from pipeline.errors import StoreBusy
from pipeline.output import SlideOutput, read_json, write_json

State = Literal["waiting", "handed", "done", "failed"]


@dataclass(frozen=True, slots=True)
class Seen:
    """What lay at a source at the last look."""

    stamp: str
    since_s: float
    """When it was first seen with this stamp, in seconds since 1970."""
    identity: str | None = None
    """The SHA-256 of its contents, once it was whole."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One slide of an inbox, by its contents."""

    identity: str
    name: str
    """Of its folder of results; no other slide of this results folder has it."""
    source: str
    """Where it lay when it was handed over last."""
    state: State
    attempt: int = 0
    """How often it was handed over."""
    lost: int = 0
    """How often its run was lost, since a person last asked for another try."""
    due_s: float = 0.0
    """Not to be handed over again before this time, in seconds since 1970."""
    reason: str = ""
    """Why it failed, or was lost last."""
    places: tuple[str, ...] = ()
    """Everywhere it was seen, first place first."""
    token: str = ""
    """Made when it was written down; another where its file was deleted by hand and it is new again."""

    def is_due(self, now_s: float) -> bool:
        """Whether its pause is over."""
        return now_s >= self.due_s


class Book:
    """The book of a results folder; read and written while it is `locked`."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self._entries: dict[str, Entry] = {}

    @property
    def folder(self) -> Path:
        """Where the book lies."""
        return self.out / ".inbox"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes out; freed by the system when this process dies. Raises StoreBusy."""
        self._slides.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(self.folder / "lock").acquire(timeout=0):
                self._entries = self._read()
                yield
        except Timeout as error:
            msg = f"{self.folder}: another process is looking at an inbox for these results"
            cure = "One watcher a results folder is enough: stop the other, or give another --out."
            raise StoreBusy(msg, cure) from error

    def entries(self) -> list[Entry]:
        """All slides, in the order in which they were written down first."""
        return list(self._entries.values())

    def entry(self, identity: str) -> Entry | None:
        """One slide, where it is known."""
        return self._entries.get(identity)

    def write(self, entry: Entry) -> None:
        """Write a slide down, in place of what was known of it."""
        number = list(self._entries).index(entry.identity) if entry.identity in self._entries else len(self._entries)
        write_json(self._slides / f"{entry.identity}.json", {"format": 1, "number": number, **asdict(entry)})
        self._entries[entry.identity] = entry

    def seen(self, inbox: str) -> dict[str, Seen]:
        """What lay in an inbox at the last look, by source."""
        content = read_json(self._seen_path(inbox)) or {}
        return {source: Seen(**seen) for source, seen in content.get("sources", {}).items()}

    def see(self, inbox: str, seen: Mapping[str, Seen]) -> None:
        """Write down what lies in an inbox."""
        sources = {source: asdict(there) for source, there in seen.items()}
        write_json(self._seen_path(inbox), {"format": 1, "inbox": inbox, "sources": sources})

    def retry_failed(self) -> list[str]:
        """Let every slide that failed have its tries again; return their names. Locks the book itself."""
        with self.locked():
            failed = [entry for entry in self.entries() if entry.state == "failed"]
            for entry in failed:
                self.write(replace(entry, state="waiting", lost=0, due_s=0.0))
        return [entry.name for entry in failed]

    def free_name(self, name: str, identity: str) -> str:
        """`name`, or with some of the identity behind it where another slide has that name already."""
        taken = {entry.name.casefold() for entry in self.entries()}
        own = f"{name}~{identity[:8]}"
        if name.casefold() in taken:
            return own
        output = SlideOutput(self.out, name)
        interrupted = _sha256(read_json(output.partial / "plan.json"), "slide") == identity
        return name if interrupted or not (output.final.exists() or output.partial.exists()) else own

    def _read(self) -> dict[str, Entry]:
        contents = [content for content in map(read_json, sorted(self._slides.glob("*.json"))) if content]
        ordered = sorted(contents, key=lambda content: content.get("number", 0))
        return {entry.identity: entry for entry in map(_entry, ordered)}

    @property
    def _slides(self) -> Path:
        return self.folder / "slides"

    def _seen_path(self, inbox: str) -> Path:
        return self.folder / f"seen-{hashlib.sha256(inbox.encode()).hexdigest()[:16]}.json"


def results(out: Path) -> dict[str, str]:
    """SHA-256 of a slide's file to the folder of its whole results, whoever made them."""
    runs = {path.parent.name: read_json(path) for path in sorted(out.glob("*/run.json"))}
    return {digest: name for name, run in runs.items() if (digest := _sha256(run, "input"))}


def _entry(content: Mapping[str, Any]) -> Entry:
    fields = {name: content[name] for name in Entry.__dataclass_fields__ if name in content}
    if fields.get("state") not in get_args(State):
        fields["state"] = "waiting"
    return Entry(**{**fields, "places": tuple(fields.get("places", ()))})


def _sha256(content: Mapping[str, Any] | None, part: str) -> str | None:
    found = (content or {}).get(part)
    return found.get("sha256") if isinstance(found, dict) else None
