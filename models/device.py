"""Which device and precision two words name: for training, prediction and measuring alike.

torch is imported where it has to be asked: who plans a run on a machine without GPUs does not wait for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from models.errors import DeviceError
from models.machine import computes_bf16, lacks_gpus

if TYPE_CHECKING:
    import torch

Precision = Literal["fp32", "bf16"]


def count_cuda_devices() -> int:
    """How many GPUs this process may use."""
    import torch

    return torch.cuda.device_count()


def choose_device(wanted: str) -> torch.device:
    """Return the device that a word names; `auto` is the first CUDA device, else the CPU.

    Raises
    ------
    DeviceError
        if there is no such device here.
    """
    import torch

    if wanted == "auto":
        wanted = "cuda:0" if _has_cuda() else "cpu"
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


def choose_precision(wanted: str, device: str) -> Precision:
    """Return `fp32` or `bf16`; `auto` is bf16 where the device has instructions for it, and does not imitate it.

    Raises
    ------
    DeviceError
        if there is no such precision.
    """
    if wanted == "auto":
        return "bf16" if _computes_bf16(device) else "fp32"
    if wanted in ("fp32", "bf16"):
        return "bf16" if wanted == "bf16" else "fp32"
    raise DeviceError.about(wanted, "no such precision", "Take --precision auto, fp32 or bf16.")


def resolve_device(device: str = "auto", precision: str = "auto") -> tuple[str, Precision]:
    """Return what `models.predict.load_predictor` makes of these two words here, such as ("cuda:0", "bf16")."""
    if device == "auto" and not _has_cuda():
        device = "cpu"
    place = device if device == "cpu" else str(choose_device(device))
    return place, choose_precision(precision, place)


def _has_cuda() -> bool:
    if lacks_gpus():
        return False
    import torch

    return torch.cuda.is_available()


def _computes_bf16(device: str) -> bool:
    if device.startswith("cuda"):
        import torch

        with torch.cuda.device(device):
            return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    known = computes_bf16()
    return cpu_computes_bf16() if known is None else known


def cpu_computes_bf16() -> bool:
    """What torch says of the CPU."""
    import torch

    # oneDNN says yes to any AVX-512, where it imitates bf16 slowly
    native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return bool(native and torch.ops.mkldnn._is_mkldnn_bf16_supported())
