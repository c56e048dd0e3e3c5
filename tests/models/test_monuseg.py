from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from models.data import MONUSEG_TEST_PATIENTS, MONUSEG_VALIDATION_PATIENTS
from models.monuseg import MONUSEG_ORGANS


def test_thirty_patients_have_one_of_seven_organs() -> None:
    assert Counter(MONUSEG_ORGANS.values()) == {
        "breast": 6, "kidney": 6, "liver": 6, "prostate": 6, "bladder": 2, "colon": 2, "stomach": 2,
    }  # fmt: skip


def test_the_held_out_patients_are_of_six_organs() -> None:
    organs = [MONUSEG_ORGANS[patient] for patient in MONUSEG_TEST_PATIENTS]
    assert organs == ["breast", "kidney", "liver", "prostate", "bladder", "colon"]
    assert [MONUSEG_ORGANS[patient] for patient in MONUSEG_VALIDATION_PATIENTS] == ["breast", "kidney"]


@pytest.mark.slides
def test_every_image_of_monuseg_has_an_organ(data: Path) -> None:
    names = {path.name[:12] for path in (data / "nuclei/monuseg/images").iterdir()}
    assert names == set(MONUSEG_ORGANS)
