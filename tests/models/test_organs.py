from __future__ import annotations

from pathlib import Path

import pytest

from models.errors import EvaluationError
from models.organs import organs_of, read_organs


def write(folder: Path, text: str) -> Path:
    path = folder / "organs.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_images_are_found_whatever_suffix_they_are_written_with(tmp_path: Path) -> None:
    organs = read_organs(write(tmp_path, "image,organ,more\na.png,liver,1\nTCGA.b,colon,2\n"))
    found = organs_of(["a.jpg", "TCGA.b.tif", "TCGA.b"], organs, "organs.csv")
    assert found == {"a.jpg": "liver", "TCGA.b.tif": "colon", "TCGA.b": "colon"}


def test_columns_may_have_other_names(tmp_path: Path) -> None:
    assert read_organs(write(tmp_path, "file,what\n1.png,skin\n"), ("file", "what")) == {"1": "skin"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no rows"),
        ("image,place\na,liver\n", "rows without organ"),
        ("image,organ\na,\n", "rows without organ"),
        ("image,organ\na.png,liver\na,colon\n", "a shows liver in one row and colon in another"),
    ],
)
def test_a_table_that_says_no_organ_is_refused(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(EvaluationError, match=words) as error:
        read_organs(write(tmp_path, text))
    assert len(str(error.value).splitlines()) == 2


def test_an_absent_table_and_an_absent_image_are_named(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match=r"none\.csv: cannot be read"):
        read_organs(tmp_path / "none.csv")
    with pytest.raises(EvaluationError, match=r"t\.csv: no organ for 1 images \(b\.png\)"):
        organs_of(["a.png", "b.png"], {"a": "liver"}, "t.csv")
