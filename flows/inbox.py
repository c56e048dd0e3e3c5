"""Which slides of an inbox are worked on, and when: each once, none before it is whole.

`look` is one look at an inbox. Call it on a schedule, from any process, and let it die wherever it likes: what it knows
stands in a `Book` in the results folder, and every step can be done again.

- A slide is whole when nothing of it has changed for `Policy.settle_s` seconds, from one look to another, and it opens.
- A slide is its contents: a file of another name with the same bytes is the same slide, and is not worked on again.
- Handing a slide over is written down first and done second, under a key that makes doing it again harmless.
- A slide that failed is not tried again; one whose run was lost (a dead machine, a full disk) is, a few times.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Protocol

from flows.inbox_book import Book, Entry, Seen, results
from pipeline.errors import HistoloomError, ResourceLost
from pipeline.object_url import parse_place
from pipeline.output import SlideOutput
from pipeline.slide import slide_name


@dataclass(frozen=True, slots=True)
class Sighting:
    """A slide as one look finds it; nothing of it has been read."""

    source: str
    """What a run is told to open: a path, or an address."""
    stamp: str
    """Another one whenever anything of the slide is: the sizes and times of its files, an object's version."""


class Inbox(Protocol):
    """Where slides arrive: a folder, or the prefix of a bucket."""

    @property
    def address(self) -> str:
        """The same for the same inbox, in every process."""
        ...

    def look(self) -> Sequence[Sighting]:
        """All slides that are there, whole or not. Raises HistoloomError where there is no inbox."""
        ...

    def stamp(self, source: str) -> str | None:
        """The stamp of one slide now; None when it has gone."""
        ...

    def is_whole(self, source: str) -> bool:
        """Whether a slide that has stopped changing opens, to its last pixel, and nobody is writing to it."""
        ...

    def identify(self, source: str) -> str:
        """The SHA-256 of its contents, whatever it is called. Raises HistoloomError where it cannot be read."""
        ...


@dataclass(frozen=True, slots=True)
class Order:
    """One slide, handed over for the `attempt`th time."""

    identity: str
    name: str
    source: str
    attempt: int
    token: str = ""
    """Of its entry in the book: a slide that is new again is another order, though its contents are the same."""


class Fate(Enum):
    """What became of an order."""

    UNHEARD = "it never arrived"
    RUNNING = "it waits or runs"
    DONE = "the results are whole"
    FAILED = "trying again would say the same"
    LOST = "another try may go well"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The fate of an order, and why."""

    fate: Fate
    reason: str = ""


class Hands(Protocol):
    """Who works on slides."""

    @property
    def at_once(self) -> int | None:
        """How many orders they take at one look; None: any number."""
        ...

    def hand(self, order: Order) -> None:
        """Take an order on; the same order (identity and attempt) a second time changes nothing."""
        ...

    def outcome(self, order: Order) -> Outcome:
        """What became of it."""
        ...


@dataclass(frozen=True, slots=True)
class Policy:
    """How patient an inbox is. Times in seconds."""

    settle_s: float = 30.0
    """So long nothing of a slide may change before it counts as whole."""
    patience_s: float = 3600.0
    """After so long, one that does not open is handed over all the same, so that it fails with its reason."""
    retry_after_s: tuple[float, ...] = (300.0, 3600.0)
    """Pauses before a lost slide is tried again; lost once more, it has failed."""


@dataclass(slots=True)
class Look:
    """What one look came to: sources and names, for a log and a person."""

    arriving: list[str] = field(default_factory=list)
    """Not whole yet."""
    unreadable: dict[str, str] = field(default_factory=dict)
    """Source to why it cannot even be read; looked at again next time."""
    recognised: dict[str, str] = field(default_factory=dict)
    """Source to the name that its contents are known by: renamed, copied, or worked on before."""
    handed: list[str] = field(default_factory=list)
    done: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    lost: dict[str, str] = field(default_factory=dict)
    """To be tried again."""

    def in_words(self) -> str:
        """One line, of what there is to tell."""
        told = {kind: getattr(self, kind) for kind in self.__dataclass_fields__}
        return "; ".join(f"{kind}: {', '.join(found)}" for kind, found in told.items() if found) or "nothing new"


def look(inbox: Inbox, book: Book, hands: Hands, policy: Policy, now_s: float) -> Look:
    """Look at an inbox once: hear what became of orders, see what is new, hand over what is whole.

    `now_s` is in seconds since 1970, since looks of several processes are compared.

    Raises
    ------
    StoreBusy
        when another process looks on behalf of the same results folder
    HistoloomError
        when there is no such inbox
    """
    with book.locked():
        return _Watch(inbox, book, hands, policy, now_s).look()


@dataclass(slots=True)
class _Watch:
    inbox: Inbox
    book: Book
    hands: Hands
    policy: Policy
    now_s: float
    found: Look = field(default_factory=Look)
    present: dict[str, str] = field(default_factory=dict)
    """Identity to a source that has these contents now."""
    finished: dict[str, str] | None = None
    """Identity to the folder of results that were there before; read when a slide is new."""

    def look(self) -> Look:
        seen = self.book.seen(self.inbox.address)
        sightings = self.inbox.look()
        known = {sighting.source: self._notice(seen.get(sighting.source), sighting) for sighting in sightings}
        if known != seen:
            self.book.see(self.inbox.address, known)
        for source in sorted(known, key=lambda source: (known[source].since_s, source)):
            self._recognise(source, known)
        self._settle()
        self._hand_over()
        return self.found

    def _notice(self, before: Seen | None, sighting: Sighting) -> Seen:
        """What changed, is new, or was seen by a clock that has been set back since begins to settle now."""
        if before is None or before.stamp != sighting.stamp or before.since_s > self.now_s:
            return Seen(sighting.stamp, self.now_s)
        return before

    def _recognise(self, source: str, known: dict[str, Seen]) -> None:
        """Find out which slide lies at a source, once it is whole; its contents are read once."""
        identity = known[source].identity or self._identify(source, known[source])
        if identity is None:
            return
        self._enter(identity, source)
        if known[source].identity is None:
            known[source] = replace(known[source], identity=identity)
            self.book.see(self.inbox.address, known)
        self.present.setdefault(identity, source)

    def _identify(self, source: str, seen: Seen) -> str | None:
        """The slide's contents; None while it is not whole."""
        calm_s = self.now_s - seen.since_s
        if calm_s == 0 or calm_s < self.policy.settle_s:
            self.found.arriving.append(source)
            return None
        try:
            if not self.inbox.is_whole(source) and calm_s < self.policy.patience_s:
                self.found.arriving.append(source)
                return None
            identity = self.inbox.identify(source)
        except HistoloomError as error:
            self.found.unreadable[source] = error.what
            return None
        except OSError as error:  # not ours to read, or gone again: the other slides have no part in that
            self.found.unreadable[source] = f"{source}: {error.strerror or error}"
            return None
        if self.inbox.stamp(source) != seen.stamp:  # it changed while it was read
            self.found.arriving.append(source)
            return None
        return identity

    def _enter(self, identity: str, source: str) -> None:
        """Write a slide into the book, or the place where it has turned up again."""
        entry = self.book.entry(identity)
        if entry is None:
            finished = self._finished.get(identity)
            name = finished or self.book.free_name(slide_name(source), identity)
            entry = Entry(identity, name, source, "done" if finished else "waiting", token=uuid.uuid4().hex[:8])
        if source in entry.places:
            return
        if entry.places or entry.state == "done":
            self.found.recognised[source] = entry.name
        self.book.write(replace(entry, places=(*entry.places, source)))

    @property
    def _finished(self) -> dict[str, str]:
        if self.finished is None:
            self.finished = results(self.book.out)
        return self.finished

    def _settle(self) -> None:
        """Hear what became of the orders that are out."""
        for entry in self.book.entries():
            if entry.state != "handed":
                continue
            outcome = self.hands.outcome(_order(entry))
            if outcome.fate is Fate.FAILED and self.inbox.stamp(entry.source) is None:
                outcome = Outcome(Fate.LOST, outcome.reason)  # renamed in the middle, or taken away: not its own fault
            self._write_down(entry, outcome)

    def _write_down(self, entry: Entry, outcome: Outcome) -> None:
        if outcome.fate is Fate.UNHEARD:
            self.book.write(replace(entry, state="waiting", attempt=entry.attempt - 1))
        elif outcome.fate is Fate.DONE:
            self.book.write(replace(entry, state="done", reason=""))
            self.found.done.append(entry.name)
        elif outcome.fate is Fate.FAILED:
            self.book.write(replace(entry, state="failed", reason=outcome.reason))
            self.found.failed[entry.name] = outcome.reason
        elif outcome.fate is Fate.LOST:
            self._try_again(entry, outcome.reason)

    def _try_again(self, entry: Entry, reason: str) -> None:
        if entry.lost < len(self.policy.retry_after_s):
            due_s = self.now_s + self.policy.retry_after_s[entry.lost]
            self.book.write(replace(entry, state="waiting", lost=entry.lost + 1, due_s=due_s, reason=reason))
            self.found.lost[entry.name] = reason
            return
        given_up = f"{entry.source}: given up after {entry.lost + 1} tries: {reason}"
        cure = "Look for the cause (memory, disk, the machine's log), then: histoloom watch --retry-failed."
        SlideOutput(self.book.out, entry.name).fail(parse_place(entry.source), ResourceLost(given_up, cure))
        self._write_down(entry, Outcome(Fate.FAILED, given_up))

    def _hand_over(self) -> None:
        """Hand over what waits and lies in the inbox, in the order in which it came."""
        due = [entry for entry in self.book.entries() if entry.state == "waiting" and entry.is_due(self.now_s)]
        here = [entry for entry in due if entry.identity in self.present]
        for entry in here[: self.hands.at_once]:
            handed = replace(
                entry, state="handed", attempt=entry.attempt + 1, source=self.present[entry.identity], due_s=0.0
            )
            self.book.write(handed)
            with self._taken_back_on_error(entry):
                self.hands.hand(_order(handed))
            self.found.handed.append(entry.name)

    @contextmanager
    def _taken_back_on_error(self, entry: Entry) -> Iterator[None]:
        """An order that is not taken, or is interrupted by a person, costs no try."""
        try:
            yield
        except BaseException:
            self.book.write(entry)
            raise


def _order(entry: Entry) -> Order:
    return Order(entry.identity, entry.name, entry.source, entry.attempt, entry.token)
