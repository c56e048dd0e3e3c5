"""Introduces networks to the budget: what each takes, and what machine they will run on."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.budget import Estimate, Machine, NetworkNeed, estimate, folder_bytes, refuse_what_does_not_fit
from pipeline.budget_config import Budget, show_size
from pipeline.schedule import Workforce

if TYPE_CHECKING:
    from flows.networks import ChosenNetworks
    from pipeline.config import SlideConfig
    from pipeline.recipe import Recipe
    from pipeline.tissue import TissueMask

# Multiply-adds a second and core of fp32 convolutions as these networks have them, and of an accelerator.
_CPU_MULTIPLY_ADDS_PER_S, _CUDA_MULTIPLY_ADDS_PER_S = 20e9, 5e12


def needs_of(networks: ChosenNetworks, *, cuda: bool) -> Mapping[str, NetworkNeed]:
    """Network name, as the recipe has it, to what it takes."""
    from models.footprint import footprint

    needs = {}
    for card in networks.cards:
        found = footprint(card)
        at_once = found.at_once_cuda if cuda else found.at_once_cpu
        views = networks.loaders["nuclei"].views if card == networks.nuclei else 1
        work = views * found.multiply_adds_per_px
        needs[card.name] = NetworkNeed(found.weights_bytes, found.pass_bytes_per_px, work, at_once)
    cascade = networks.sr_network
    if cascade and cascade.name not in needs:  # several that follow each other: the last sees the largest picture
        parts = [needs[card.name] for card in networks.sr]
        grown = [cascade.scale**2 / (card.scale or 1) ** 2 for card in networks.sr]
        needs[cascade.name] = NetworkNeed(
            sum(part.weights_bytes for part in parts),
            max(part.pass_bytes_per_px * area for part, area in zip(parts, grown, strict=True)),
            sum(part.multiply_adds_per_px * area for part, area in zip(parts, grown, strict=True)),
        )
    return needs


def machine_of(workforce: Workforce, *, cuda: bool) -> Machine:
    """Where the work will run: this machine, or one worker elsewhere, whose memory nobody knows here."""
    cores = len(os.sched_getaffinity(0))
    memory = _memory_bytes()
    if workforce.scheduler is not None or (workforce.cluster and workforce.cluster.kind in ("slurm", "kubernetes")):
        processes, threads, memory = 1, workforce.cluster.threads if workforce.cluster else 1, 2**62
    elif workforce.cluster:
        processes, threads = max(1, workforce.cluster.workers), workforce.cluster.threads
    else:
        processes = max(1, workforce.processes)
        threads = 1 if workforce.processes == 0 else max(1, cores // processes)
    speed = _CUDA_MULTIPLY_ADDS_PER_S if cuda else _CPU_MULTIPLY_ADDS_PER_S * max(1, cores // processes)
    return Machine(processes, threads, memory, speed, cuda)


def _memory_bytes() -> int:
    """What this machine has, or the container that we are in may take."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with suppress(OSError, ValueError):  # no such file outside Linux, the word "max" where there is no limit
        memory = min(memory, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    return memory


def look_ahead(
    recipe: Recipe, tissue: TissueMask, networks: ChosenNetworks, config: SlideConfig, workforce: Workforce
) -> tuple[Estimate, Machine]:
    """What a slide will take, and where."""
    cuda = _on_cuda(config) if networks.cards else False
    machine = machine_of(workforce, cuda=cuda)
    return estimate(recipe, tissue, needs_of(networks, cuda=cuda), machine), machine


def allow(name: str, wanted: Estimate, machine: Machine, budget: Budget, partial: Path) -> int | None:
    """How many batches may run at once, None for no bound; `OverBudget` where even one would be too many."""
    held = folder_bytes(partial) if partial.is_dir() else 0
    return refuse_what_does_not_fit(name, wanted, machine, budget, partial.parents[1], held)


def in_words(wanted: Estimate, machine: Machine, at_once: int | None) -> dict[str, Any]:
    """For people and programs that watch; `at_once` is what `allow` said."""
    words: dict[str, Any] = {
        "disk": show_size(wanted.disk_bytes),
        "memory": show_size(wanted.memory_bytes(machine, at_once)),
        "minutes": round(wanted.seconds / 60, 1),
    }
    if wanted.vram_bytes:
        words["vram"] = show_size(wanted.vram_bytes)
    return words | ({"batches_at_once": at_once} if at_once else {})


def _on_cuda(config: SlideConfig) -> bool:
    from models.device import choose_device

    return choose_device(config.device).type == "cuda"
