"""Files below a folder, and nothing else; and what is kept of them in memory."""

import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from threading import Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.view_cache import ByteCache, Once
from pipeline.view_files import LocalFiles, OutsideFolder, read_small


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    (folder / "secret").write_text("secret")
    (folder / "inside" / "slide").mkdir(parents=True)
    (folder / "inside-not").mkdir()
    (folder / "inside-not" / "secret").write_text("secret")
    (folder / "inside" / "slide" / "file").write_text("content")
    (folder / "inside" / "out").symlink_to(folder)
    (folder / "inside" / "beside").symlink_to(folder / "inside-not")
    (folder / "inside" / "in").symlink_to(folder / "inside" / "slide")
    (folder / "inside" / "loop").symlink_to("loop")
    os.mkfifo(folder / "inside" / "pipe")
    return folder


part = st.sampled_from(
    ["..", ".", "", "out", "beside", "in", "slide", "file", "secret", "loop", "pipe", "\0", "~", "%2e"]
)


@given(st.lists(part, min_size=1, max_size=6))
def test_whatever_is_asked_only_what_lies_below_is_opened(place: Path, parts: list[str]) -> None:
    files = LocalFiles(place / "inside")
    try:
        content = read_small(files, "/".join(parts))
        stamp = files.stamp("/".join(parts))
    except OutsideFolder:
        return
    assert content in {None, b"content"}
    assert (stamp is None) == (content is None)


def test_a_root_that_is_a_link_is_a_root_like_any(place: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(place / "inside")
    assert read_small(LocalFiles(tmp_path / "link"), "slide/file") == b"content"


def test_folders_that_lead_out_are_not_listed(place: Path) -> None:
    assert LocalFiles(place / "inside").folders("") == ["in", "slide"]
    assert LocalFiles(place / "inside").folders("none") == []


def test_a_file_that_changes_has_another_stamp(tmp_path: Path) -> None:
    files = LocalFiles(tmp_path)
    assert files.stamp("a") is None
    (tmp_path / "a").write_text("1")
    before = files.stamp("a")
    (tmp_path / "b").write_text("2")
    (tmp_path / "b").replace(tmp_path / "a")
    assert files.stamp("a") != before


@given(st.lists(st.tuples(st.integers(0, 8), st.integers(0, 60)), max_size=60))
def test_what_is_kept_never_outgrows_its_room(asked: list[tuple[int, int]]) -> None:
    cache = ByteCache[int](100)
    for key, size in asked:
        assert cache.get((key, size), lambda key=key, size=size: (key, size)) == key  # type: ignore[misc]
        assert cache.bytes <= 100


def test_what_was_used_last_is_kept_and_what_is_too_large_is_not() -> None:
    cache, made = ByteCache[str](10), list[str]()

    def make(name: str, size: int) -> str:
        def once() -> tuple[str, int]:
            made.append(name)
            return name, size

        return cache.get(name, once)

    for name, size in (("a", 5), ("b", 5), ("a", 5), ("c", 5), ("a", 5), ("b", 5), ("huge", 99), ("huge", 99)):
        make(name, size)
    assert made == ["a", "b", "c", "b", "huge", "huge"]


def test_what_is_too_dear_to_make_twice_is_kept_until_another_takes_its_place() -> None:
    cache = ByteCache[str](10, last_always=True)
    for name in ("huge", "small"):
        cache.get(name, partial(lambda name: (name, 99 if name == "huge" else 5), name))
        assert cache.known(name) == name
    assert cache.known("huge") is None
    assert cache.bytes == 5


def test_a_value_is_made_once_and_anew_only_where_that_failed() -> None:
    made = list[int]()

    def make() -> int:
        made.append(1)
        if len(made) == 1:
            raise OSError("the disk is away")
        return len(made)

    once = Once(make)
    with pytest.raises(OSError, match="away"):
        once()
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda _: once(), range(64))) == {2}


def test_threads_that_want_the_same_all_get_it() -> None:
    cache, seen = ByteCache[int](1000), list[int]()

    def ask() -> None:
        for number in range(500):
            seen.append(cache.get(number % 7, partial(lambda key: (key, 300), number % 7)))

    threads = [Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 4000
    assert cache.bytes <= 1000
