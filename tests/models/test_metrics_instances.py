"""Metrics of instances against a second implementation: the papers' formulas, instance by instance, in plain loops."""

from __future__ import annotations

import math
import tracemalloc
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from models.metrics_instances import (
    aji,
    aji_plus,
    centroids,
    count_of,
    detection,
    dice,
    overlaps,
    panoptic_quality,
    relative_count_error,
)

Labels = NDArray[np.int32]

label_images = arrays(np.int32, (8, 9), elements=st.integers(0, 4))
small_images = arrays(np.int32, (5, 6), elements=st.integers(0, 3))


def pixels(labels: Labels, number: int) -> set[tuple[int, int]]:
    return {(y, x) for y in range(labels.shape[0]) for x in range(labels.shape[1]) if labels[y, x] == number}


def instances(labels: Labels) -> list[set[tuple[int, int]]]:
    """Every instance as the set of its pixels."""
    return [pixels(labels, number) for number in sorted(set(labels.ravel().tolist()) - {0})]


def naive_dice(truth: Labels, found: Labels) -> float:
    one, other = ({(y, x) for y, x in np.argwhere(labels).tolist()} for labels in (truth, found))
    return 2 * len(one & other) / (len(one) + len(other)) if one or other else 1.0


def one_to_one(trues: int, founds: int) -> list[list[tuple[int, int]]]:
    """Every way to give each true instance a found one of its own, or none."""
    nobody = [-1] * trues
    choices = set(permutations([*range(founds), *nobody], trues))
    return [[(true, found) for true, found in enumerate(choice) if found >= 0] for choice in choices]


def naive_aji_plus(truth: Labels, found: Labels) -> list[float]:
    """AJI+ of each pairing with the largest sum of IoU; where several tie, any of them is right."""
    trues, founds = instances(truth), instances(found)
    if not trues and not founds:
        return [1.0]
    scored = []
    for pairs in one_to_one(len(trues), len(founds)):
        met = [(true, other) for true, other in pairs if trues[true] & founds[other]]
        ious = [len(trues[true] & founds[other]) / len(trues[true] | founds[other]) for true, other in met]
        union = sum(len(trues[true] | founds[other]) for true, other in met)
        union += sum(len(one) for place, one in enumerate(trues) if place not in {true for true, _ in met})
        union += sum(len(one) for place, one in enumerate(founds) if place not in {other for _, other in met})
        shared = sum(len(trues[true] & founds[other]) for true, other in met)
        scored.append((sum(ious), shared / union))
    best = max(score for score, _ in scored)
    return [value for score, value in scored if score > best - 1e-9]


def naive_f1(truth: Labels, found: Labels, radius_px: float) -> float:
    """F1 of the pairing with the most pairs, of all that there are."""
    centres = [
        [(sum(y for y, _ in one) / len(one), sum(x for _, x in one) / len(one)) for one in instances(labels)]
        for labels in (truth, found)
    ]
    if not centres[0] and not centres[1]:
        return 1.0
    matched = max(
        sum(math.dist(centres[0][true], centres[1][other]) <= radius_px for true, other in pairs)
        for pairs in one_to_one(len(centres[0]), len(centres[1]))
    )
    precision, recall = (matched / len(some) if some else 0.0 for some in (centres[1], centres[0]))
    return 2 * precision * recall / (precision + recall) if matched else 0.0


def naive_aji(truth: Labels, found: Labels) -> float:
    """The definition, instance by instance with masks."""
    used, shared, union = set(), 0, 0
    for one in np.unique(truth[truth > 0]):
        mask = truth == one
        candidates = [(float((mask & (found == other)).sum() / (mask | (found == other)).sum()), -int(other))
                      for other in np.unique(found[mask]) if other > 0]  # fmt: skip
        if not candidates:
            union += int(mask.sum())
            continue
        best = -max(candidates)[1]
        used.add(best)
        shared += int((mask & (found == best)).sum())
        union += int((mask | (found == best)).sum())
    union += sum(int((found == other).sum()) for other in np.unique(found[found > 0]) if other not in used)
    return shared / union if union else 1.0


def naive_panoptic(truth: Labels, found: Labels) -> float:
    trues, founds = np.unique(truth[truth > 0]), np.unique(found[found > 0])
    if not len(trues) + len(founds):
        return 1.0
    ious = [((truth == t) & (found == f)).sum() / ((truth == t) | (found == f)).sum() for t in trues for f in founds]
    matched = [iou for iou in ious if iou > 0.5]
    return float(sum(matched) / (len(matched) + (len(trues) + len(founds) - 2 * len(matched)) / 2))


@settings(max_examples=60)
@given(label_images, label_images)
def test_aji_is_its_definition(truth: Labels, found: Labels) -> None:
    assert aji(truth, found) == pytest.approx(naive_aji(truth, found))


@settings(max_examples=60)
@given(label_images, label_images)
def test_panoptic_quality_is_its_definition(truth: Labels, found: Labels) -> None:
    quality = panoptic_quality(truth, found)
    assert quality.pq == pytest.approx(naive_panoptic(truth, found))
    assert quality.pq == pytest.approx(quality.dq * quality.sq)


@given(label_images)
def test_instances_equal_themselves_whatever_their_numbers(truth: Labels) -> None:
    renumbered = np.array([0, 70_000, 12, 3, 999])[truth]
    assert aji(truth, renumbered) == aji_plus(truth, renumbered) == detection(truth, renumbered, 0).f1 == 1
    assert panoptic_quality(truth, renumbered).pq == 1


def test_merging_two_nuclei_costs_aji_and_detections_but_no_dice() -> None:
    truth = np.zeros((10, 20), dtype=np.int32)
    truth[2:8, 2:10], truth[2:8, 10:18] = 1, 2
    merged = (truth > 0).astype(np.int32)
    assert dice(truth > 0, merged > 0) == 1
    assert aji(truth, merged) == pytest.approx((48 + 48) / (96 + 96))
    assert panoptic_quality(truth, merged).matched == 0


def test_finding_nothing_is_worth_nothing() -> None:
    truth = np.eye(5, dtype=np.int32)
    nothing = np.zeros_like(truth)
    assert aji(truth, nothing) == dice(truth > 0, nothing > 0) == panoptic_quality(truth, nothing).pq == 0
    assert aji(nothing, nothing) == dice(nothing > 0, nothing > 0) == panoptic_quality(nothing, nothing).pq == 1


@given(label_images, label_images)
def test_dice_is_its_definition(truth: Labels, found: Labels) -> None:
    assert dice(truth > 0, found > 0) == pytest.approx(naive_dice(truth, found))


@settings(max_examples=60)
@given(small_images, small_images)
def test_one_to_one_aji_is_its_definition(truth: Labels, found: Labels) -> None:
    assert any(aji_plus(truth, found) == pytest.approx(value) for value in naive_aji_plus(truth, found))


@settings(max_examples=60)
@given(small_images, small_images, st.sampled_from([0.3, 0.8, 1.3, 2.3]))
def test_detection_is_its_definition(truth: Labels, found: Labels, radius_px: float) -> None:
    assert detection(truth, found, radius_px).f1 == pytest.approx(naive_f1(truth, found, radius_px))


@given(label_images, label_images)
def test_counts_add_up(truth: Labels, found: Labels) -> None:
    trues, founds = len(instances(truth)), len(instances(found))
    assert (count_of(truth), count_of(found)) == (trues, founds)
    assert relative_count_error(truth, found) == pytest.approx((founds - trues) / max(trues, 1))
    pairs = detection(truth, found, 3.0)
    assert (pairs.matched + pairs.missed, pairs.matched + pairs.spurious) == (trues, founds)


@given(label_images, label_images)
def test_only_equal_instances_have_a_one_to_one_index_of_one(truth: Labels, found: Labels) -> None:
    quality = panoptic_quality(truth, found)
    assert 0 <= aji_plus(truth, found) <= 1
    assert (aji_plus(truth, found) == 1) == (quality.dq == quality.sq == 1)


def test_a_nucleus_over_two_is_one_pair_of_the_one_to_one_index() -> None:
    truth = np.zeros((10, 20), dtype=np.int32)
    truth[2:8, 2:10], truth[2:8, 10:18] = 1, 2
    merged = (truth > 0).astype(np.int32)
    assert aji(truth, merged) == pytest.approx((48 + 48) / (96 + 96))
    assert aji_plus(truth, merged) == pytest.approx(48 / (96 + 48))


def test_a_pair_that_greed_would_lose_is_found() -> None:
    # The middle one is nearest to both, but each true nucleus can have a partner of its own.
    truth, found = np.zeros((1, 40), np.int32), np.zeros((1, 40), np.int32)
    truth[0, [10, 20]], found[0, [14, 24]] = (1, 2), (1, 2)
    assert detection(truth, found, 6).matched == 2
    assert detection(truth, found, 3).matched == 0


def test_a_centroid_at_the_radius_itself_counts() -> None:
    truth, found = np.zeros((3, 30), np.int32), np.zeros((3, 30), np.int32)
    truth[1, 4], found[1, 16] = 5, 9
    assert centroids(truth).tolist() == [[1.0, 4.0]]
    assert detection(truth, found, 12).f1 == 1
    assert detection(truth, found, 11.9).f1 == 0


@settings(max_examples=60)
@given(label_images, label_images)
def test_overlaps_are_the_pixels_that_instances_share(truth: Labels, found: Labels) -> None:
    pairs = overlaps(truth, found)
    trues, founds = instances(truth), instances(found)
    assert (pairs.areas_true.tolist(), pairs.areas_found.tolist()) == (list(map(len, trues)), list(map(len, founds)))
    table = {(t, f): len(one & other) for t, one in enumerate(trues) for f, other in enumerate(founds) if one & other}
    pixels_of = zip(pairs.true.tolist(), pairs.found.tolist(), pairs.shared.tolist(), strict=True)
    assert {(t, f): shared for t, f, shared in pixels_of} == table


def test_memory_follows_the_nuclei_not_their_square() -> None:
    """A table of all pairs would be 800 MB here, 22 GB with three times as many nuclei a side."""
    truth = np.kron(np.arange(1, 10_001, dtype=np.int32).reshape(100, 100), np.ones((4, 4), np.int32))
    found = np.roll(truth, 1, axis=1)
    tracemalloc.start()
    figures = aji(truth, found), aji_plus(truth, found), panoptic_quality(truth, found).pq
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert 0.5 < min(figures) <= max(figures) < 0.7
    assert peak_bytes < 40e6


def test_two_found_in_one_nucleus_are_one_hit_and_one_too_many() -> None:
    truth, found = np.ones((6, 6), np.int32), np.ones((6, 6), np.int32)
    found[:, 3:] = 2
    pairs = detection(truth, found, 12)
    assert (pairs.matched, pairs.missed, pairs.spurious) == (1, 0, 1)
    assert pairs.f1 == pytest.approx(2 / 3)


def test_the_count_error_of_an_empty_field_is_what_was_found_there() -> None:
    nothing, three = np.zeros((2, 4), np.int32), np.array([[1, 2, 3, 0], [0] * 4], np.int32)
    assert relative_count_error(nothing, three) == 3
    assert relative_count_error(three, nothing) == -1
    assert relative_count_error(nothing, nothing) == 0
