"""What networks compute on, as far as the process that gives out the work can know it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from flows.engine_choice import choose_engine
from models.device import resolve_device
from models.engine import ENGINES, EngineName, is_installed, require
from models.shelf import read_card
from pipeline.cluster_config import KubernetesPods, SlurmJobs
from pipeline.config import SlideConfig
from pipeline.schedule import Workforce


def device_and_precision(config: SlideConfig, workforce: Workforce) -> tuple[str, str]:
    """Such as ("cuda:0", "bf16"). With workers elsewhere, what was asked for: each of them finds out what `auto` is.

    Raises
    ------
    DeviceError
        if this machine has no such device, and is the one that computes
    """
    if workforce.elsewhere:
        return config.device, config.precision
    return resolve_device(config.device, config.precision)


def uses_cuda(config: SlideConfig, workforce: Workforce) -> bool:
    """Whether networks will run on GPUs; of workers elsewhere, whether GPUs are asked for."""
    device, _ = device_and_precision(config, workforce)
    if device != "auto":
        return device.startswith("cuda")
    cluster = workforce.cluster
    if isinstance(cluster, KubernetesPods):
        return cluster.gpus > 0
    return isinstance(cluster, SlurmJobs) and any("gpu" in directive for directive in cluster.directives)


def engines(
    config: SlideConfig, workforce: Workforce, begun: Mapping[str, str] = MappingProxyType({})
) -> Callable[[str], EngineName]:
    """What says which engine computes a bundle, asked by its name or path. Of tiles of any size torch is the only one.

    With workers elsewhere it is torch, unless one is named: the faster one there is not known here. `begun` says what
    computed the first tiles of a slide that is gone on with, by the networks' names: it computes the others, too.

    Raises
    ------
    DeviceError
        from what is returned, if the engine that is named is not there
    """
    if config.engine == "auto" and workforce.elsewhere:
        return lambda _: "torch"
    device, precision = device_and_precision(config, workforce)

    def choose(bundle: str) -> EngineName:
        if config.engine != "auto":
            known = require(config.engine, device, here=not workforce.elsewhere)
            return known if read_card(bundle).field_px else "torch"
        first = next((engine for engine in ENGINES if engine == begun.get(read_card(bundle).name)), None)
        if first and device.startswith("cpu") and is_installed(first):
            return first
        return choose_engine(bundle, device, precision)

    return choose
