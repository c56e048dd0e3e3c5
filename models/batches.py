"""From numpy images to what a network reads, in training and when it is judged."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.card import Normalisation

Better = tuple[str, Literal["lowest", "highest"]] | None
"""The validation figure that chooses the weights; None takes the last ones."""

Batch = dict[str, Tensor]
"""Examples of one step, by name; images (n, 3, y, x) uint8, normalised on the device."""


def normalise(image: Tensor, normalisation: Normalisation) -> Tensor:
    """Return uint8 (n, 3, y, x) as float, RGB / 255 less the mean, over the deviation."""
    mean, std = (
        torch.tensor(one, device=image.device)[:, None, None] for one in (normalisation.mean, normalisation.std)
    )
    return (image.float() / 255 - mean) / std


def network_input(network: nn.Module, images: NDArray[np.uint8], normalisation: Normalisation | None = None) -> Tensor:
    """Return (y, x, 3) or (n, y, x, 3) uint8 as normalised (n, 3, y, x) float on the network's device."""
    device = next(network.parameters()).device
    tensor = torch.tensor(np.ascontiguousarray(images), device=device)
    tensor = tensor.reshape(-1, *tensor.shape[-3:]).permute(0, 3, 1, 2)
    return normalise(tensor, normalisation or Normalisation()).contiguous(memory_format=torch.channels_last)
