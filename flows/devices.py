"""What networks compute on, as far as the process that gives out the work can know it."""

from __future__ import annotations

from models.device import resolve_device
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
