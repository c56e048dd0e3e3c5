"""SqueezeExcitation: one gate a channel, live from the image at hand or frozen to what was measured before.

Hu et al. 2018, "Squeeze-and-excitation networks": a channel's mean over the image, through two small layers, becomes
a gate s between 0 and 1, and `plain` multiplies by s, which can only attenuate. `improved` multiplies by 1 + s, so that
features are enhanced and never suppressed (a reading of Bing et al. 2019, whose text gives no formula).

A live gate depends on the whole image, so a network that has one gives every tile another result. Frozen gates are
constants, which makes the network local again; `models.fold` multiplies them into the convolution before.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

REDUCTION = 16


class SqueezeExcitation(nn.Module):
    """Gate the channels of (n, c, y, x); the gates are part of the state once they are frozen."""

    gate: Tensor
    """(c,): the frozen gates; there only when `is_frozen`."""

    def __init__(self, channels: int, kind: Literal["plain", "improved"], *, frozen: bool = False) -> None:
        super().__init__()
        self.kind = kind
        self.squeeze = nn.Linear(channels, max(1, channels // REDUCTION))
        self.excite = nn.Linear(self.squeeze.out_features, channels)
        if kind == "improved":  # begin close to 1: a gain of 1 + sigmoid(-2) = 1.12
            nn.init.constant_(self.excite.bias, -2.0)
        if frozen:
            self.freeze(torch.sigmoid(self.excite.bias.detach()))

    @property
    def is_frozen(self) -> bool:
        """Whether the gates are constants."""
        return "gate" in self._buffers

    def weigh(self, features: Tensor) -> Tensor:
        """Map (n, c, y, x) to the live gates (n, c), between 0 and 1."""
        return torch.sigmoid(self.excite(torch.relu(self.squeeze(features.mean((2, 3))))))

    def freeze(self, gate: Tensor) -> None:
        """Use these gates (c,) from now on, whatever the image."""
        self.register_buffer("gate", gate.clone())

    def thaw(self) -> None:
        """Weigh each image anew from now on."""
        self._buffers.pop("gate", None)

    def gain(self, gate: Tensor) -> Tensor:
        """Return the factors that gates stand for."""
        return gate if self.kind == "plain" else 1 + gate

    def forward(self, features: Tensor) -> Tensor:
        """Map (n, c, y, x) to (n, c, y, x)."""
        gate = self.gate if self.is_frozen else self.weigh(features)
        return features * self.gain(gate)[..., None, None]
