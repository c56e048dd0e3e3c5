"""Training images as a run will show them: scanned coarser, then enlarged by a super-resolver or by interpolation.

A nuclei network that only ever saw native pixels takes the smoothness of enlarged ones for another tissue. The labels
stay those of the fine image, so it learns to outline what is no longer to be seen sharply.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import overload

from models.coarse_scan import Enlarger, enlarger_of, scan_coarser
from models.data_nuclei import NucleiSet
from models.errors import EvaluationError, TrainingError
from models.nuclei_image import LabelledImage


def see_through(sets: Sequence[NucleiSet], names: Sequence[str], device: str = "auto") -> list[NucleiSet]:
    """Return the sets with their training images as each of the ways shows them.

    An image is shown when it is first asked for, and then held in memory: of a large set a short training draws few.

    A way is a name that `models.coarse_scan.enlarger_of` takes: `bicubic-x2`, or a super-resolution bundle. Images of
    fewer px than a way's factor are left out; so are sets that nothing is left of.

    Raises
    ------
    TrainingError
        if a bundle does something else.
    BundleError
        if a name is neither, or its bundle cannot be used.
    """
    ways = [_way(name, device) for name in names]
    seen = [replace(one, train=SeenImages((image, way) for way in ways for image in _large(one, way))) for one in sets]
    return [one for one in seen if one.train]


class SeenImages(Sequence[LabelledImage]):
    """Images as ways show them, each worked out once."""

    def __init__(self, seen: Iterable[tuple[LabelledImage, Enlarger]]) -> None:
        self._seen = tuple(seen)
        self._shown: dict[int, LabelledImage] = {}

    def __len__(self) -> int:
        return len(self._seen)

    @overload
    def __getitem__(self, index: int) -> LabelledImage: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[LabelledImage]: ...
    def __getitem__(self, index: int | slice) -> LabelledImage | Sequence[LabelledImage]:
        if isinstance(index, slice):
            return [self[place] for place in range(len(self))[index]]
        place = range(len(self))[index]
        if place not in self._shown:
            image, way = self._seen[place]
            self._shown[place] = scan_coarser(image, way.factor, way.enlarge)
        return self._shown[place]


def _way(name: str, device: str) -> Enlarger:
    try:
        return enlarger_of(name, device=device)
    except EvaluationError as error:  # here it is a training's setting that is wrong
        what = f"seen_through: {error.what}"
        raise TrainingError(what, error.cure) from error


def _large(one: NucleiSet, way: Enlarger) -> Sequence[LabelledImage]:
    return [image for image in one.train if min(image.labels.shape) >= way.factor]
