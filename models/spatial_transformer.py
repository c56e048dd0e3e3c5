"""SpatialTransformer: a small network that looks at a patch and lays it straight before another one classifies it.

Jaderberg et al. 2015, "Spatial transformer networks", as SRGAN-STN-ResNet50 (2026) has it: what is seen is a mixture of
two samplers, share * Lanczos + (1 - share) * bilinear (its equation 8), the share learned. The share is a sigmoid,
which keeps it between 0 and 1 with a gradient everywhere. (The paper's text says the reverse of its equation, that a
large share blurs: Lanczos is the sharper.)

Where the patch is laid depends on all of it, so no tile can be laid as the whole would be: for patches only. Tissue has
no upright, and a free transformation can learn to look away from the evidence: made for mammograms.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.blocks import begin_kaiming
from models.lanczos_sampling import lanczos_grid_sample

Warp = Literal["constrained", "affine"]

LARGEST_STEP = 1.25
"""Input px from one output px to the next, at most. Neither sampler averages, so that longer steps would skip px."""
LARGEST_SHIFT = 0.15
"""Of the constrained warp, in half sides of the patch."""


class SpatialTransformer(nn.Module):
    """A patch (n, 3, y, x), normalised, to the same patch laid straight, of the same size and type.

    `constrained` turns freely, scales by 0.8 to 1.25, shifts by up to 0.15 half sides and never shears; `affine` takes
    any matrix as long as no px are skipped. Both begin as the identity.
    """

    def __init__(self, warp: Warp = "constrained") -> None:
        super().__init__()
        self.warp = warp
        self.look = nn.Sequential(
            nn.Conv2d(3, 16, 7, 2, padding=3),
            nn.ReLU(inplace=True),
            nn.Conv2d(16, 32, 5, 2, padding=2),
            nn.ReLU(inplace=True),
            nn.Conv2d(32, 64, 3, 2, padding=1),
            nn.ReLU(inplace=True),
            nn.AdaptiveAvgPool2d(4),
            nn.Flatten(),
            nn.Linear(1024, 64),
            nn.ReLU(inplace=True),
        )
        begin_kaiming(self.look)
        self.locate = nn.Linear(64, 4 if warp == "constrained" else 6)
        nn.init.zeros_(self.locate.weight)
        nn.init.zeros_(self.locate.bias)
        self.share = nn.Parameter(torch.zeros(()))
        """Before the sigmoid; both samplers begin with one half."""

    def matrices(self, image: Tensor) -> Tensor:
        """Map (n, 3, y, x) to float32 matrices (n, 2, 3): where in the input the output's places (x, y, 1) lie."""
        found = self.locate(self.look(image.to(self.locate.weight.dtype))).float()
        return constrained_matrices(found) if self.warp == "constrained" else affine_matrices(found)

    def forward(self, image: Tensor) -> Tensor:
        """Map (n, 3, y, x) to the same size; in eval mode no value leaves its image's range in its channel."""
        pixels, share = image.float(), self.share.float().sigmoid()
        laid = blend_samples(pixels, places_of(self.matrices(image), *image.shape[2:]), share)
        if not self.training:  # ringing makes no light that is not there
            laid = laid.clamp(pixels.amin((2, 3), keepdim=True), pixels.amax((2, 3), keepdim=True))
        return laid.to(image.dtype)


def places_of(matrices: Tensor, height: int, width: int) -> Tensor:
    """Return the places (n, y, x, 2) that matrices (n, 2, 3) lay an image's px at, for `grid_sample`.

    As torch's `affine_grid(align_corners=False)`, which autocast would compute in half precision: that knows a place in
    224 px to half a px.
    """
    y, x = ((2 * torch.arange(length, device=matrices.device) + 1) / length - 1 for length in (height, width))
    along_x, along_y, shift = matrices[:, None, None].unbind(-1)
    return along_x * x[:, None] + along_y * y[:, None, None] + shift


def blend_samples(image: Tensor, grid: Tensor, share: Tensor | float) -> Tensor:
    """Return share * Lanczos + (1 - share) * bilinear samples of (n, c, y, x) at places (n, h, w, 2)."""
    bilinear = functional.grid_sample(image, grid, "bilinear", "border", align_corners=False)
    return share * lanczos_grid_sample(image, grid) + (1 - share) * bilinear


def constrained_matrices(found: Tensor) -> Tensor:
    """Map (n, 4) numbers, all 0 for the identity, to matrices (n, 2, 3) that turn, and scale and shift a little."""
    angle, log_scale, *_ = found.unbind(1)
    scale = torch.exp(math.log(LARGEST_STEP) * log_scale.tanh())
    cosine, sine = scale * angle.cos(), scale * angle.sin()
    turn = torch.stack((cosine, -sine, sine, cosine), dim=1).view(-1, 2, 2)
    return torch.cat((turn, LARGEST_SHIFT * found[:, 2:, None].tanh()), dim=2)


def affine_matrices(found: Tensor) -> Tensor:
    """Map (n, 6) numbers, all 0 for the identity, to matrices (n, 2, 3) whose longest step is `LARGEST_STEP` px."""
    matrices = found.view(-1, 2, 3) + torch.eye(2, 3, dtype=found.dtype, device=found.device)
    longest = torch.linalg.matrix_norm(matrices.detach()[:, :, :2], ord=2)
    held = (LARGEST_STEP / longest).clamp(max=1)[:, None, None]
    return torch.cat((held * matrices[:, :, :2], matrices[:, :, 2:]), dim=2)
