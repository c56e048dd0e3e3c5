"""An inbox without a server: look, work on what is new, one slide after another, in this process; look again.

Results tell what became of a slide, so nothing else is kept: a process that is killed in the middle of one finds it
`LOST` when it is started again, and goes on where it stopped.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from flows.cohort import Cohort, try_slide
from flows.inbox import Fate, Hands, Inbox, Look, Order, Outcome, Policy, look
from flows.inbox_book import Book
from flows.inbox_folder import FolderInbox
from flows.places import staging_at
from flows.progress import Progress
from pipeline.cohort import write_cohort
from pipeline.errors import ConfigError, HistoloomError, ResourceLost
from pipeline.object_url import ObjectUrl, parse_place
from pipeline.output import SlideOutput, read_json
from pipeline.schedule import Workers


@dataclass(frozen=True, slots=True)
class InProcess:
    """Works on a slide while it is handed over."""

    cohort: Cohort
    workers: Workers
    progress: Progress
    at_once: ClassVar[int | None] = 1  # an hour later the inbox may hold something else

    def hand(self, order: Order) -> None:
        """See `Hands`."""
        # What is said of an earlier try is not to be taken for word of this one.
        (SlideOutput(self.cohort.out, order.name).partial / "failed.json").unlink(missing_ok=True)
        try_slide(self.cohort, parse_place(order.source), order.name, self.workers, self.progress)

    def outcome(self, order: Order) -> Outcome:
        """See `Hands`; one that left no word died with its process."""
        return written_outcome(self.cohort.out, order.name) or Outcome(
            Fate.LOST, "the process that worked on it ended without a word"
        )


def inbox_at(address: str, out: Path) -> Inbox:
    """The folder or the prefix of a bucket that slides arrive in; what lies in `out` is none of them."""
    place = parse_place(address)
    if isinstance(place, ObjectUrl):
        from flows.inbox_bucket import BucketInbox

        return BucketInbox(place, staging_at())
    return FolderInbox(place, out)


def written_outcome(out: Path, name: str) -> Outcome | None:
    """What the results folder says became of a slide; None where it says nothing."""
    output = SlideOutput(out, name)
    if output.finished_run() is not None:
        return Outcome(Fate.DONE)
    failure = read_json(output.partial / "failed.json")
    if failure is None:
        return None
    fate = Fate.LOST if failure.get("may_pass") else Fate.FAILED
    return Outcome(fate, str(failure.get("what", "")))


def watch(
    inbox: Inbox, book: Book, hands: Hands, policy: Policy, every_s: float, tell: Callable[[Look], None],
    warn: Callable[[HistoloomError], None],
) -> None:  # fmt: skip
    """Look every `every_s` seconds, and at once again after work, until a person or the system ends the process.

    The first look must go well; later ones may fail of what passes, and `warn` is told.
    """
    inbox.look()
    while True:
        handed = False
        try:
            found = look_and_report(inbox, book, hands, policy)
        except (ConfigError, ResourceLost) as passing:  # the inbox unmounted for a while, a disk full for a while
            warn(passing)
        else:
            tell(found)
            handed = bool(found.handed)
        if not handed:
            time.sleep(every_s)


def look_and_report(inbox: Inbox, book: Book, hands: Hands, policy: Policy) -> Look:
    """Look once; the cohort's table and page follow what became of slides."""
    found = look(inbox, book, hands, policy, time.time())
    if found.done or found.failed or found.lost:
        write_cohort(book.out)
    return found
