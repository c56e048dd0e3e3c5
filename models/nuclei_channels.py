"""What a nuclei network's output channels are: classes, which share a softmax, and offsets, which are plain numbers.

Offsets say where in its nucleus a px lies, after HoVer-Net (Graham et al. 2019, "Simultaneous segmentation and
classification of nuclei in multi-tissue histology images"): 0 at the centroid, -1 at the topmost (leftmost) px of the
nucleus, 1 at the lowest (rightmost), 0 outside nuclei. Between nuclei that touch they jump from 1 to -1.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

CLASSES = ("background", "interior", "contour")
OFFSETS = ("offset_y", "offset_x")
"""Names of the channels that follow the classes, where a network has them."""


def count_classes(channels: Sequence[str]) -> int:
    """Return how many of the named channels are classes; offsets come after them."""
    return len([name for name in channels if name not in OFFSETS])


def true_offsets(labels: NDArray[np.int32]) -> NDArray[np.float32]:
    """Return the offsets (2, y, x) of instances (y, x), y first; of what a border cuts, those of the part that is seen.

    Each side of the centroid is scaled on its own, so that both ends of a nucleus are 1 away from its centroid.
    """
    place = np.nonzero(labels)
    _, number = np.unique(labels[place], return_inverse=True)
    offsets = np.zeros((2, *labels.shape), np.float32)
    if not number.size:
        return offsets
    area = np.bincount(number)
    for axis in (0, 1):
        from_centroid = place[axis] - (np.bincount(number, place[axis]) / area)[number]
        least, most = np.full(area.shape, -1e-6), np.full(area.shape, 1e-6)
        np.minimum.at(least, number, from_centroid)
        np.maximum.at(most, number, from_centroid)
        offsets[axis][place] = np.where(from_centroid < 0, -from_centroid / least[number], from_centroid / most[number])
    return offsets


def probabilities_and_offsets(output: Tensor, classes: int) -> Tensor:
    """Map a network's output (n, k, y, x) to the same with softmax over its first `classes` channels."""
    return torch.cat((torch.softmax(output[:, :classes], dim=1), output[:, classes:]), dim=1)
