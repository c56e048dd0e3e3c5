"""Where a training computes."""

from __future__ import annotations

import torch


def pick_device(wanted: str) -> torch.device:
    """Return the device that is asked for; `auto` is CUDA where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu") if wanted == "auto" else torch.device(wanted)
