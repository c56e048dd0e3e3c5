from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from models.errors import EvaluationError
from models.evaluation_index import match_predictions, read_index, read_predictions
from models.patches_sheets import SheetPlace
from tests.models.test_patches_sheets import write_sheets

CLASSES = ("benign", "malignant")
GOOD = "file,patient,label\na.png,p1,benign\nb.png,p2,1\n"


def index(folder: Path, text: str) -> Path:
    for name in ("a.png", "b.png"):
        (folder / name).touch()
    path = folder / "index.csv"
    path.write_text(text, encoding="utf-8")
    return path


def parquet(folder: Path, **columns: Any) -> Path:
    pq.write_table(pa.table(columns), folder / "p.parquet")
    return folder / "p.parquet"


def test_a_label_is_a_name_or_an_index(tmp_path: Path) -> None:
    rows = read_index(index(tmp_path, GOOD), tmp_path, CLASSES)
    assert (rows.files, rows.patients, rows.labels) == (("a.png", "b.png"), ("p1", "p2"), (0, 1))
    assert rows.of([1]).files == ("b.png",)


def test_patches_on_sheets_are_listed_by_their_places(tmp_path: Path) -> None:
    write_sheets(tmp_path, "1,1,2,9,301,51,1\n0,0,0,8,1,1,0\n")
    rows = read_index(tmp_path / "index.csv", tmp_path, CLASSES)
    assert rows.files == ("sheet_01.webp row 1 column 2", "sheet_00.webp row 0 column 0")
    assert rows.places[0] == SheetPlace(tmp_path / "sheet_01.webp", row=1, column=2, side_px=32)
    assert (rows.patients, rows.labels) == (("9", "8"), (1, 0))


@pytest.mark.parametrize(
    ("rows", "what"),
    [
        ("0,0,4,9,1,1,1\n", "are no raster on the sheets"),
        ("0,0,2,9,1,1,1\n0,0,2,9,1,1,1\n", "names 1 files more than once"),
        ("7,0,2,9,1,1,1\n", r"sheet_07\.webp"),
        ("0,,2,9,1,1,1\n", "without row"),
    ],
)
def test_sheets_that_do_not_fit_their_index_are_an_error_of_two_lines(tmp_path: Path, rows: str, what: str) -> None:
    write_sheets(tmp_path, rows)
    with pytest.raises(EvaluationError, match=what) as error:
        read_index(tmp_path / "index.csv", tmp_path, CLASSES)
    assert len(str(error.value).splitlines()) == 2


def test_other_columns_and_a_byte_order_mark_do_no_harm(tmp_path: Path) -> None:
    text = "\ufefffile,patient,subtype,label\na.png,p1,x,0\n"
    assert read_index(index(tmp_path, text), tmp_path, CLASSES).labels == (0,)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "no rows"),
        ("file,patient,label\n", "no rows"),
        ("file,label\na.png,0\n", "without patient"),
        ("file,patient,label\na.png,p1\n", "without label"),
        (GOOD.replace("b.png", "c.png"), "names 1 files that are not in"),
        (GOOD.replace("b.png", "a.png"), "names 1 files more than once"),
        (GOOD.replace("benign", "unsure"), "label 'unsure' is none of benign, malignant"),
        (GOOD.replace("p2,1", "p2,2"), "label '2'"),
    ],
)
def test_a_wrong_index_is_an_error_of_two_lines(tmp_path: Path, text: str, what: str) -> None:
    with pytest.raises(EvaluationError, match=what) as error:
        read_index(index(tmp_path, text), tmp_path, CLASSES)
    assert len(str(error.value).splitlines()) == 2


def test_an_absent_index_is_named(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match=r"absent\.csv: cannot be read"):
        read_index(tmp_path / "absent.csv", tmp_path, CLASSES)


def test_predictions_come_in_the_order_of_classes_and_files(tmp_path: Path) -> None:
    path = parquet(tmp_path, file=["b.png", "a.png"], p_malignant=[0.75, 0.5], p_benign=[0.25, 0.5], other=["x", "y"])
    known = read_predictions(path, CLASSES)
    assert match_predictions(path, known, ["a.png", "b.png"]).tolist() == [[0.5, 0.5], [0.25, 0.75]]
    assert read_predictions(path).classes == ("malignant", "benign")


@pytest.mark.parametrize(
    ("columns", "what"),
    [
        ({"file": ["a"], "p_benign": [1.0]}, "columns file, p_benign$"),
        ({"file": ["a"], "p_benign": [0.5], "p_other": [0.5]}, "columns file, p_benign, p_other$"),
        ({"name": ["a"], "p_benign": [0.5], "p_malignant": [0.5]}, "columns name"),
        ({"file": ["a", "a"], "p_benign": [0.5, 0.5], "p_malignant": [0.5, 0.5]}, "more than once"),
        ({"file": ["a", "b"], "p_benign": [0.5, 0.5], "p_malignant": [0.5, 0.6]}, r"row 1 \(b\) holds 0.5, 0.6"),
        ({"file": ["a"], "p_benign": [-0.5], "p_malignant": [1.5]}, "row 0"),
        ({"file": ["a"], "p_benign": [None], "p_malignant": [1.0]}, "row 0"),
        ({"file": ["a"], "p_benign": ["much"], "p_malignant": ["little"]}, "something else than numbers"),
    ],
)
def test_wrong_predictions_are_an_error_of_two_lines(tmp_path: Path, columns: dict[str, Any], what: str) -> None:
    with pytest.raises(EvaluationError) as error:
        read_predictions(parquet(tmp_path, **columns), CLASSES)
    assert re.search(what, error.value.what)
    assert "p.parquet" in error.value.what
    assert len(str(error.value).splitlines()) == 2


def test_predictions_must_be_for_exactly_the_files_of_the_index(tmp_path: Path) -> None:
    path = parquet(tmp_path, file=["a.png", "c.png"], p_benign=np.ones(2), p_malignant=np.zeros(2))
    known = read_predictions(path)
    with pytest.raises(EvaluationError, match=r"1 files that the index does not name \(c.png\)"):
        match_predictions(path, known, ["a.png"])
    with pytest.raises(EvaluationError, match=r"1 files of the index missing \(b.png\)"):
        match_predictions(path, known, ["a.png", "b.png", "c.png"])


def test_what_is_no_parquet_is_named(tmp_path: Path) -> None:
    (tmp_path / "p.parquet").write_text("file,p_benign\n", encoding="utf-8")
    for name in ("p.parquet", "absent.parquet"):
        with pytest.raises(EvaluationError, match=f"{name}: no readable Parquet"):
            read_predictions(tmp_path / name)
