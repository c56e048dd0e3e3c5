from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeline.geometry import Box
from pipeline.grid import Tile
from pipeline.plan import number_batches


def tiles(count: int) -> list[Tile]:
    return [Tile(0, column, Box(0, column, 1, 1), Box(0, column, 1, 1)) for column in range(count)]


@given(st.integers(0, 300), st.integers(1, 9))
def test_every_tile_is_in_one_batch_in_order_and_none_is_too_large(count: int, most: int) -> None:
    batches = list(number_batches(tiles(count), most))
    assert [tile for batch in batches for tile in batch.tiles] == tiles(count)
    assert [batch.number for batch in batches] == list(range(len(batches)))
    assert all(1 <= len(batch.tiles) <= most for batch in batches)


@given(st.integers(1, 300), st.integers(1, 9))
def test_batches_grow_no_larger_and_the_last_is_one_tile(count: int, most: int) -> None:
    sizes = [len(batch.tiles) for batch in number_batches(tiles(count), most)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] == 1


def test_batches_are_whole_while_many_are_left() -> None:
    sizes = [len(batch.tiles) for batch in number_batches(tiles(100), 4)]
    assert sizes[:17] == [4] * 17
    assert sizes[-8:] == [1] * 8
