from __future__ import annotations

import math

import numpy as np
import pytest

from models.evaluate_nuclei import (
    Judgement,
    evaluate_nuclei,
    judge_instances,
    judge_nothing,
    paired_difference,
    summarise,
    summarise_by_organ,
    totals,
)
from models.nuclei_image import LabelledImage
from tests.models.test_instances import certain, discs

LABELS = discs()
IMAGE = LabelledImage("a", np.zeros((*LABELS.shape, 3), np.uint8), LABELS, instances=True)


def judged(name: str, patient: str, organ: str, pq: float, count_error: float = 0.0) -> Judgement:
    figures = {"pq": pq, "relative_count_error": count_error, "absolute_relative_count_error": abs(count_error)}
    return Judgement(name, patient, organ, figures, {"pq": 0.0})


def test_a_perfect_nuclei_network_beats_the_empty_answer() -> None:
    network, nothing = evaluate_nuclei([IMAGE], lambda _: certain(LABELS), lambda _: LABELS)
    for name in ("dice", "aji", "aji_plus", "pq", "detection_f1"):
        assert network[name] == {"mean": 1, "sd": 0}
        assert nothing[name] == {"mean": 0, "sd": 0}
    assert network["absolute_relative_count_error_median"] == 0
    assert nothing["relative_count_error"]["mean"] == -1
    assert nothing["absolute_relative_count_error_median"] == 1


def test_images_with_masks_only_are_judged_by_dice() -> None:
    masks = LabelledImage("a", IMAGE.image, (LABELS > 0).astype(np.int32), instances=False)
    network, _ = evaluate_nuclei([masks], lambda _: certain(LABELS), lambda _: LABELS)
    assert network == {"dice": {"mean": 1.0, "sd": 0.0}, "images": 1}


def test_the_radius_of_detection_is_in_micrometres() -> None:
    shifted = np.roll(LABELS, 8, axis=0)  # px: 2 um at 0.25 um/px, 4 um at 0.5
    assert judge_instances(IMAGE, shifted, mpp=0.25)["detection_f1"] == 1
    assert judge_instances(IMAGE, shifted, mpp=0.5)["detection_f1"] == 0


def test_instances_of_another_size_are_no_answer() -> None:
    with pytest.raises(ValueError, match=r"a: instances \(2, 2\) were found where \(80, 100\)"):
        judge_instances(IMAGE, np.zeros((2, 2), np.int32))


def test_finding_nothing_where_there_is_nothing_is_right() -> None:
    empty = LabelledImage("a", IMAGE.image, np.zeros_like(LABELS), instances=True)
    row = judge_nothing(empty)
    assert {row[name] for name in ("dice", "aji", "aji_plus", "pq", "detection_f1")} == {1.0}
    assert row["relative_count_error"] == 0


def test_the_median_of_the_count_error_is_not_decided_by_one_image() -> None:
    rows = [judged("a", "p", "", 1, error).method for error in (-0.1, 0.2, 30.0)]
    assert summarise(rows)["absolute_relative_count_error_median"] == pytest.approx(0.2)


def test_intervals_are_over_patients_and_none_is_drawn_from_one() -> None:
    figures, nothing = totals(
        [judged("a", "p", "x", 0.2, 0.1), judged("b", "p", "x", 0.4, 0.1), judged("c", "q", "y", 0.9, -0.5)]
    )
    assert (figures["images"], figures["patients"]) == (3, 2)
    assert figures["pq_95"] == pytest.approx((0.3, 0.9))
    assert figures["absolute_relative_count_error_median_95"] == pytest.approx((0.1, 0.5))
    assert nothing["pq"] == {"mean": 0, "sd": 0}
    alone, _ = totals([judged("a", "p", "x", 0.2), judged("b", "p", "x", 0.4)])
    assert all(math.isnan(bound) for bound in (*alone["pq_95"], *alone["absolute_relative_count_error_median_95"]))


def test_organs_are_summed_up_by_themselves() -> None:
    found = summarise_by_organ([judged("a", "p", "liver", 0.2), judged("b", "q", "colon", 0.4)])
    assert list(found) == ["colon", "liver"]
    assert found["liver"]["totals"]["pq"]["mean"] == 0.2
    assert found["liver"]["baseline"]["images"] == 1


def test_differences_are_paired_by_image() -> None:
    ours = [judged("a", "p", "", 0.5), judged("b", "q", "", 0.9)]
    theirs = [judged("a", "p", "", 0.4), judged("b", "q", "", 0.8)]
    assert paired_difference(ours, theirs, "pq") == pytest.approx((0.1, 0.1, 0.1))
    with pytest.raises(ValueError, match="not the same images"):
        paired_difference(ours, theirs[::-1], "pq")
