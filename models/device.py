"""Which device a word names: for training, prediction and measuring alike."""

from __future__ import annotations

import torch

from models.errors import DeviceError


def count_cuda_devices() -> int:
    """How many GPUs this process may use."""
    return torch.cuda.device_count()


def choose_device(wanted: str) -> torch.device:
    """Return the device that a word names; `auto` is the first CUDA device, else the CPU.

    Raises
    ------
    DeviceError
        if there is no such device here.
    """
    if wanted == "auto":
        wanted = "cuda:0" if torch.cuda.is_available() else "cpu"
    cure = "Take --device auto, cpu, cuda or cuda:N."
    try:
        device = torch.device(wanted)
    except RuntimeError as error:
        raise DeviceError.about(wanted, "no such kind of device", cure) from error
    if device.type == "cpu":
        return torch.device("cpu")
    if device.type != "cuda" or (device.index or 0) >= torch.cuda.device_count():
        raise DeviceError.about(wanted, f"not among the {torch.cuda.device_count()} CUDA devices here", cure)
    return torch.device("cuda", device.index or 0)
