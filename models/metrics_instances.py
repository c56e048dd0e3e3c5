"""Metrics of instances: how two label images (y, x) of the same field agree. 0 is background, labels may have gaps.

Of pixels: `dice`. Of outlines: `aji`, `aji_plus`, `panoptic_quality`. Of places: `detection`. Of numbers alone:
`relative_count_error`. All are 1 (the count error 0) for two empty images.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components, maximum_bipartite_matching
from scipy.spatial import KDTree

Labels = NDArray[np.integer]


def dice(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """Return 2 |A and B| / (|A| + |B|) of two masks; 1 when both are empty."""
    total = int(one.sum()) + int(other.sum())
    return 2 * int((one & other).sum()) / total if total else 1.0


@dataclass(frozen=True, slots=True)
class Overlaps:
    """Pairs of instances that share pixels, and the areas of all instances."""

    areas_true: NDArray[np.int64]
    areas_found: NDArray[np.int64]
    true: NDArray[np.int64]
    """Index of the true instance of each pair."""
    found: NDArray[np.int64]
    shared: NDArray[np.int64]
    """Pixels that the pair has in common."""

    @property
    def union(self) -> NDArray[np.int64]:
        """Pixels of either instance of each pair."""
        return self.areas_true[self.true] + self.areas_found[self.found] - self.shared

    @property
    def iou(self) -> NDArray[np.float64]:
        """Intersection over union of each pair, above 0."""
        return self.shared / self.union


def overlaps(truth: Labels, found: Labels) -> Overlaps:
    """Return which instances of two label images share pixels."""
    true_labels, areas_true = np.unique(truth[truth != 0], return_counts=True)
    found_labels, areas_found = np.unique(found[found != 0], return_counts=True)
    both = (truth != 0) & (found != 0)
    # Ten times as fast as the inverse that np.unique gives, which sorts all pixels.
    true, found_of_pair = np.searchsorted(true_labels, truth[both]), np.searchsorted(found_labels, found[both])
    # Pairs that occur, not all that there could be: those are a billion in an image of 30,000 nuclei.
    joint, shared = np.unique(true * len(found_labels) + found_of_pair, return_counts=True)
    return Overlaps(areas_true, areas_found, *np.divmod(joint, max(len(found_labels), 1)), shared)


def aji(truth: Labels, found: Labels) -> float:
    """Return the aggregated Jaccard index.

    Kumar et al. 2017: each true instance takes the found one with the highest IoU (a found one may be taken more than
    once); AJI = sum of intersections / (sum of unions + area of found instances nobody took + area of true ones that
    met none).
    """
    pairs = overlaps(truth, found)
    order = np.lexsort((pairs.found, -pairs.iou, pairs.true))
    _, first = np.unique(pairs.true[order], return_index=True)
    return _aggregated_jaccard(pairs, order[first])


def aji_plus(truth: Labels, found: Labels) -> float:
    """Return the aggregated Jaccard index of a one-to-one pairing, AJI+.

    Graham et al. 2019 (HoVer-Net): as AJI, but the pairs are those that make the sum of IoU largest with every instance
    in one pair at most, so that a found instance over two true ones is punished once, not twice.
    """
    pairs = overlaps(truth, found)
    groups = _connected(pairs)
    chosen = [group if len(group) == 1 else group[_best_pairs(pairs, group)] for group in groups]
    return _aggregated_jaccard(pairs, np.concatenate([np.zeros(0, np.int64), *chosen]))


def _connected(pairs: Overlaps) -> list[NDArray[np.int64]]:
    """Return the places of the pairs, apart where no chain of shared pixels leads from one to the other.

    What is chosen in one group bears on no other, and a group is a few instances however many an image holds.
    """
    trues = len(pairs.areas_true)
    nodes = trues + len(pairs.areas_found)
    graph = csr_array((np.ones(len(pairs.true), bool), (pairs.true, trues + pairs.found)), shape=(nodes, nodes))
    component = connected_components(graph, directed=False)[1][pairs.true]
    order = np.argsort(component, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(component[order])) + 1)


def _best_pairs(pairs: Overlaps, group: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which pairs of a group make the sum of IoU largest, every instance in one at most."""
    trues, row = np.unique(pairs.true[group], return_inverse=True)
    founds, column = np.unique(pairs.found[group], return_inverse=True)
    iou = np.zeros((len(trues), len(founds)))
    iou[row, column] = pairs.iou[group]
    partner = np.full(len(trues), -1)
    rows, columns = linear_sum_assignment(iou, maximize=True)
    partner[rows] = columns
    # The solver pairs whoever is left over, too; only those that share pixels are in the group.
    best: NDArray[np.bool_] = partner[row] == column
    return best


def _aggregated_jaccard(pairs: Overlaps, chosen: NDArray[np.int64]) -> float:
    """Return intersections over unions of the chosen pairs, the areas of all instances in none below the line."""
    unmet, untaken = (np.ones(len(areas), dtype=bool) for areas in (pairs.areas_true, pairs.areas_found))
    unmet[pairs.true[chosen]] = False
    untaken[pairs.found[chosen]] = False
    alone = pairs.areas_true[unmet].sum() + pairs.areas_found[untaken].sum()
    union = int(pairs.union[chosen].sum() + alone)
    return int(pairs.shared[chosen].sum()) / union if union else 1.0


@dataclass(frozen=True, slots=True)
class PanopticQuality:
    """PQ = DQ x SQ, and the counts behind them."""

    pq: float
    dq: float
    """Detection quality: F1 of the instances matched at IoU > 0.5."""
    sq: float
    """Segmentation quality: mean IoU of the matched instances."""
    matched: int
    missed: int
    spurious: int


def panoptic_quality(truth: Labels, found: Labels) -> PanopticQuality:
    """Return the panoptic quality.

    Kirillov et al. 2019: instances match where IoU > 0.5, which at most one partner can have; DQ = TP / (TP + FP / 2 +
    FN / 2), SQ = mean IoU over TP.
    """
    pairs = overlaps(truth, found)
    iou = pairs.iou
    matched = int((iou > 0.5).sum())
    missed, spurious = len(pairs.areas_true) - matched, len(pairs.areas_found) - matched
    if matched + missed + spurious == 0:
        return PanopticQuality(1.0, 1.0, 1.0, 0, 0, 0)
    dq = matched / (matched + (missed + spurious) / 2)
    sq = float(iou[iou > 0.5].mean()) if matched else 0.0
    return PanopticQuality(dq * sq, dq, sq, matched, missed, spurious)


@dataclass(frozen=True, slots=True)
class Detection:
    """How many nuclei were found where there is one."""

    matched: int
    missed: int
    spurious: int

    @property
    def f1(self) -> float:
        """2 TP / (2 TP + FP + FN); 1 when there is nothing and nothing was found."""
        whole = 2 * self.matched + self.missed + self.spurious
        return 2 * self.matched / whole if whole else 1.0


def detection(truth: Labels, found: Labels, radius_px: float) -> Detection:
    """Return how many instances were found: as many pairs as there can be of centroids within a radius, one to one.

    One-to-one pairs within a radius are how detection is scored since Sirinukunwattana et al. 2016; HoVer-Net (Graham
    et al. 2019) takes 12 px at 0.25 um/px. Its code first pairs everybody at the least total distance and then drops
    the pairs too far apart, which can lose some; here the number of pairs is the largest possible (Hopcroft and Karp
    1973, on the graph of centroids within the radius).
    """
    true_yx, found_yx = centroids(truth), centroids(found)
    matched = _most_pairs(true_yx, found_yx, radius_px)
    return Detection(matched, len(true_yx) - matched, len(found_yx) - matched)


def centroids(labels: Labels) -> NDArray[np.float64]:
    """Return the mean (y, x) of each instance's pixels (n, 2), by label; pixel i has its centre at i."""
    numbers = np.unique(labels[labels != 0])
    return np.array(ndimage.center_of_mass(labels != 0, labels, numbers), dtype=np.float64).reshape(-1, 2)


def _most_pairs(one: NDArray[np.float64], other: NDArray[np.float64], radius_px: float) -> int:
    """Return the size of the largest one-to-one pairing of points (n, 2) and (m, 2) at most `radius_px` apart."""
    if not len(one) or not len(other):
        return 0
    near = KDTree(one).sparse_distance_matrix(KDTree(other), radius_px, output_type="ndarray")
    graph = csr_array((np.ones(len(near), dtype=bool), (near["i"], near["j"])), shape=(len(one), len(other)))
    return int((maximum_bipartite_matching(graph, perm_type="column") >= 0).sum())


def count_of(labels: Labels) -> int:
    """Return how many instances there are."""
    return len(np.unique(labels[labels != 0]))


def relative_count_error(truth: Labels, found: Labels) -> float:
    """Return (found - true) / true number of instances, negative where too few were found.

    Where there are none, the number found itself: an empty field is counted as if it held one.
    """
    count = count_of(truth)
    return (count_of(found) - count) / max(count, 1)
