from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import TrainingError
from models.patches_mias import list_mias, patient_of_film, read_info
from tests.models.patches_made import pgm, request_of

INFO = """INFORMATION: 1st column: MIAS database reference number.

mdb001 G CIRC B 535 425 197
mdb002 G CIRC B 522 280 69
mdb003 D NORM
mdb004 D NORM
mdb005 F CIRC M 477 133 30
mdb005 F CIRC B 500 168 26
mdb006 D CALC M *NOTE 3*
"""
CLASSES = ("normal", "benign", "malignant")


def write_mias(folder: Path, films: range = range(1, 7), info: str = INFO) -> None:
    (folder / "Info.txt").write_text(info)
    for film in films:
        values = np.full((64, 64), 10 * film, np.uint16)
        (folder / f"mdb{film:03d}.pgm").write_bytes(pgm(values, 255 if film % 2 else 1000).replace(b"255\n", b"256\n"))


def test_films_have_the_severest_of_their_labels_and_their_pairs_patient(tmp_path: Path) -> None:
    write_mias(tmp_path)
    patches = list_mias(request_of(tmp_path, CLASSES))
    severities = ["benign", "benign", "normal", "normal", "malignant", "malignant"]
    assert [one.labels[-1] for one in patches] == severities
    assert [one.labels[0] for one in patches] == ["CIRC", "CIRC", "NORM", "NORM", "CIRC", "CALC"]
    assert [one.group for one in patches] == ["mdb001", "mdb001", "mdb003", "mdb003", "mdb005", "mdb005"]
    assert {one.mpp for one in patches} == {200.0}


def test_films_of_16_bits_are_scaled_by_their_maxval(tmp_path: Path) -> None:
    write_mias(tmp_path)
    patches = list_mias(request_of(tmp_path, CLASSES))
    assert np.unique(patches[0].read()).tolist() == [10]
    assert np.unique(patches[1].read()).tolist() == [5]


@given(st.integers(1, 161))
def test_a_pair_is_a_patient_and_no_other_film_is(pair: int) -> None:
    films = [patient_of_film(f"mdb{film:03d}") for film in range(2 * pair - 1, 2 * pair + 2)]
    assert films[0] == films[1] != films[2]


def test_a_label_for_a_missing_film_is_named(tmp_path: Path) -> None:
    write_mias(tmp_path, range(1, 6))
    with pytest.raises(TrainingError, match=r"Info\.txt: labels 1 films that are not there \(mdb006\)"):
        list_mias(request_of(tmp_path, CLASSES))


def test_what_is_no_list_of_films_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"Info\.txt: cannot be read"):
        read_info(tmp_path / "Info.txt")
    (tmp_path / "Info.txt").write_text("nothing")
    with pytest.raises(TrainingError, match=r"Info\.txt: no lines such as"):
        read_info(tmp_path / "Info.txt")
    (tmp_path / "Info.txt").write_text("mdb001 G CIRC 535 425 197")
    with pytest.raises(TrainingError, match=r"Info\.txt: mdb001 has CIRC, neither B nor M"):
        read_info(tmp_path / "Info.txt")
