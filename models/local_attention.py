"""Self-attention over an image's features, in forms that a slide's tiles can and cannot be computed with.

Zhang et al. 2019, "Self-attention generative adversarial networks" (SAGAN): with queries q, keys k and values v from
1 x 1 convolutions, position i becomes x_i + gamma * sum_j softmax_j(q_i . k_j) v_j, without the usual 1 / sqrt(d), and
gamma begins at 0. What differs is which j a position i looks at:

- `GlobalAttention`: all of the image. Every tile would give another result.
- `WindowAttention`: those in the same square of a fixed grid. Exact tile-wise where tiles lie on the grid.
- `TileAttention`: those in each of the four squares, overlapping by half, that hold i; the four results are blended by
  raised cosines that sum to 1, so that no grid shows. Exact tile-wise on a grid of half a square.
- `AnchorAttention`: a thumbnail of the features; of this image, or a stored one, which makes it exact tile-wise.

Grids begin at the image's first corner. A square that the image's border cuts holds what lies inside. The matrix of all
pairs is never formed: fused attention (Dao et al. 2022, "FlashAttention") walks through it block by block.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from math import isqrt
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

Attention = Literal["window", "tile", "anchor", "global"]

QUERY_REDUCTION = 8


class SelfAttention(nn.Module, ABC):
    """What all forms share: (n, c, y, x) to the same shape; the identity as long as gamma is 0."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.query = nn.Conv2d(channels, max(1, channels // QUERY_REDUCTION), 1)
        self.key = nn.Conv2d(channels, self.query.out_channels, 1)
        self.value = nn.Conv2d(channels, channels, 1)
        self.gamma = nn.Parameter(torch.zeros(1))

    @property
    def stride_px(self) -> int:
        """What corners of tiles lie on a multiple of."""
        return 1

    def forward(self, features: Tensor) -> Tensor:
        """Map (n, c, y, x) to (n, c, y, x)."""
        return features + self.gamma * self.attended(features)

    @abstractmethod
    def attended(self, features: Tensor) -> Tensor:
        """Map (n, c, y, x) to the weighted means of values (n, c, y, x)."""


class GlobalAttention(SelfAttention):
    """Every position looks at all of the image: time grows with the square of its area, memory with the area."""

    def attended(self, features: Tensor) -> Tensor:
        """Map (n, c, y, x) to (n, c, y, x)."""
        return _attend(self.query(features), self.key(features), self.value(features))


class WindowAttention(SelfAttention):
    """Every position looks at its own square of a fixed grid."""

    def __init__(self, channels: int, window_px: int) -> None:
        super().__init__(channels)
        self.window_px = window_px

    @property
    def stride_px(self) -> int:
        """The side of a window."""
        return self.window_px

    def attended(self, features: Tensor) -> Tensor:
        """Map (n, c, y, x) to (n, c, y, x)."""
        return _attend_in_windows(
            self.query(features), self.key(features), self.value(features), self.window_px, (0, 0)
        )


class TileAttention(WindowAttention):
    """Every position looks at the four overlapping squares that hold it, most at the one whose middle is nearest."""

    @property
    def stride_px(self) -> int:
        """Half the side of a window: one grid's windows begin where another's have their middle."""
        return self.window_px // 2

    def attended(self, features: Tensor) -> Tensor:
        """Map (n, c, y, x) to (n, c, y, x)."""
        query, key, value = self.query(features), self.key(features), self.value(features)
        blended = torch.zeros_like(value)
        for shift_y in (0, self.stride_px):
            for shift_x in (0, self.stride_px):
                attended = _attend_in_windows(query, key, value, self.window_px, (shift_y, shift_x))
                blended = blended + attended * self._weight(attended, 2, shift_y) * self._weight(attended, 3, shift_x)
        return blended

    def _weight(self, attended: Tensor, axis: int, shift: int) -> Tensor:
        """Return the raised cosine along one axis: close to 0 where the grid's windows meet, to 1 in their middle.

        Drawn for one window and repeated, so that a px has the same weight, to the last bit, however far it lies.
        """
        middles = torch.arange(self.window_px, dtype=torch.float64) + 0.5
        ramp = torch.sin(torch.pi * middles / self.window_px).square().to(attended)
        places = (torch.arange(attended.shape[axis], device=attended.device) - shift) % self.window_px
        return ramp[places].view([-1 if one == axis else 1 for one in range(4)])


class AnchorAttention(SelfAttention):
    """Every position looks at a thumbnail of the features, live or fixed: time grows with the area only."""

    anchors: Tensor
    """(c, side, side): the fixed thumbnail; there only when `is_fixed`."""

    def __init__(self, channels: int, side: int, *, fixed: bool = False) -> None:
        super().__init__(channels)
        self.side = side
        if fixed:
            self.register_buffer("anchors", torch.zeros(channels, side, side))

    @property
    def is_fixed(self) -> bool:
        """Whether the thumbnail is stored, part of the state."""
        return "anchors" in self._buffers

    def fix(self, features: Tensor) -> None:
        """Store the thumbnail of these features (n, c, y, x), laid out as one mosaic, and use it from now on."""
        mosaic = _mosaic(features)
        self.register_buffer("anchors", functional.adaptive_avg_pool2d(mosaic, self.side).detach())

    def attended(self, features: Tensor) -> Tensor:
        """Map (n, c, y, x) to (n, c, y, x)."""
        anchors = self.anchors.expand(len(features), -1, -1, -1) if self.is_fixed else self._thumbnail(features)
        return _attend(self.query(features), self.key(anchors), self.value(anchors))

    def _thumbnail(self, features: Tensor) -> Tensor:
        """Pool (n, c, y, x) to at most `side` a side; a smaller image is its own thumbnail."""
        height, width = (min(self.side, length) for length in features.shape[2:])
        return functional.adaptive_avg_pool2d(features, (height, width))


def build_attention(
    mode: Attention, channels: int, *, window_px: int, anchor_side: int, fixed_anchors: bool
) -> SelfAttention:
    """Return the attention of a mode; `window_px` (even) and the anchors' side and state matter where it has them."""
    kinds: dict[Attention, Callable[[], SelfAttention]] = {
        "global": lambda: GlobalAttention(channels),
        "window": lambda: WindowAttention(channels, window_px),
        "tile": lambda: TileAttention(channels, window_px),
        "anchor": lambda: AnchorAttention(channels, anchor_side, fixed=fixed_anchors),
    }
    return kinds[mode]()


class _Span(NamedTuple):
    """Neighbouring windows of one side along one axis: px from `start` up to `stop`."""

    start: int
    stop: int
    window_px: int


def _spans(length: int, window_px: int, shift: int) -> list[_Span]:
    """Cut an axis where a grid, shifted by less than a window, cuts it: part of a window, whole ones, the rest."""
    first = min(shift, length)
    last = first + (length - first) // window_px * window_px
    spans = (_Span(0, first, first), _Span(first, last, window_px), _Span(last, length, length - last))
    return [span for span in spans if span.stop > span.start]


def _attend_in_windows(query: Tensor, key: Tensor, value: Tensor, window_px: int, shift: tuple[int, int]) -> Tensor:
    """Attend inside each window of a grid shifted by (y, x) px: q and k (n, d, y, x), v (n, c, y, x), to (n, c, y, x).

    Windows of one size go together. The border's smaller ones go apart, so that nothing is padded and nothing masked.
    """
    rows = []
    for y in _spans(value.shape[2], window_px, shift[0]):
        row = []
        for x in _spans(value.shape[3], window_px, shift[1]):
            parts = (one[:, :, y.start : y.stop, x.start : x.stop] for one in (query, key, value))
            attended = _attend(*(_to_windows(part, y.window_px, x.window_px) for part in parts))
            row.append(_from_windows(attended, len(value), (x.stop - x.start) // x.window_px))
        rows.append(torch.cat(row, dim=3))
    return torch.cat(rows, dim=2)


def _to_windows(features: Tensor, height: int, width: int) -> Tensor:
    """Cut (n, c, y, x) into its windows, (n * windows, c, height, width)."""
    count, channels, rows, columns = features.shape
    cut = features.reshape(count, channels, rows // height, height, columns // width, width)
    return cut.permute(0, 2, 4, 1, 3, 5).flatten(0, 2)


def _from_windows(windows: Tensor, count: int, columns: int) -> Tensor:
    """Join windows, `columns` in a row, to (count, c, y, x)."""
    laid = windows.reshape(count, -1, columns, *windows.shape[1:])
    return laid.permute(0, 3, 1, 4, 2, 5).flatten(4, 5).flatten(2, 3)


def _attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Exact attention of every query px to every key px, without the 1 / sqrt(d).

    Queries (n, d, y, x); keys (n, d, v, u) and values (n, c, v, u) of one size; to (n, c, y, x). Queries and keys are
    filled up with zeros to the values' channels, which changes no product: fused kernels want one length for all.
    """
    q, k, v = (one.flatten(2).transpose(1, 2)[:, None] for one in (query, key, value))
    q, k = (functional.pad(one, (0, value.shape[1] - one.shape[3])) for one in (q, k))
    attended: Tensor = functional.scaled_dot_product_attention(q, k, v.contiguous(), scale=1.0)[:, 0]
    return attended.transpose(1, 2).reshape(*value.shape[:2], *query.shape[2:])


def _mosaic(features: Tensor) -> Tensor:
    """Lay (n, c, y, x) out as one image (c, rows y, columns x), as square as n can be cut."""
    count = len(features)
    rows = next(rows for rows in range(isqrt(count), 0, -1) if count % rows == 0)
    laid = features.reshape(rows, -1, *features.shape[1:])
    return laid.permute(2, 0, 3, 1, 4).flatten(3, 4).flatten(1, 2)
