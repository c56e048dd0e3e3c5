"""Nuclei for a viewer against all of them looked at one by one."""

from __future__ import annotations

import struct
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from pipeline.nuclei_table import write_geoparquet
from pipeline.view_cache import ByteCache
from pipeline.view_nuclei import MOST_OUTLINES, NucleiView, View, _Index
from tests.pipeline.finished_slide import nuclei_table

SIDE = 12.0
COUNT = 40_000


@pytest.fixture(scope="module")
def centres() -> np.ndarray:
    random = np.random.default_rng(0)
    found = random.uniform(10, 90_000, (COUNT, 2)).round(3)
    return found[np.lexsort(found.T[::-1])]


@pytest.fixture(scope="module")
def view(centres: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> NucleiView:
    """Squares over a slide of 90,000 px, in three groups of rows."""
    path = tmp_path_factory.mktemp("nuclei") / "nuclei.parquet"
    write_geoparquet([nuclei_table(centres.tolist(), SIDE)], path)
    assert pq.read_metadata(path).num_row_groups == 3
    return NucleiView(lambda: path.open("rb"), str(path))


def records(answer: bytes) -> np.ndarray:
    count = struct.unpack_from("<4I", answer)[1]
    return np.frombuffer(answer, "<u4, <f4, <f4, <f4, <u4, <u4", count, 24)


@given(st.floats(-100, 90_000), st.floats(-100, 90_000), st.floats(0, 5_000), st.floats(0, 5_000))
def test_a_view_holds_every_nucleus_that_touches_it(
    view: NucleiView, centres: np.ndarray, x: float, y: float, width: float, height: float
) -> None:
    answer = view.answer(View(x, y, x + width, y + height, 0.5))
    y_c, x_c = centres.T
    gap = np.maximum.reduce([x - x_c, x_c - x - width, y - y_c, y_c - y - height])
    rows = set(records(answer)["f0"].tolist())
    assert set((np.flatnonzero(gap <= SIDE / 2) + 1).tolist()) <= rows
    assert rows <= set((np.flatnonzero(gap <= SIDE / 2 + 0.05) + 1).tolist())


def test_points_keep_their_place_far_from_the_corner(view: NucleiView, centres: np.ndarray) -> None:
    x0, y0 = 80_000.0, 70_000.0
    answer = view.answer(View(x0, y0, x0 + 5_000, y0 + 5_000, 0.5))
    _, count, total, mode, *origin = struct.unpack_from("<4I2f", answer)
    assert (mode, origin) == (0, [x0, y0])
    assert (records(answer)["f5"] == 5).all()
    points = np.frombuffer(answer, "<f4", 2 * total, 24 + 24 * count).reshape(count, 5, 2) + np.array(origin)
    truth = centres[records(answer)["f0"] - 1][:, ::-1]
    np.testing.assert_allclose((points.min(axis=1) + points.max(axis=1)) / 2, truth, atol=2e-3)


@given(st.floats(0, 80_000), st.floats(0, 80_000), st.floats(1, 90_000), st.floats(8, 500))
def test_from_afar_every_centre_is_counted_once_in_its_cell(
    view: NucleiView, centres: np.ndarray, x: float, y: float, side: float, px: float
) -> None:
    answer = view.answer(View(x, y, x + side, y + side, px))
    _, count, _, mode, x0, y0, nx, ny, cell = struct.unpack_from("<4I2f2If", answer)
    assert mode == 1
    assert x0 <= x
    assert y0 <= y
    assert x0 + nx * cell >= x + side
    assert y0 + ny * cell >= y + side
    assert max(nx, ny) <= 512
    counts = np.frombuffer(answer, "<u4", nx * ny, 36).reshape(ny, nx)
    # in float32, as the index keeps them: a centre within 0.004 px of an edge may count on its other side
    y_c, x_c = centres.astype(np.float32).astype(float).T
    truth, _, _ = np.histogram2d(y_c, x_c, [y0 + cell * np.arange(ny + 1), x0 + cell * np.arange(nx + 1)])
    assert count == counts.sum()
    np.testing.assert_allclose(counts.sum(), truth.sum(), atol=2)
    assert np.abs(counts - truth).sum() <= 4


def test_too_many_outlines_become_counts(tmp_path: Path) -> None:
    places = [(20.0 * row + 10, 20.0 * column + 10) for row in range(150) for column in range(150)]
    path = tmp_path / "nuclei.parquet"
    write_geoparquet([nuclei_table(places)], path)
    view = NucleiView(lambda: path.open("rb"), str(path))
    assert len(view) > MOST_OUTLINES
    assert struct.unpack_from("<4I", view.answer(View(0, 0, 3000, 3000, 1.0)))[3] == 1
    assert struct.unpack_from("<4I", view.answer(View(0, 0, 2000, 3000, 1.0)))[3] == 0


def test_classes_are_told_by_name_where_the_table_has_some(tmp_path: Path) -> None:
    path = tmp_path / "nuclei.parquet"
    write_geoparquet([nuclei_table([(10.0, 10.0), (30.0, 10.0), (50.0, 10.0)])], path)
    names = pa.array(["tumour", "stroma", "tumour"])
    pq.write_table(pq.read_table(path).append_column("class", names), path)
    view = NucleiView(lambda: path.open("rb"), str(path))
    assert view.classes == ("tumour", "stroma")
    assert records(view.answer(View(0, 0, 99, 99, 1)))["f4"].tolist() == [0, 1, 0]


def test_a_nucleus_without_a_class_is_not_told_as_one_of_another(tmp_path: Path) -> None:
    path = tmp_path / "nuclei.parquet"
    write_geoparquet([nuclei_table([(10.0, 10.0), (30.0, 10.0), (50.0, 10.0)])], path)
    pq.write_table(pq.read_table(path).append_column("class", pa.array(["tumour", None, "stroma"])), path)
    view = NucleiView(lambda: path.open("rb"), str(path))
    kinds = records(view.answer(View(0, 0, 99, 99, 1)))["f4"].tolist()
    assert [view.classes[kind] for kind in kinds] == ["tumour", "not classified", "stroma"]


def test_the_index_of_a_table_is_made_once_however_many_threads_ask(centres: np.ndarray, tmp_path: Path) -> None:
    path, opened = tmp_path / "nuclei.parquet", list[int]()
    write_geoparquet([nuclei_table(centres.tolist(), SIDE)], path)

    def open_table() -> BinaryIO:
        opened.append(1)
        return path.open("rb")

    views = [NucleiView(open_table, str(path)) for _ in range(2)]  # as of a slide that was opened anew
    opened.clear()
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda turn: views[turn % 2].answer(View(0, 0, 9e4, 9e4, 64)), range(16)))
    assert len(opened) == 1
    assert len(set(answers)) == 1


def test_indices_of_many_tables_keep_to_their_room(centres: np.ndarray, tmp_path: Path) -> None:
    path, room = tmp_path / "nuclei.parquet", ByteCache[_Index](3 << 20, last_always=True)
    write_geoparquet([nuclei_table(centres.tolist(), SIDE)], path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipeline.view_nuclei._INDICES", room)
        for number in range(6):
            NucleiView(lambda: path.open("rb"), f"table {number}").answer(View(0, 0, 9e4, 9e4, 64))
            assert 29 * COUNT <= room.bytes <= 3 << 20
        assert room.known("table 5") is not None


def test_no_nuclei_are_no_error(tmp_path: Path) -> None:
    path = tmp_path / "nuclei.parquet"
    write_geoparquet([], path)
    view = NucleiView(lambda: path.open("rb"), str(path))
    assert len(view) == 0
    assert struct.unpack_from("<4I", view.answer(View(0, 0, 9, 9, 1)))[1] == 0
    assert struct.unpack_from("<4I", view.answer(View(0, 0, 9000, 9000, 100)))[1] == 0
    assert view.at(1, 1) is None
    assert view.row(1) is None


def test_of_two_nuclei_over_each_other_the_first_is_found(tmp_path: Path) -> None:
    path = tmp_path / "nuclei.parquet"
    write_geoparquet([nuclei_table([(10.0, 10.0), (14.0, 10.0)])], path)
    view = NucleiView(lambda: path.open("rb"), str(path))
    found = [view.at(10, y) for y in (5, 12, 19, 21)]
    assert [nucleus and nucleus["row"] for nucleus in found] == [1, 1, 2, None]
    assert shapely.Polygon((found[0] or {})["outline"]).area == SIDE**2
