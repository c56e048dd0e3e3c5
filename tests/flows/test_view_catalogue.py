"""Slides as the viewer keeps them open: few, each opened once, and never one that has taken another's place."""

from __future__ import annotations

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from flows.view_catalogue import Catalogue
from pipeline.errors import StoreError
from pipeline.view_nuclei import View
from tests.pipeline.finished_slide import Parts, make_slide

WHOLE = View(0, 0, 300, 250, 0.5)


def test_the_slide_that_is_looked_at_most_stays_open(tmp_path: Path) -> None:
    for number in range(6):
        make_slide(tmp_path, f"slide{number}", (60, 60))
    catalogue = Catalogue(tmp_path)
    first = catalogue.slide("slide0")
    for number in range(1, 6):
        catalogue.slide(f"slide{number}")
        assert catalogue.slide("slide0") is first


def test_many_threads_that_ask_for_a_slide_open_it_once(tmp_path: Path) -> None:
    make_slide(tmp_path, "slide")
    catalogue = Catalogue(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        views = list(pool.map(lambda _: catalogue.slide("slide"), range(32)))
        assert len({id(view) for view in views}) == 1
        assert len(set(pool.map(lambda view: id(view.nuclei), views))) == 1
        assert len(set(pool.map(lambda view: id(view.patches), views))) == 1


def test_results_that_take_the_place_of_others_are_seen(tmp_path: Path) -> None:
    make_slide(tmp_path, "slide")
    catalogue = Catalogue(tmp_path)
    before = catalogue.slide("slide").nuclei
    assert before is not None
    assert len(before) == 3
    shutil.rmtree(tmp_path / "slide")
    make_slide(tmp_path, "slide", parts=Parts(nuclei=((60.0, 80.0),)))
    after = catalogue.slide("slide").nuclei
    assert after is not None
    assert len(after) == 1


def test_rows_of_a_table_that_was_written_anew_are_not_told_as_those_of_the_old(tmp_path: Path) -> None:
    make_slide(tmp_path, "slide")
    begun = make_slide(tmp_path / ".partial", "grows")
    (begun / "run.json").rename(begun / "begun.json")
    (begun / "stages.json").write_text(json.dumps({}))
    for folder, name in ((tmp_path / "slide", "slide"), (begun, "grows")):
        old = Catalogue(tmp_path).slide(name).nuclei
        assert old is not None
        other = make_slide(tmp_path / f"other of {name}", name, parts=Parts(nuclei=((200.0, 250.0), (60.0, 80.0))))
        (other / "nuclei.parquet").replace(folder / "nuclei.parquet")
        with pytest.raises(StoreError, match="written anew"):
            old.row(1)
        with pytest.raises(StoreError, match="written anew"):
            old.answer(WHOLE)
