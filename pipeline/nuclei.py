"""From a network's probabilities to whole nuclei, each found once, the same in every tile that sees it.

The steps are the usual ones of a {background, interior, contour} network (DCAN, Chen et al. 2016): interiors are
seeds, split at necks by the maxima of their distance transform, then grown over the contour to the foreground's edge.
What is not usual is that **every step is local**: a nucleus is decided by the probabilities at most
`NucleiParameters.halo_px` away from the core that owns it, and by nothing else, so that tiles of any size give the same
nuclei to the bit. docs/explanation/nuclei.md has the argument.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy import ndimage
from skimage.segmentation import watershed

from pipeline.errors import ConfigError
from pipeline.geometry import Box, Frame
from pipeline.nuclei_measure import measure
from pipeline.nuclei_outline import fill_enclosed

Labels = NDArray[np.int32]
Keep = Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.bool_]]

INTERIOR, CONTOUR = 1, 2

_FOUR = ndimage.generate_binary_structure(2, 1)


@dataclass(frozen=True, slots=True)
class NucleiParameters:
    """How probabilities become nuclei. Lengths are in px of the network's output; the defaults suit 0.25 um/px."""

    foreground_threshold: float = 0.5
    """A pixel is nucleus when interior + contour exceeds this."""
    seed_threshold: float = 0.5
    """A pixel is a seed when interior - contour exceeds this."""
    seed_height_px: float = 1.0
    """h of the h-maxima: two humps of the distance transform are two nuclei when a saddle this far below parts them."""
    least_seed_area_px: int = 4
    """A seed of fewer pixels starts no nucleus of its own."""
    least_area_px: int = 16
    """A nucleus of fewer pixels (1 um2 at 0.25 um/px) is dropped."""
    max_diameter_px: int = 100
    """A nucleus with a longer side along y or x (25 um at 0.25 um/px) is dropped: it would not fit into a halo."""
    max_growth_px: int = 8
    """How far a nucleus extends over the contour from its seed, in steps from pixel to pixel."""

    def __post_init__(self) -> None:
        ranges = {
            "foreground_threshold": 0 < self.foreground_threshold < 1,
            "seed_threshold": 0 <= self.seed_threshold < 1,
            "seed_height_px": self.seed_height_px > 0,
            "least_seed_area_px": self.least_seed_area_px >= 1,
            "least_area_px": self.least_area_px >= 1,
            "max_diameter_px": self.max_diameter_px >= 1,
            "max_growth_px": self.max_growth_px >= 0,
        }
        wrong = [f"{name} = {getattr(self, name)!r}" for name, holds in ranges.items() if not holds]
        if wrong:
            msg = f"nuclei cannot be told apart with {', '.join(wrong)}"
            raise ConfigError(msg, "See docs/explanation/nuclei.md for what each number means.")

    @classmethod
    def from_card(cls, postprocessing: Mapping[str, Any]) -> NucleiParameters:
        """The `postprocessing` of a bundle's card; what it leaves out keeps its default, unknown keys are an error."""
        known = [field.name for field in fields(cls)]
        unknown = sorted(set(postprocessing) - set(known))
        if unknown:
            msg = f"the bundle's postprocessing has unknown keys: {', '.join(unknown)}"
            raise ConfigError(msg, f"Known are {', '.join(known)}.")
        return cls(**postprocessing)

    @property
    def halo_px(self) -> int:
        """How far around a core probabilities must be right for the nuclei it owns to be those of the whole slide."""
        return self.max_diameter_px + self.max_growth_px + (1 + _LAYER_STEPS) * _MAX_EROSION_PX + 2


_NOBODY = -1
# Clusters wider than any nucleus come apart at necks of up to twice this.
_MAX_EROSION_PX = 4
# From a pixel that one erosion takes away to the nearest that stays: 1 px, around corners 2, at rugged borders 3 steps.
_LAYER_STEPS = 3


def segment(probabilities: NDArray[np.float32], parameters: NucleiParameters) -> Labels:
    """Label the nuclei of a (y, x, 3) {background, interior, contour} map: (y, x), 0 between them, numbered from 1.

    Every label is one 4-connected region without holes. What lies inside a nucleus belongs to it.
    """
    interior, contour = probabilities[..., INTERIOR], probabilities[..., CONTOUR]
    foreground = interior + contour > parameters.foreground_threshold
    seeds = (interior - contour > parameters.seed_threshold) & foreground
    labels = _separate(_without_specks(seeds, parameters.least_seed_area_px), parameters)
    labels = _grow(labels, foreground, parameters.max_growth_px)
    return fill_enclosed(_drop_implausible(labels, parameters))


def owned_nuclei(
    probabilities: NDArray[np.float32], read: Box, core: Box, frame: Frame, level0: Frame, keep: Keep | None,
    parameters: NucleiParameters,
) -> pa.Table:  # fmt: skip
    """Rows (`nuclei_measure.SCHEMA`) of the nuclei whose centroids lie in `core`, sorted by centroid.

    Parameters
    ----------
    probabilities
        (y, x, 3) over `read`; right at least `parameters.halo_px` around `core`, or up to the frame's border.
    keep
        Which centroids, (y, x) in px of `frame`, lie where nuclei are wanted; all when None.
    """
    if probabilities.shape[:2] != read.shape:
        msg = f"probabilities of {probabilities.shape[:2]} px do not cover a read box of {read.shape} px"
        raise ValueError(msg)
    labels = segment(probabilities, parameters)
    nucleus = probabilities[..., INTERIOR] + probabilities[..., CONTOUR]
    cut = _cut_by_the_tile(labels, read, frame)

    def owned(y: NDArray[np.float64], x: NDArray[np.float64]) -> NDArray[np.bool_]:
        inside = (core.y <= y) & (y < core.y_end) & (core.x <= x) & (x < core.x_end)
        inside[cut - 1] = False
        if keep is not None:
            inside[inside] = keep(y[inside], x[inside])
        return inside

    return measure(labels, nucleus, read, frame, level0, owned)


def _cut_by_the_tile(labels: Labels, read: Box, frame: Frame) -> Labels:
    """Labels that reach a side of `read` beyond which the frame goes on; at the frame's own border all is seen."""
    sides = [
        labels[0] if read.y > 0 else None,
        labels[-1] if read.y_end < frame.height else None,
        labels[:, 0] if read.x > 0 else None,
        labels[:, -1] if read.x_end < frame.width else None,
    ]
    reached = np.unique(np.concatenate([side for side in sides if side is not None] or [labels[:0, 0]]))
    return reached[reached > 0]


def _without_specks(seeds: NDArray[np.bool_], least_area_px: int) -> Labels:
    """4-connected components of at least least_area_px, numbered from 1."""
    components, _ = ndimage.label(seeds, output=np.int32)
    return _renumber(components, np.bincount(components.ravel()) >= least_area_px)


def _renumber(labels: Labels, stays: NDArray[np.bool_]) -> Labels:
    """Only the labels that stay, numbered from 1 in their old order; `stays` has an entry a label, 0 included."""
    stays[0] = False
    return np.where(stays, np.cumsum(stays), 0).astype(np.int32)[labels]


def _separate(components: Labels, parameters: NucleiParameters) -> Labels:
    """Split components of seeds into one label a nucleus."""
    if not components.any():
        return components
    # A border of background: else a map that is all seed would have no distance at all.
    distance = ndimage.distance_transform_edt(np.pad(components > 0, 1))[1:-1, 1:-1]
    components = _take_clusters_apart(components, distance, parameters)
    return _split_at_necks(components, distance, parameters)


def _too_wide(labels: Labels, max_diameter_px: int) -> NDArray[np.bool_]:
    """Whether each label, 0 included, spans more than max_diameter_px along y or x."""
    places = ndimage.find_objects(labels)
    spans = (max(side.stop - side.start for side in place) if place else 0 for place in places)
    return np.fromiter((0, *spans), np.int64, len(places) + 1) > max_diameter_px


def _take_clusters_apart(components: Labels, distance: NDArray[np.float64], parameters: NucleiParameters) -> Labels:
    """Erode what is wider than a nucleus, pixel by pixel, and keep the pieces it falls into.

    A tile may see only a part of such a cluster, so the cluster cannot be split by looking at all of it; its pieces can
    be seen whole. Every eroded pixel goes to the piece it is nearest to, layer by layer; where none is near, to
    `_NOBODY`.
    """
    number = np.arange(1, components.size + 1, dtype=np.int32).reshape(components.shape)
    nearest_inside = number.copy().reshape(-1)
    taken_apart = components.copy()
    for depth_px in range(1, _MAX_EROSION_PX + 1):
        wide = _too_wide(taken_apart, parameters.max_diameter_px)[np.maximum(taken_apart, 0)]
        if not wide.any():
            break
        inside = wide & (distance > depth_px)
        nearest = _grow(np.where(inside, number, 0), wide & (distance > depth_px - 1), _LAYER_STEPS).reshape(-1)
        pixels = np.flatnonzero(wide)
        nearest_inside[pixels] = nearest[nearest_inside[pixels] - 1]
        pieces = _without_specks(inside, parameters.least_seed_area_px).reshape(-1)
        piece = np.where(nearest_inside[pixels] > 0, pieces[nearest_inside[pixels] - 1], 0)
        taken_apart.reshape(-1)[pixels] = np.where(piece > 0, piece + taken_apart.max(), _NOBODY)
    return taken_apart


def _split_at_necks(components: Labels, distance: NDArray[np.float64], parameters: NucleiParameters) -> Labels:
    """Watershed on the distance transform, from its h-maxima, of each component that has two or more."""
    labels = components.copy()
    count = int(components.max(initial=0))
    places = ndimage.find_objects(components)
    for label, summits in _summits(components, distance):
        place = places[label - 1]
        inside = components[place] == label
        if max(inside.shape) > parameters.max_diameter_px:
            continue  # what is still wider than a nucleus is none
        depth = np.where(inside, distance[place], 0.0)
        tops = _h_maxima(depth, summits - [side.start for side in place], parameters.seed_height_px)
        if len(tops) > 1:
            markers = np.zeros(inside.shape, np.int32)
            markers[tuple(np.transpose(tops))] = [label, *range(count + 1, count + len(tops))]
            labels[place][inside] = watershed(-depth, markers, mask=inside)[inside]
            count += len(tops) - 1
    return labels


def _summits(components: Labels, distance: NDArray[np.float64]) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Components with several summits, pixels highest among their 5 x 5 neighbours: label, and (summits, 2) as (y, x).

    Two humps with a saddle of 1 px or more between them are more than 2 px apart, as the distance changes by at most 1
    per px: smaller neighbourhoods find nothing more, and many ripples. A plateau counts by its upper left pixels.
    """
    padded = np.pad(components, 1)
    highest = (padded > 0) & np.pad(distance == ndimage.maximum_filter(distance, 5), 1)
    flat, width = padded.reshape(-1), padded.shape[1]
    pixels = np.flatnonzero(highest)
    for offset in (-width - 1, -width, -width + 1, -1):
        again = highest.reshape(-1)[pixels + offset] & (flat[pixels + offset] == flat[pixels])
        pixels = pixels[~again]
    pixels = pixels[np.argsort(flat[pixels], kind="stable")]
    places = np.stack(np.divmod(pixels, width), axis=1) - 1
    found, first, counts = np.unique(flat[pixels], return_index=True, return_counts=True)
    for several in np.flatnonzero(counts > 1):
        yield int(found[several]), places[first[several] : first[several] + counts[several]]


def _h_maxima(depth: NDArray[np.float64], summits: NDArray[np.int64], height_px: float) -> list[tuple[int, int]]:
    """The summits (y, x) that rise height_px or more above the saddle to any higher one; of equal ones, the first."""
    tops: list[tuple[int, int]] = []
    for _, y, x in sorted((-depth[y, x], y, x) for y, x in summits.tolist()):
        around, _ = ndimage.label(depth > depth[y, x] - height_px, _FOUR) if tops else (depth > 0, 1)
        if not any(around[top] == around[y, x] for top in tops):
            tops.append((y, x))
    return tops


def _grow(labels: Labels, regions: NDArray[Any], steps: int) -> Labels:
    """Extend labels, pixel by pixel along y and x, to 0-pixels of the same region; region 0 stays as it is.

    All labels advance one pixel a step; where several meet, the one above wins, then left, right, below. So a pixel
    depends on what is within `steps` of it, unlike in a priority flood.
    """
    grown = np.pad(labels, 1)
    flat, region = grown.reshape(-1), np.pad(regions, 1).reshape(-1)
    pending = np.flatnonzero((flat == 0) & (region != 0))
    for _ in range(steps):
        claim = np.zeros(pending.size, np.int32)
        for offset in (grown.shape[1], 1, -1, -grown.shape[1]):
            beside = flat[pending + offset]
            np.copyto(claim, beside, where=(beside != 0) & (region[pending + offset] == region[pending]))
        reached = claim != 0
        flat[pending[reached]] = claim[reached]
        pending = pending[~reached]
        if not reached.any():
            break
    return np.ascontiguousarray(grown[1:-1, 1:-1])


def _drop_implausible(labels: Labels, parameters: NucleiParameters) -> Labels:
    """Without nuclei that are too small or too long, and without what nobody owns."""
    labels = np.maximum(labels, 0)
    big_enough = np.bincount(labels.ravel()) >= parameters.least_area_px
    return _renumber(labels, big_enough & ~_too_wide(labels, parameters.max_diameter_px))
