from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from models.errors import TrainingError
from models.pairs import CachedPairs, Pair, PairCache, PairSet, Tile, refuse_leaks, report_skipped, sort_out

PAIR_BYTES = 4 * 4 * 3 + 2 * 2 * 3


class Disk:
    """Tiles of a level each, and a record of which were decoded."""

    def __init__(self) -> None:
        self.decoded: list[int] = []

    def tile(self, level: int, patient: str = "p", name: str | None = None) -> Tile:
        def read() -> Pair:
            self.decoded.append(level)
            high, low = (np.full((side, side, 3), level, np.uint8) for side in (4, 2))
            return Pair(name or f"t{level}", high, low, patient)

        return Tile(name or f"t{level}", patient, read)


def broken(name: str) -> Tile:
    def read() -> Pair:
        raise TrainingError(f"{name}: cut short", "Copy it again.")

    return Tile(name, "p", read)


def pair_set(**patients: str) -> PairSet:
    parts = {
        part: CachedPairs([Disk().tile(0, patient) for patient in patients.get(part, "")], PairCache(0))
        for part in ("train", "validation", "test")
    }
    return PairSet(1.0, parts["train"], parts["validation"], parts["test"], train_patients=(), test_patients=())


def test_pairs_that_fit_are_decoded_once() -> None:
    disk = Disk()
    pairs = CachedPairs([disk.tile(level) for level in range(3)], PairCache(3 * PAIR_BYTES))
    for _ in range(2):
        assert [int(pair.high[0, 0, 0]) for pair in pairs] == [0, 1, 2]
    assert disk.decoded == [0, 1, 2]


def test_the_cache_keeps_to_its_bytes_and_lets_go_of_what_was_used_longest_ago() -> None:
    disk, cache = Disk(), PairCache(2 * PAIR_BYTES + 1)
    pairs = CachedPairs([disk.tile(level) for level in range(3)], cache)
    for index in (0, 1, 0, 2, 0, 1):
        assert pairs[index].name == f"t{index}"
        assert cache.bytes <= 2 * PAIR_BYTES
    assert disk.decoded == [0, 1, 2, 1]


def test_a_cache_of_nothing_reads_every_time() -> None:
    disk = Disk()
    pairs = CachedPairs([disk.tile(7)], PairCache(0))
    assert pairs[0].low[0, 0, 0] == pairs[0].low[0, 0, 0] == 7
    assert disk.decoded == [7, 7]


def test_tiles_of_one_name_are_not_mixed_up() -> None:
    disk = Disk()
    pairs = CachedPairs([disk.tile(level, name="a") for level in (1, 2)], PairCache(10**6))
    assert [int(pair.high[0, 0, 0]) for pair in pairs] == [1, 2]


def test_threads_share_a_cache() -> None:
    cache = PairCache(5 * PAIR_BYTES)
    pairs = CachedPairs([Disk().tile(level) for level in range(20)], cache)
    indices = np.random.default_rng(0).integers(20, size=400).tolist()
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda index: int(pairs[index].high[0, 0, 0]), indices))
    assert found == indices
    assert cache.bytes == 5 * PAIR_BYTES


def test_whose_pairs_they_are_is_known_without_reading() -> None:
    pairs = CachedPairs([broken("a"), broken("b")], PairCache(0))
    assert pairs.patients == {"p"}
    assert len(pairs) == 2
    assert len(pairs[1:]) == 1


def test_tiles_that_cannot_be_used_are_named_and_the_others_go_on() -> None:
    disk = Disk()
    tiles = [disk.tile(1), broken("b.png"), disk.tile(3)]
    found = sort_out(tiles, PairCache(0), lambda pair: "too bright" if pair.high.max() > 2 else None)
    assert [tile.name for tile in found.fit] == ["t1"]
    assert found.skipped == ("b.png: cut short", "t3: too bright")


def test_the_log_counts_what_is_not_used(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        report_skipped("set", (), 3)
        report_skipped("set", ("a: soft", "b: soft", "c: soft", "d: soft"), 6)
    (line,) = caplog.messages
    assert line == "set: 4 of 10 tiles are not used: a: soft; b: soft; c: soft; ..."


@pytest.mark.parametrize(("part", "other"), [("train", "test"), ("test", "train"), ("validation", "test")])
def test_a_patient_in_different_parts_of_two_sources_is_refused(part: str, other: str) -> None:
    with pytest.raises(TrainingError, match=r"share 1 patients \(b\)"):
        refuse_leaks([pair_set(**{part: "ab"}), pair_set(train="x"), pair_set(**{other: "bc"})])


def test_two_sources_may_train_on_one_patient_and_test_on_another() -> None:
    refuse_leaks([pair_set(train="ab", test="t"), pair_set(train="bc", test="t")])


def test_a_slide_may_test_on_its_own_right_half_but_no_other_source_may() -> None:
    slide = pair_set(train="s", test="s")
    refuse_leaks([slide, pair_set(train="a")])
    with pytest.raises(TrainingError, match="share 1 patients"):
        refuse_leaks([slide, pair_set(train="s")])


def test_sources_that_part_one_slide_at_one_place_do_not_mix() -> None:
    slide = replace(pair_set(train="s", test="s"), parted="s at 0.75")
    refuse_leaks([slide, slide])
    with pytest.raises(TrainingError, match="share 1 patients"):
        refuse_leaks([slide, replace(slide, parted="s at 0.5")])
