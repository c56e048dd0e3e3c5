"""Introduces networks to the budget: what each takes, and what machine they will run on."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.devices import device_and_precision, uses_cuda
from flows.footprints import footprint_of
from models.machine import has_amx
from pipeline.budget import Estimate, Machine, NetworkNeed, estimate, folder_bytes, refuse_what_does_not_fit
from pipeline.budget_config import Budget, read_size, show_size
from pipeline.cluster_config import Cluster, CudaProcesses, KubernetesPods, SlurmJobs
from pipeline.schedule import Workforce, count_cores

if TYPE_CHECKING:
    from flows.networks import ChosenNetworks
    from pipeline.config import SlideConfig
    from pipeline.recipe import Recipe
    from pipeline.tissue import TissueMask

# Multiply-adds a second and core of fp32 convolutions as these networks have them, in bf16 with AMX so many times as
# many, and of an accelerator.
_CPU_MULTIPLY_ADDS_PER_S, _AMX_TIMES, _CUDA_MULTIPLY_ADDS_PER_S = 75e9, 3, 5e12

# Of a worker that somebody else started.
_UNKNOWN_THREADS, _UNKNOWN_BYTES = 8, 2**62


def needs_of(networks: ChosenNetworks, *, cuda: bool) -> Mapping[str, NetworkNeed]:
    """Network name, as the recipe has it, to what it takes."""
    needs = {}
    for card in (*networks.sr, *([networks.nuclei] if networks.nuclei else []), *networks.classifiers):
        found = footprint_of(card)
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


def machine_of(workforce: Workforce, *, cuda: bool, amx: bool = False) -> Machine:
    """Where the work will run: this machine, or one of the workers elsewhere. `amx`: whether networks use it here."""
    if workforce.elsewhere:
        return _worker_elsewhere(workforce.cluster, cuda=cuda)
    cores, cluster = count_cores(), workforce.cluster
    if cluster:
        processes, threads = _count_processes(cluster), cluster.threads
    else:
        processes = max(1, workforce.processes)
        threads = 1 if workforce.processes == 0 else max(1, cores // processes)
    speed = _speed(max(1, cores // processes), cuda=cuda) * (_AMX_TIMES if amx and not cuda else 1)
    return Machine(processes, threads, _memory_bytes(), speed, cuda)


def _worker_elsewhere(cluster: Cluster | None, *, cuda: bool) -> Machine:
    """One worker with a machine of its own, and how many there are; of those that others started nothing is known."""
    if isinstance(cluster, SlurmJobs | KubernetesPods):
        memory = read_size(_in_units_of_our_own(cluster.memory), "[cluster] memory") or _UNKNOWN_BYTES
        speed = _speed(cluster.cores, cuda=cuda)
        return Machine(1, cluster.threads, memory, speed, cuda, cluster.workers, drives=False)
    return Machine(1, _UNKNOWN_THREADS, _UNKNOWN_BYTES, _speed(_UNKNOWN_THREADS, cuda=cuda), cuda, drives=False)


def _in_units_of_our_own(size: str) -> str:
    """Kubernetes writes 16Gi, SLURM also 16G; both mean GiB."""
    return re.sub(r"(?i)^([\d.]+)\s*([KMGT])i?$", lambda found: f"{found[1]}{found[2].upper()}iB", size.strip())


def _count_processes(cluster: Cluster) -> int:
    if isinstance(cluster, CudaProcesses) and not cluster.workers:
        from models.device import count_cuda_devices

        return max(1, len(cluster.devices) or count_cuda_devices())
    return max(1, cluster.workers)


def _speed(cores: int, *, cuda: bool) -> float:
    return _CUDA_MULTIPLY_ADDS_PER_S if cuda else _CPU_MULTIPLY_ADDS_PER_S * cores


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
    cuda = uses_cuda(config, workforce) if networks.cards else False
    amx = bool(networks.cards) and device_and_precision(config, workforce)[1] == "bf16" and has_amx()
    machine = machine_of(workforce, cuda=cuda, amx=amx)
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
