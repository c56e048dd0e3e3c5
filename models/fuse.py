"""Have convolutions apply the activation, or add the branch, that comes behind them: one pass over memory, not two.

oneDNN does it while results are still in registers. At full resolution a layer does not fit the cache, and an
activation of its own takes as long as a third of a convolution in bf16 (docs/explanation/performance.md). Values stay
as they are, but that in bf16 a sum is rounded once instead of twice.

The network is traced (`torch.fx`), since which activation sees which result does not follow from how modules are
registered. What cannot be traced, as its path depends on what it sees, stays as it is.
"""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from models.gate import COMPUTING

_FLAT = torch.channels_last


class FusedConvolution(nn.Module):
    """A convolution on a CPU, what is added to its result, and an activation: (n, c, y, x) to (n, d, y / s, x / s)."""

    def __init__(self, plain: nn.Conv2d) -> None:
        super().__init__()
        self.weight, self.bias = plain.weight, plain.bias
        # as oneDNN's operators want them
        self._padding: list[int] = [int(side) for side in plain.padding]
        self._stride, self._dilation = list(plain.stride), list(plain.dilation)
        self._groups = plain.groups
        self._activation: nn.Module = nn.Identity()
        self._in_words: tuple[str, list[float]] = ("none", [])
        self.in_place = False
        """Whether what is added may be overwritten by the sum, as nobody reads it any more."""

    def activate(self, activation: nn.Module) -> None:
        """Apply an activation, at the end."""
        self._activation, self._in_words = activation, _in_words(activation)

    def forward(self, features: Tensor, beside: Tensor | None = None) -> Tensor:
        """Convolve, add `beside` where it is given, activate."""
        name, numbers = self._in_words
        seen = features.contiguous(memory_format=_FLAT)
        geometry = (self._padding, self._stride, self._dilation, self._groups)
        operations = torch.ops.mkldnn
        if beside is None:
            made: Tensor = operations._convolution_pointwise(seen, self.weight, self.bias, *geometry, name, numbers, "")
        elif not self._can_take_up(seen, beside):
            plain = operations._convolution_pointwise(seen, self.weight, self.bias, *geometry, "none", [], "")
            made = self._activation(plain + beside)
        else:
            add = operations._convolution_pointwise_.binary if self.in_place else _added
            made = add(
                beside,
                seen,
                self.weight,
                self.bias,
                *geometry,
                "add",
                1.0,
                None if name == "none" else name,
                numbers,
                "",
            )
        return made

    def _can_take_up(self, seen: Tensor, beside: Tensor) -> bool:
        """Whether `beside` is laid out as the result will be; else it has to be added by itself."""
        sides = [
            (side + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
            for side, padding, dilation, kernel, stride in zip(
                seen.shape[2:], self._padding, self._dilation, self.weight.shape[2:], self._stride, strict=True
            )
        ]
        shape = (len(seen), len(self.weight), *sides)
        return beside.shape == shape and beside.dtype == seen.dtype and beside.is_contiguous(memory_format=_FLAT)


def _added(beside: Tensor, seen: Tensor, *how: Any) -> Tensor:
    made: Tensor = torch.ops.mkldnn._convolution_pointwise.binary(seen, beside, *how)
    return made


def fuse(network: nn.Module) -> nn.Module:
    """Return a network that computes the same on a CPU, its convolutions joined with what comes directly behind them.

    `network` is folded, in inference mode, of its final type; its weights are shared, not copied.
    """
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return network
    try:
        with COMPUTING.closed():
            traced = fx.symbolic_trace(network)
    except (fx.proxy.TraceError, TypeError, RuntimeError):
        return network
    _drop_identities(traced)
    fuser = _Fuser(traced)
    for node in list(traced.graph.nodes):
        fuser.look_at(node)
    traced.delete_all_unused_submodules()
    traced.recompile()
    return traced


def _drop_identities(traced: fx.GraphModule) -> None:
    """Let what folding left empty, and dropout, not stand between a convolution and its activation."""
    for node in list(traced.graph.nodes):
        if node.op == "call_module" and isinstance(traced.get_submodule(str(node.target)), nn.Identity | nn.Dropout):
            node.replace_all_uses_with(node.args[0])
            traced.graph.erase_node(node)


class _Fuser:
    """Rewrites one traced network."""

    def __init__(self, traced: fx.GraphModule) -> None:
        self._traced, self._graph = traced, traced.graph
        self._place = {node: place for place, node in enumerate(traced.graph.nodes)}
        self._fused: dict[fx.Node, FusedConvolution] = {}

    def look_at(self, node: fx.Node) -> None:
        """Fuse a convolution with the activation, or the sum and the activation, that its result alone goes to."""
        module = self._module(node)
        if type(module) is not nn.Conv2d or isinstance(module.padding, str) or module.padding_mode != "zeros":
            return
        joined = FusedConvolution(module)
        behind, last = _only_user(node), node
        beside = _other_summand(behind, node) if behind else None
        if behind and beside:
            joined.in_place = self._is_free_after(beside, behind, node)
            last, behind = behind, _only_user(behind)
        activation = self._activation(behind) if behind else None
        if behind and activation and _in_words(activation)[0] != "none":
            joined.activate(activation)
            last = behind
        if last is not node:
            self._replace(node, last, joined, beside)

    def _replace(self, node: fx.Node, last: fx.Node, joined: FusedConvolution, beside: fx.Node | None) -> None:
        name = f"fused_{len(self._fused)}"
        self._traced.add_submodule(name, joined)
        # where the last of them stood: what is added was computed by then, and the convolution's input still is
        with self._graph.inserting_before(last):
            whole = self._graph.call_module(name, (node.args[0], *([beside] if beside else [])))
        self._place[whole] = self._place[last]
        self._fused[whole] = joined
        last.replace_all_uses_with(whole)
        while last is not node:
            before = next(part for part in last.all_input_nodes if part is not beside)
            self._graph.erase_node(last)
            last = before
        self._graph.erase_node(node)

    def _is_free_after(self, beside: fx.Node, total: fx.Node, convolution: fx.Node) -> bool:
        """Whether a summand is a result of ours that only convolutions before the sum have read."""
        readers = [user for user in beside.users if user is not total]
        return (
            beside in self._fused
            and convolution.args[0] is not beside
            and all(self._place[user] < self._place[total] and self._is_convolution(user) for user in readers)
        )

    def _is_convolution(self, node: fx.Node) -> bool:
        return isinstance(self._module(node), nn.Conv2d | FusedConvolution)

    def _module(self, node: fx.Node) -> nn.Module | None:
        return self._traced.get_submodule(str(node.target)) if node.op == "call_module" else None

    def _activation(self, node: fx.Node) -> nn.Module | None:
        if node.op == "call_function" and node.target in (functional.relu, torch.relu):
            return nn.ReLU()
        return self._module(node)


def _only_user(node: fx.Node) -> fx.Node | None:
    return next(iter(node.users)) if len(node.users) == 1 else None


def _other_summand(total: fx.Node, node: fx.Node) -> fx.Node | None:
    """What else a plain sum of two adds to `node`; None where it is no such sum."""
    if total.op != "call_function" or total.target not in (operator.add, operator.iadd, torch.add) or total.kwargs:
        return None
    others = [part for part in total.args if part is not node]
    return others[0] if len(others) == 1 and len(total.args) == 2 and isinstance(others[0], fx.Node) else None


def _in_words(activation: nn.Module) -> tuple[str, list[float]]:
    """An activation's name and numbers, as oneDNN's operators want them; `none` for one that they do not know."""
    match activation:
        case nn.ReLU6():
            return "hardtanh", [0.0, 6.0]
        case nn.ReLU():
            return "relu", []
        case nn.LeakyReLU():
            return "leaky_relu", [float(activation.negative_slope)]
        case _:
            return "none", []
