"""docs/reference/outputs.md names every column of every table, and none that is not there."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from docs.site.settings import explained
from pipeline.cohort import write_cohort
from pipeline.cohort_row import CohortRow
from tests.pipeline.classified_slide import begin, classify
from tests.pipeline.finished_slide import make_slide

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "outputs.md"


def documented(table: str) -> list[str]:
    """The columns in the first table after a line that begins with the file's name."""
    after = re.split(rf"^`{re.escape(table)}` has a row", PAGE.read_text("utf-8"), flags=re.MULTILINE)[1]
    rows = re.search(r"\| column .*\n\|[-|]+\n((?:\|.*\n)+)", after)
    assert rows
    return [name for row in rows[1].splitlines() for name in re.findall(r"`([^`]+)`", row.split("|")[1])]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("results")
    make_slide(root)
    write_cohort(root)
    return root


def test_nuclei(folder: Path) -> None:
    assert sorted(documented("nuclei.parquet")) == sorted(pq.read_schema(folder / "slide" / "nuclei.parquet").names)


def test_cohort(folder: Path) -> None:
    """That table is made from the rows' own fields."""
    assert "`cohort.parquet` has a row a slide" in PAGE.read_text("utf-8")
    assert "<!-- generated: cohort columns -->" in PAGE.read_text("utf-8")
    assert sorted(explained(CohortRow) | asdict(CohortRow("a", "done"))) == sorted(
        pq.read_schema(folder / "cohort.parquet").names
    )


def test_patches(tmp_path: Path) -> None:
    recipe, workspace = begin(tmp_path, 4.0, 1)
    classify(recipe, workspace)
    told = [name for name in documented("patches.parquet") if name != "p_<class>"]
    assert len(told) == len(documented("patches.parquet")) - 1
    assert sorted([*told, "p_pale", "p_dark"]) == sorted(pq.read_schema(workspace.patches_path).names)
