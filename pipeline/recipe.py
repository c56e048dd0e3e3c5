"""Which layers a slide's store gets, and which stages fill them: laid once, before any pixel is read."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from pipeline.classify import Classify
from pipeline.density import DENSITY, DENSITY_CHANNEL, DENSITY_END, MapDensity
from pipeline.durable import synced_together
from pipeline.errors import ConfigError
from pipeline.geometry import Frame
from pipeline.heatmap_summary import operating_point
from pipeline.ingest import IMAGE, TISSUE, Ingest
from pipeline.ngff import CHUNK_PX, Heatmap, Pyramid
from pipeline.nuclei_instances import NucleiParameters
from pipeline.pyramid import Halve, Method
from pipeline.qc_flags import LEGEND, QC_LABELS, CellGrid
from pipeline.qc_stage import INSPECTED_MPP, DrawFlags, Inspect
from pipeline.resolution import TOLERANCE, choose_layer, heatmap_level
from pipeline.segment import DrawNuclei, Segment
from pipeline.stage import Network
from pipeline.store import SlideStore
from pipeline.super_resolve import SuperResolve

CONSISTENCY = "qc/sr-consistency"

# Half the longest nucleus, in um: what a nucleus owned by a core may reach beyond it.
NUCLEUS_REACH_UM = 12.0

# The mask's own pixels are some um wide; a stage's reach is rounded up by this, never down.
_SLACK_UM = 16.0


@dataclass(frozen=True)
class Recipe:
    """One slide, its networks, and all that follows from them."""

    slide: str
    level0: Frame
    base: Frame
    core_px: int
    sr: Network | None = None
    nuclei: Network | None = None
    classifiers: tuple[Network, ...] = ()
    stride_share: float = 0.5
    """How far apart a classifier's patches begin, as a share of their side."""
    white: tuple[float, float, float] | None = None
    """Light through the slide's bare glass, RGB: what quality control measures from; None where there is none."""

    def __post_init__(self) -> None:
        """Raise `ConfigError` where a classifier's heat map would lie in the place of another map."""
        for network in self.classifiers:
            if _heatmap_of(network) == DENSITY:
                msg = f"{network.name}: a classifier cannot be called so, the density of nuclei lies at {DENSITY}"
                raise ConfigError(msg, "Give its bundle another name (`name` in its card.json).")

    @cached_property
    def pyramids(self) -> dict[str, Pyramid]:
        """Group to levels, of the images: '' and, where the slide is super-resolved, 'sr'."""
        # Small pictures too get levels as coarse as what a classifier reads.
        coarsest_mpp = max((network.mpp / TOLERANCE for network in self.classifiers), default=0.0)
        pyramids = {"": Pyramid.over(self.base, coarsest_mpp)}
        if self.sr:
            pyramids["sr"] = Pyramid.over(self.base.finer(self.sr.scale))
        return pyramids

    @property
    def layers(self) -> dict[str, Frame]:
        """Path to frame, of every level of every image."""
        return {
            f"{group}/{level}".lstrip("/"): frame
            for group, pyramid in self.pyramids.items()
            for level, frame in enumerate(pyramid.levels)
        }

    @property
    def heatmap_pyramid(self) -> Pyramid:
        """Heat maps lie on the pixels of a coarser level of the image."""
        levels = self.pyramids[""].levels
        return Pyramid.over(levels[heatmap_level(levels)])

    @property
    def heatmap_shrink(self) -> int:
        """Pixels of the base frame along a side of a heat map's pixel."""
        return int(2 ** heatmap_level(self.pyramids[""].levels))

    @cached_property
    def segment(self) -> Segment | None:
        """Nuclei, read from the layer nearest to what the network was trained at."""
        if not self.nuclei:
            return None
        layer = choose_layer(self.layers, self.nuclei.mpp, self.nuclei.name, self.slide)
        frame = self.layers[layer]
        stride = self.nuclei.stride_px
        halo_px = self.nuclei.halo_px + -(-frame.um_to_px(NUCLEUS_REACH_UM) // stride) * stride
        return Segment(layer, frame, self.level0, self.nuclei, self.core_px, halo_px)

    @property
    def nuclei_group(self) -> str | None:
        """Where the label image of the nuclei lies: beside the image that they were found in."""
        if not self.segment:
            return None
        return "sr/labels/nuclei" if self.segment.layer.startswith("sr/") else "labels/nuclei"

    @property
    def draw(self) -> DrawNuclei | None:
        """Draws the label image over the finest level of the image that nuclei were found in."""
        if self.segment is None or self.nuclei_group is None:
            return None
        frame = self.pyramids["sr" if self.nuclei_group.startswith("sr/") else ""].levels[0]
        longest_px = NucleiParameters.from_card(self.segment.network.postprocessing).max_diameter_px
        return DrawNuclei(self.nuclei_group, frame, self.level0, self.core_px, longest_px * self.segment.frame.mpp)

    @property
    def density(self) -> MapDensity | None:
        """Maps how close nuclei lie, on the pixels of the other heat maps."""
        return MapDensity(self.heatmap_pyramid.levels[0], self.level0, self.core_px) if self.segment else None

    @cached_property
    def classify(self) -> tuple[Classify, ...]:
        """One stage a classifier; patches that overlap by half are four for each place."""
        stages = []
        for network in self.classifiers:
            layer = choose_layer(self.layers, network.mpp, network.name, self.slide)
            stride_px = max(1, int(network.field_px * self.stride_share))
            stages.append(Classify(layer, self.layers[layer], self.level0, network, self.core_px, stride_px))
        return tuple(stages)

    @property
    def super_resolve(self) -> SuperResolve | None:
        """Super-resolution, as far around tissue as the search for nuclei and the patches that read it look."""
        if not self.sr:
            return None
        # Cores keep their size in the frame that is written, so that memory does not grow with the scale; not below a
        # chunk in the frame that is read, where the halo would outweigh them.
        core_px = max(self.core_px // self.sr.scale, CHUNK_PX)
        return SuperResolve(self.base, self.sr, core_px, self._sr_reach_um, self.heatmap_shrink)

    @property
    def ingest(self) -> Ingest:
        """The slide's pixels, as far around tissue as any later stage looks."""
        return Ingest(self.base, self.core_px, self._base_reach_um, len(self.pyramids[IMAGE].levels))

    @cached_property
    def inspect(self) -> Inspect | None:
        """Quality control, on the level nearest to 0.5 um/px, or to the slide's own where that is coarser."""
        if self.white is None:
            return None
        levels = self.pyramids[""].levels
        wanted_mpp = max(INSPECTED_MPP, self.level0.mpp)
        level = min(range(len(levels)), key=lambda index: abs(math.log(levels[index].mpp / wanted_mpp)))
        cells = CellGrid.over(self.base, least_px=16 * 2**level)
        return Inspect(str(level), levels[level], cells, cells.side_px // 2**level, self.white)

    @property
    def qc_groups(self) -> list[str]:
        """Where quality control is stored."""
        maps = [group for group in self.heatmaps if group.startswith("qc/")]
        return [*([QC_LABELS] if self.inspect else []), *maps]

    @property
    def draw_flags(self) -> tuple[DrawFlags, ...]:
        """Draw what quality control flagged, a stage a level."""
        if not self.inspect:
            return ()
        levels = self.pyramids[""].levels
        return tuple(DrawFlags(frame, level, self.core_px) for level, frame in enumerate(levels))

    @property
    def _nuclei_reach_um(self) -> float:
        return self.segment.halo_px * self.segment.frame.mpp + _SLACK_UM if self.segment else 0.0

    @property
    def _sr_reach_um(self) -> float:
        reaches = [self._patch_reach_um(stage) for stage in self.classify if stage.layer.startswith("sr/")]
        return max([self._nuclei_reach_um if self.nuclei_group == "sr/labels/nuclei" else 0.0, *reaches])

    def _patch_reach_um(self, stage: Classify) -> float:
        """How far patches that hold enough tissue may reach beyond it."""
        return stage.network.field_px * stage.frame.mpp + _SLACK_UM

    @property
    def _base_reach_um(self) -> float:
        reaches = [self._patch_reach_um(stage) for stage in self.classify]
        reaches.append(self._sr_reach_um if self.sr else self._nuclei_reach_um)
        if self.sr:
            reaches[-1] += self.sr.halo_px * self.base.mpp + _SLACK_UM
        if self.nuclei_group == "labels/nuclei":
            reaches.append(self._nuclei_reach_um)
        if self.inspect:
            reaches.append(self.inspect.reach_um + _SLACK_UM)
        return max(reaches)

    @property
    def networks(self) -> tuple[Network, ...]:
        """All networks that have a part in it."""
        return tuple(network for network in (self.sr, self.nuclei, *self.classifiers) if network)

    def refuse_what_cannot_be_fed(self) -> None:
        """Raise before any work what would else end it.

        Raises
        ------
        CannotFeed
            if no layer will have the resolution that a network wants.
        ConfigError
            if a classifier's operating point is no probability.
        """
        _ = self.segment, self.classify
        for network in self.classifiers:
            operating_point(network.postprocessing, network.name)

    def create_layers(self, store: SlideStore) -> None:
        """Make every layer, empty, for good; those that an interrupted run made stay as they are."""
        with synced_together():
            for group, pyramid in self.pyramids.items():
                store.create_image(group, self.slide, pyramid, self.core_px)
            store.create_labels("labels/tissue", self.pyramids[""], self.core_px, "uint8")
            if self.inspect:
                store.create_labels(QC_LABELS, self.pyramids[""], self.core_px, "uint8", LEGEND)
            if self.nuclei_group:
                image = "sr" if self.nuclei_group.startswith("sr/") else ""
                store.create_labels(self.nuclei_group, self.pyramids[image], self.core_px)
            for group, content in self.heatmaps.items():
                store.create_heatmap(group, self.heatmap_pyramid, content, self.core_px)

    @property
    def heatmaps(self) -> dict[str, Heatmap]:
        """Group to content, of every heat map."""
        maps = {_heatmap_of(network): Heatmap(network.classes) for network in self.classifiers}
        if self.segment:
            maps[DENSITY] = Heatmap((DENSITY_CHANNEL,), end=DENSITY_END)
        if self.sr:
            maps[CONSISTENCY] = Heatmap(("rms difference",), end=0.1)
        return maps

    def coarser(self, group: str) -> Iterator[Halve]:
        """The stages that build the pyramid of a group, finest first; levels that ingest makes are none of theirs."""
        image = "sr" if group.startswith("sr") else ""
        pyramid = self.heatmap_pyramid if group in self.heatmaps else self.pyramids[image]
        method: Method = "most" if "labels/" in group else "mean"
        reach_um: float | None = self._sr_reach_um if image == "sr" else self._base_reach_um
        if group in self.heatmaps:
            reach_um = None
        made = self.ingest.coarser if group in (IMAGE, TISSUE) else 0
        for level, frame in enumerate(pyramid.levels[1 + made :], start=1 + made):
            yield Halve(group, level, frame, self.core_px, method, reach_um)


def _heatmap_of(network: Network) -> str:
    """The group of a classifier's heat map."""
    return f"heatmaps/{network.name}"
