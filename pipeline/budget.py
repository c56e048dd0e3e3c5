"""What a slide will take of memory, disk and time, reckoned before any work. See docs/explanation/budgets.md.

The model is linear in pixels: what each stage holds of a batch, what each layer stores of the tiles that it has, what
each network computes. Its constants were measured; the page says how far it is from what runs really took.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from pipeline.budget_config import Budget, show_size
from pipeline.errors import DiskFull, OverBudget
from pipeline.grid import TileGrid
from pipeline.ingest import tiles_near
from pipeline.qc_measure import HALO_PX
from pipeline.recipe import Recipe
from pipeline.segment import Segment
from pipeline.stage import Network
from pipeline.super_resolve import SuperResolve
from pipeline.tissue import TissueMask

# Stored bytes a pixel of the tiles that a layer has, by blosc-zstd 1 with bit shuffle: tissue, and what is around it.
_RGB_TISSUE, _RGB_AROUND = 2.1, 0.15
_SR_TISSUE, _SR_AROUND = 2.4, 0.10
_LABELS = 0.06
_HEATMAP = 1.5
# What the coarser levels of a pyramid add: 1/4 + 1/16 + ...
_PYRAMID = 4 / 3
# A nucleus as a row, as GeoJSON and as a row of the ledger, compressed; and how many a mm2 of dense tissue holds.
_NUCLEUS_BYTES, _NUCLEI_PER_MM2 = 900, 5000
_PATCH_BYTES = 60

# A process that has done nothing yet but import, with PyTorch and without.
_PROCESS_BYTES, _TORCH_BYTES = 260 * 2**20, 240 * 2**20
# What a pass takes over its live tensors: copies in the layout of a kernel, memory that the allocator keeps.
_PASS_OVERHEAD = 1.5
# Bytes a pixel of one tile while it is worked on, beside what a network takes.
_INGEST, _SEGMENT, _DRAW, _HALVE_FLOATS = 12, 110, 30, 48
# The same of quality control: of a tile that is measured; and of the process that drives the slide, for each cell that
# is judged and each pixel of the thumbnail.
_INSPECT, _JUDGE, _GLANCE = 48, 190, 80
# Bytes a pixel of the block that ingest has under way: half its pixels, the next levels of image and mask.
_BLOCK = 3
# A CUDA context with its libraries, and what the allocator keeps beside live tensors.
_CUDA_BYTES, _CUDA_OVERHEAD = 600 * 2**20, 1.3
_CUDA_PASSES = 2
"""At the same time, on one GPU: while one computes, the other's pixels travel."""

# Megapixels a second and core, of stages that run no network.
_PLAIN_MP_S = 8.0


@dataclass(frozen=True, slots=True)
class NetworkNeed:
    """What one network takes, per input pixel where it depends on pixels."""

    weights_bytes: int
    pass_bytes_per_px: float
    multiply_adds_per_px: float
    at_once: int = 1
    """Tiles or patches that one pass takes."""


@dataclass(frozen=True, slots=True)
class Machine:
    """Where the work will run."""

    processes: int
    threads: int
    """Of each process."""
    memory_bytes: int
    multiply_adds_per_s: float
    """Of one process's networks."""
    cuda: bool = False
    count: int = 1
    """So many machines like this one share the work; memory is reckoned for each."""
    drives: bool = True
    """Whether the process that drives the slide runs there too."""

    @property
    def at_once(self) -> int:
        """Batches at the same time, all processes together."""
        return self.processes * self.threads


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a slide will take."""

    disk_bytes: int
    """Results and what is beside them until they are whole."""
    process_bytes: int
    """Of memory, a process before its batches: libraries, weights."""
    batch_bytes: int
    """Of memory, a batch of the hungriest stage; on CPUs with a pass of the hungriest network, as each has its own."""
    vram_bytes: int
    """Of one GPU; 0 where none is used."""
    seconds: float
    alone_bytes: int = 0
    """Of memory, what the driving process takes for the whole slide while no batch is at work."""

    def memory_bytes(self, machine: Machine, at_once: int | None = None) -> int:
        """Of all processes together, with so many batches at the same time."""
        batches = (at_once or machine.at_once) * self.batch_bytes
        return machine.processes * self.process_bytes + max(batches, self._alone_bytes(machine))

    def most_at_once(self, machine: Machine, memory_bytes: int) -> int:
        """How many batches fit into so much memory; 0 when not one does."""
        left = memory_bytes - machine.processes * self.process_bytes
        if left < self._alone_bytes(machine):
            return 0
        return max(0, min(machine.at_once, left // self.batch_bytes))

    def _alone_bytes(self, machine: Machine) -> int:
        return self.alone_bytes if machine.drives else 0


def estimate(recipe: Recipe, tissue: TissueMask, needs: Mapping[str, NetworkNeed], machine: Machine) -> Estimate:
    """Reckon what a slide will take. `needs` has an entry for each of the recipe's networks, by name."""
    networks = [needs[network.name] for network in recipe.networks]
    passes = [pass_px * needs[network.name].pass_bytes_per_px for network, pass_px in _passes(recipe, needs)]
    weights = sum(need.weights_bytes for need in networks)
    process = _PROCESS_BYTES + (_TORCH_BYTES if networks else 0) + weights
    on_device = max(passes, default=0.0)
    return Estimate(
        disk_bytes=int(_disk(recipe, tissue)),
        process_bytes=int(process),
        batch_bytes=int(max(_batches(recipe)) + (0 if machine.cuda else _PASS_OVERHEAD * on_device)),
        vram_bytes=int(_CUDA_BYTES + weights + _CUDA_OVERHEAD * _CUDA_PASSES * on_device)
        if machine.cuda and networks
        else 0,
        seconds=_seconds(recipe, tissue, needs, machine),
        alone_bytes=_alone(recipe, tissue),
    )


def _passes(recipe: Recipe, needs: Mapping[str, NetworkNeed]) -> Iterator[tuple[Network, float]]:
    """Each network with the input pixels of one pass."""
    if recipe.super_resolve:
        stage = recipe.super_resolve
        yield stage.network, (stage.core_px + 2 * stage.network.halo_px) ** 2
    if recipe.segment:
        yield recipe.segment.network, (recipe.core_px + 2 * recipe.segment.halo_px) ** 2
    for network in recipe.classifiers:
        yield network, needs[network.name].at_once * network.field_px**2


def _alone(recipe: Recipe, tissue: TissueMask) -> int:
    """Bytes that the driving process takes: for a look at the thumbnail, later to judge all cells together."""
    if not recipe.inspect:
        return 0
    return max(_GLANCE * tissue.frame.box.area_px, _JUDGE * recipe.inspect.cells.frame.box.area_px)


def _batches(recipe: Recipe) -> Iterator[float]:
    """Bytes of one batch of each stage, in the process that does it."""
    core = recipe.core_px**2
    ratio = recipe.base.mpp / recipe.level0.mpp
    yield (
        core * (_INGEST + 3 * max(1.0, ratio) ** 2) + recipe.ingest.block_px**2 * _BLOCK
    )  # resampled from a larger one
    channels = max((len(content.channels) for content in recipe.heatmaps.values()), default=0)
    yield core * max(_INGEST * 4, _HALVE_FLOATS * channels)
    if recipe.inspect:
        yield (recipe.inspect.core_px + 2 * HALO_PX) ** 2 * _INSPECT
    if recipe.super_resolve:
        stage = recipe.super_resolve
        read = (stage.core_px + 2 * stage.network.halo_px) ** 2
        yield stage.batch_tiles * read * 3 * (2 + stage.network.scale**2) + 24 * read * stage.network.scale**2
    if recipe.segment and recipe.draw:
        read = (recipe.core_px + 2 * recipe.segment.halo_px) ** 2
        classes = max(2, len(recipe.segment.network.classes))
        yield recipe.segment.batch_tiles * read * (6 + 4 * classes) + read * (_SEGMENT + 8 * classes)
        yield core * _DRAW
    for network in recipe.classifiers:
        yield (recipe.core_px + network.field_px) ** 2 * 3 + 256 * network.field_px**2 * 6


def _disk(recipe: Recipe, tissue: TissueMask) -> float:
    """Bytes of the results and of the ledger."""
    tissue_px = tissue.area_um2 / recipe.base.mpp**2
    ingest_px = _pixels(recipe, tissue, recipe.ingest.reach_um)
    total = _PYRAMID * (_stored(tissue_px, ingest_px, _RGB_TISSUE, _RGB_AROUND) + 0.02 * ingest_px)
    finest_px, mm2 = ingest_px, tissue.area_um2 / 1e6
    if recipe.super_resolve:
        scale = recipe.super_resolve.network.scale**2
        finest_px = scale * _pixels(recipe, tissue, recipe.super_resolve.reach_um)
        total += _PYRAMID * _stored(scale * tissue_px, finest_px, _SR_TISSUE, _SR_AROUND)
    if recipe.segment:
        total += _PYRAMID * finest_px * _LABELS + mm2 * _NUCLEI_PER_MM2 * _NUCLEUS_BYTES
    channels = sum(len(content.channels) for content in recipe.heatmaps.values())
    map_px = ingest_px / recipe.heatmap_shrink**2
    total += _PYRAMID * map_px * channels * _HEATMAP
    for stage in recipe.classify:
        patches = tissue.area_um2 / (stage.stride_px * stage.frame.mpp) ** 2
        total += patches * _PATCH_BYTES * 2
    return total + 8 * 2**20  # metadata, pictures and pages


def _stored(tissue_px: float, held_px: float, on_tissue: float, around: float) -> float:
    return tissue_px * on_tissue + max(0.0, held_px - tissue_px) * around


def _pixels(recipe: Recipe, tissue: TissueMask, reach_um: float) -> float:
    """Pixels of the base frame in tiles within reach of tissue."""
    return float(sum(tile.core.area_px for tile in tiles_near(tissue, reach_um, TileGrid(recipe.base, recipe.core_px))))


def _seconds(recipe: Recipe, tissue: TissueMask, needs: Mapping[str, NetworkNeed], machine: Machine) -> float:
    """How long: networks by their arithmetic, all else by pixels, shared by the processes."""
    pixels = _PYRAMID * _pixels(recipe, tissue, recipe.ingest.reach_um)
    arithmetic = 0.0
    if recipe.inspect:
        pixels += _pixels(recipe, tissue, 0) / recipe.base.pixels_per(recipe.inspect.frame) ** 2
    if recipe.super_resolve:
        network, seen = recipe.super_resolve.network, _seen(recipe.super_resolve, tissue)
        arithmetic += seen * needs[network.name].multiply_adds_per_px
        pixels += _PYRAMID * network.scale**2 * seen
    if recipe.segment:
        seen = _seen(recipe.segment, tissue)
        arithmetic += seen * needs[recipe.segment.network.name].multiply_adds_per_px
        pixels += 3 * seen  # instances, the label image and its pyramid
    for judge in recipe.classify:
        patches = tissue.area_um2 / (judge.stride_px * judge.frame.mpp) ** 2
        arithmetic += patches * judge.network.field_px**2 * needs[judge.network.name].multiply_adds_per_px
    plain = pixels / (_PLAIN_MP_S * 1e6 * machine.at_once)
    return (plain + arithmetic / (machine.multiply_adds_per_s * machine.processes)) / machine.count


def _seen(stage: SuperResolve | Segment, tissue: TissueMask) -> float:
    """Pixels that a network reads: halos are read twice and more."""
    return float(sum(tile.read.area_px for tile in stage.tiles(tissue)))


def refuse_what_does_not_fit(
    name: str, wanted: Estimate, machine: Machine, budget: Budget, out: Path, held_bytes: int = 0
) -> int | None:
    """How many batches may run at once on a machine so that memory suffices; None for as many as it has threads.

    `held_bytes` is what an interrupted run of this slide has written already.

    Raises
    ------
    DiskFull
        with the figures, if the disk has not enough room now
    OverBudget
        with the figures, if memory would not do, or disk as far as `budget` allows
    """
    _refuse_disk(name, wanted, budget, out, held_bytes)
    allowed = min(budget.max_memory_bytes or machine.memory_bytes, machine.memory_bytes)
    fit = wanted.most_at_once(machine, allowed)
    if not fit:
        least = wanted.memory_bytes(machine, 1)
        whose = "--max-memory allows" if budget.max_memory_bytes == allowed else "this machine has"
        msg = f"{name}: wants {show_size(least)} of memory, batch by batch; {whose} {show_size(allowed)}"
        raise OverBudget(msg, _cure(wanted, machine, allowed))
    return None if fit >= machine.at_once else fit


def _cure(wanted: Estimate, machine: Machine, allowed_bytes: int) -> str:
    """What to do where memory would not do: smaller tiles make nothing smaller that is held of the whole slide."""
    without = replace(wanted, alone_bytes=0)
    if without.most_at_once(machine, allowed_bytes):
        return "Leave out quality control (--qc off), take fewer processes (--workers), or more memory."
    return "Take smaller tiles (--core-px 512 or 256), fewer processes (--workers), or more memory."


def _refuse_disk(name: str, wanted: Estimate, budget: Budget, out: Path, held_bytes: int) -> None:
    more = max(0, wanted.disk_bytes - held_bytes)
    free = shutil.disk_usage(out).free
    if more > free:
        msg = f"{name}: its results want about {show_size(more)}; {show_size(free)} are free at {out}"
        cure = (
            "Make room there or give another --out (--staging, where results go to a URL), then run the same command."
        )
        raise DiskFull(msg, cure)
    if budget.max_disk_bytes is not None:
        used = _held_bytes(out)
        if used + more > budget.max_disk_bytes:
            msg = (
                f"{name}: its results want about {show_size(more)}; {out} holds {show_size(used)} of the "
                f"{show_size(budget.max_disk_bytes)} that --max-disk allows"
            )
            raise OverBudget(msg, "Allow more, move finished slides away, or run this one into another --out.")


def _held_bytes(out: Path) -> int:
    """Bytes of a folder of results; whole results, which do not change any more, are counted once a process."""
    total = 0
    for entry in out.iterdir():
        mark = entry / "run.json"
        if mark.is_file():
            total += _bytes_of_whole(entry, mark.stat().st_mtime_ns)
        else:
            total += folder_bytes(entry) if entry.is_dir() else entry.stat().st_size
    return total


@lru_cache(maxsize=65_536)
def _bytes_of_whole(folder: Path, _marked_ns: int) -> int:
    return folder_bytes(folder)


def folder_bytes(folder: Path) -> int:
    """Bytes of all files in a folder, however deep; of those that vanish meanwhile, none."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except OSError:
            continue
    return total
