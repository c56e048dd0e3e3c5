"""Whatever happens to an inbox, a slide is worked on once, and whole: copies, renames, crashes at any step."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from flows.inbox import Fate, Look, Order, Outcome, Policy, Sighting, look
from flows.inbox_book import Book, Entry, Seen
from pipeline.errors import ResourceLost, StoreBusy, UnreadableSlide
from pipeline.output import SlideOutput, write_json

POLICY = Policy(settle_s=30, patience_s=600, retry_after_s=(100, 1000))
LONG_S = 5000.0


def digest(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()


class Killed(BaseException):
    """SIGKILL: nothing that the process would still do happens."""


@dataclass
class Life:
    """A process that is killed after so many more steps."""

    steps_left: int | None = None

    def step(self) -> None:
        if self.steps_left is not None:
            if self.steps_left <= 0:
                raise Killed
            self.steps_left -= 1


class MortalBook(Book):
    """Writes nothing more once its process is dead."""

    def __init__(self, out: Path, life: Life) -> None:
        super().__init__(out)
        self._life = life

    def write(self, entry: Entry) -> None:
        self._life.step()
        super().write(entry)

    def see(self, inbox: str, seen: Mapping[str, Seen]) -> None:
        self._life.step()
        super().see(inbox, seen)


@dataclass
class File:
    """A copy that is under way until `written` is all of it."""

    content: str
    written: int
    changed_s: float
    version: int = 0

    @property
    def whole(self) -> bool:
        return self.written == len(self.content)


@dataclass
class MemoryInbox:
    """Slides in memory; texts that begin with `broken` are whole files that no reader opens."""

    files: dict[str, File] = field(default_factory=dict)
    life: Life = field(default_factory=Life)
    address: str = "memory"
    now_s: float = 1e9

    def look(self) -> list[Sighting]:
        return [Sighting(name, self.stamp(name) or "") for name in sorted(self.files)]

    def stamp(self, source: str) -> str | None:
        file = self.files.get(source)
        return f"{file.written} {file.version}" if file else None

    def is_whole(self, source: str) -> bool:
        self.life.step()
        return self.files[source].whole and not self.files[source].content.startswith("broken")

    def identify(self, source: str) -> str:
        self.life.step()
        file = self.files[source]
        return digest(file.content[: file.written])


@dataclass
class Crew:
    """Takes orders as a server does: it outlives who hands them over, and knows an order that comes twice."""

    inbox: MemoryInbox
    out: Path
    life: Life = field(default_factory=Life)
    at_once: int | None = None
    runs: dict[Order, Fate] = field(default_factory=dict)

    def hand(self, order: Order) -> None:
        self.life.step()
        if order not in self.runs:
            file = self.inbox.files[order.source]
            given_up = self.inbox.now_s - file.changed_s >= POLICY.patience_s
            assert given_up or (file.whole and not file.content.startswith("broken")), "touched before it was whole"
            assert digest(file.content[: file.written]) == order.identity
            running = [other for other, fate in self.runs.items() if fate is Fate.RUNNING]
            assert order.identity not in {other.identity for other in running}, "a slide runs twice at once"
            self.runs[order] = Fate.RUNNING
        self.life.step()

    def outcome(self, order: Order) -> Outcome:
        return Outcome(self.runs.get(order, Fate.UNHEARD), "as the test says")

    def end(self, order: Order, fate: Fate) -> None:
        self.runs[order] = fate
        if fate is Fate.DONE:
            output = SlideOutput(self.out, order.name)
            output.final.mkdir(parents=True, exist_ok=True)
            write_json(output.final / "run.json", {"input": {"sha256": order.identity}})

    @property
    def running(self) -> list[Order]:
        return [order for order, fate in self.runs.items() if fate is Fate.RUNNING]


NAMES = st.sampled_from([f"{name}.svs" for name in "abcde"])


class InboxMachine(RuleBasedStateMachine):
    """A folder, people who copy, rename and delete in it, looks that are killed anywhere, runs that end anyhow."""

    @initialize()
    def start(self) -> None:
        self.out = Path(tempfile.mkdtemp())
        self.inbox = MemoryInbox()
        self.crew = Crew(self.inbox, self.out)
        self.versions = 0

    def another(self) -> int:
        """A version that no file has had: times of change do not come back."""
        self.versions += 1
        return self.versions

    def teardown(self) -> None:
        if not hasattr(self, "out"):
            return
        try:
            self.everything_ends()
        finally:
            shutil.rmtree(self.out)

    @rule(name=NAMES, content=st.sampled_from(["tissue", "kidney", "lung tissue", "broken"]), part=st.integers(1, 3))
    def a_copy_begins(self, name: str, content: str, part: int) -> None:
        self.inbox.files[name] = File(content, part, self.inbox.now_s, self.another())

    @rule(name=NAMES, more=st.integers(1, 20))
    def a_copy_goes_on(self, name: str, more: int) -> None:
        if file := self.inbox.files.get(name):
            file.written, file.changed_s = min(len(file.content), file.written + more), self.inbox.now_s

    @rule(old=NAMES, new=NAMES)
    def a_file_is_renamed(self, old: str, new: str) -> None:
        if old in self.inbox.files:
            self.inbox.files[new] = self.inbox.files.pop(old)

    @rule(old=NAMES, new=NAMES)
    def a_file_is_copied(self, old: str, new: str) -> None:
        if old in self.inbox.files:
            file = self.inbox.files[old]
            self.inbox.files[new] = replace(file, version=self.another(), changed_s=self.inbox.now_s)

    @rule(name=NAMES)
    def a_file_is_deleted(self, name: str) -> None:
        self.inbox.files.pop(name, None)

    @rule(seconds=st.sampled_from([1.0, 31.0, 101.0, 601.0]))
    def time_passes(self, seconds: float) -> None:
        self.inbox.now_s += seconds

    @rule(kill_after=st.none() | st.integers(0, 12))
    def somebody_looks(self, kill_after: int | None) -> None:
        with suppress(Killed):
            self.look(Life(kill_after))

    def look(self, life: Life) -> Look:
        self.inbox.life = self.crew.life = life
        self.inbox.now_s += 1
        return look(self.inbox, MortalBook(self.out, life), self.crew, POLICY, self.inbox.now_s)

    @precondition(lambda self: self.crew.running)
    @rule(which=st.integers(0, 9), fate=st.sampled_from([Fate.DONE, Fate.FAILED, Fate.LOST]))
    def a_run_ends(self, which: int, fate: Fate) -> None:
        orders = self.crew.running
        self.crew.end(orders[which % len(orders)], fate)

    @invariant()
    def no_slide_is_run_again_but_for_lost_runs(self) -> None:
        runs = self.crew.runs if hasattr(self, "crew") else {}
        for identity in {order.identity for order in runs}:
            fates = [fate for order, fate in runs.items() if order.identity == identity]
            assert fates.count(Fate.DONE) <= 1
            assert all(fate in (Fate.LOST, Fate.FAILED) for fate in fates[:-1])
            assert len(fates) <= 1 + len(POLICY.retry_after_s)

    @invariant()
    def no_two_slides_share_a_name(self) -> None:
        named = {order.identity: order.name for order in self.crew.runs} if hasattr(self, "crew") else {}
        assert not [name for name, count in Counter(named.values()).items() if count > 1]

    def everything_ends(self) -> None:
        """Once people keep still, every slide is worked on, without anything deleted by hand."""
        for file in self.inbox.files.values():
            file.written, file.changed_s = len(file.content), self.inbox.now_s
        for _ in range(8):
            self.inbox.now_s += LONG_S
            self.look(Life())
            for order in self.crew.running:
                self.crew.end(order, Fate.DONE)
        book = Book(self.out)
        with book.locked():
            for file in self.inbox.files.values():
                entry = book.entry(digest(file.content))
                assert entry is not None
                assert entry.state in ("done", "failed")
        assert self.look(Life()) == Look()


InboxMachine.TestCase.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
TestInboxMachine = InboxMachine.TestCase


@pytest.fixture
def world(tmp_path: Path) -> tuple[MemoryInbox, Crew]:
    inbox = MemoryInbox({"a.svs": File("kidney", 6, 0.0)})
    return inbox, Crew(inbox, tmp_path)


def looks(world: tuple[MemoryInbox, Crew], *times_s: float) -> Look:
    inbox, crew = world
    found = Look()
    for now_s in times_s:
        inbox.now_s = now_s
        found = look(inbox, Book(crew.out), crew, POLICY, now_s)
    return found


def test_a_slide_is_handed_over_at_the_second_look_that_finds_it_unchanged(world: tuple[MemoryInbox, Crew]) -> None:
    assert looks(world, 0).arriving == ["a.svs"]
    assert looks(world, 29).arriving == ["a.svs"]
    assert looks(world, 30).handed == ["a"]
    assert looks(world, 60).handed == []


def test_a_lost_slide_is_tried_again_after_its_pauses_and_then_given_up(world: tuple[MemoryInbox, Crew]) -> None:
    _, crew = world
    looks(world, 0, 30)
    for lost_s, due_s in ((40, 140), (150, 1150)):
        crew.end(crew.running[0], Fate.LOST)
        assert looks(world, lost_s).lost == {"a": "as the test says"}
        assert looks(world, due_s - 1).handed == []
        assert looks(world, due_s).handed == ["a"]
    crew.end(crew.running[0], Fate.LOST)
    assert looks(world, 2000).failed == {"a": "a.svs: given up after 3 tries: as the test says"}
    assert looks(world, 1e6).handed == []
    assert (crew.out / ".partial" / "a" / "failed.json").is_file()


def test_a_failed_slide_is_tried_again_when_a_person_says_so(world: tuple[MemoryInbox, Crew]) -> None:
    _, crew = world
    looks(world, 0, 30)
    crew.end(crew.running[0], Fate.FAILED)
    assert looks(world, 40, 1e6).handed == []
    assert Book(crew.out).retry_failed() == ["a"]
    assert looks(world, 1e6 + 1).handed == ["a"]
    assert [order.attempt for order in crew.runs] == [1, 2]


def test_another_slide_of_the_same_name_gets_a_folder_of_its_own(world: tuple[MemoryInbox, Crew]) -> None:
    inbox, crew = world
    looks(world, 0, 30)
    inbox.files["a.svs"] = File("lung", 4, 50.0, version=1)
    looks(world, 50, 90)
    assert [order.name for order in crew.runs] == ["a", f"a~{digest('lung')[:8]}"]


def test_a_slide_that_was_worked_on_without_an_inbox_is_recognised(world: tuple[MemoryInbox, Crew]) -> None:
    _, crew = world
    (crew.out / "older").mkdir()
    write_json(crew.out / "older" / "run.json", {"input": {"sha256": digest("kidney")}})
    assert looks(world, 0, 30).recognised == {"a.svs": "older"}
    assert crew.runs == {}


def test_a_slide_that_is_renamed_while_it_is_worked_on_is_tried_again_under_its_new_name(
    world: tuple[MemoryInbox, Crew],
) -> None:
    inbox, crew = world
    looks(world, 0, 30)
    inbox.files["b.svs"] = inbox.files.pop("a.svs")
    crew.end(crew.running[0], Fate.FAILED)
    assert looks(world, 40).lost == {"a": "as the test says"}
    assert looks(world, 80).recognised == {"b.svs": "a"}
    assert looks(world, 140).handed == ["a"]
    assert [order.source for order in crew.runs] == ["a.svs", "b.svs"]


def test_an_order_that_is_refused_costs_no_try(world: tuple[MemoryInbox, Crew]) -> None:
    inbox, crew = world

    @dataclass
    class Offline(Crew):
        def hand(self, order: Order) -> None:
            raise ResourceLost("http://127.0.0.1:1/api: connection refused")

    looks(world, 0)
    with pytest.raises(ResourceLost):
        looks((inbox, Offline(inbox, crew.out)), 30)
    assert looks(world, 31).handed == ["a"]
    assert [order.attempt for order in crew.runs] == [1]


def test_one_process_looks_at_a_time(tmp_path: Path) -> None:
    with Book(tmp_path).locked(), pytest.raises(StoreBusy, match="another process"), Book(tmp_path).locked():
        pass


def test_what_cannot_be_read_is_told_of_and_looked_at_again(world: tuple[MemoryInbox, Crew]) -> None:
    inbox, crew = world

    @dataclass
    class Forbidden(MemoryInbox):
        def identify(self, source: str) -> str:
            raise UnreadableSlide(f"{source}: cannot be read: Permission denied")

    looks(world, 0)
    assert looks((Forbidden(inbox.files), crew), 40).unreadable == {"a.svs": "a.svs: cannot be read: Permission denied"}
    assert looks(world, 41).handed == ["a"]


def test_a_slide_that_changes_while_it_is_read_is_not_whole(world: tuple[MemoryInbox, Crew]) -> None:
    inbox, crew = world

    @dataclass
    class Growing(MemoryInbox):
        def identify(self, source: str) -> str:
            identity = super().identify(source)
            self.files[source] = File("kidney and more", 15, self.now_s, version=1)
            return identity

    looks(world, 0)
    assert looks((Growing(inbox.files), crew), 40).arriving == ["a.svs"]
    assert looks(world, 41, 80).handed == ["a"]
    assert [order.identity for order in crew.runs] == [digest("kidney and more")]
