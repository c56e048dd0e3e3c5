"""OpenVINO as an engine: networks on CPUs whose input has one size, which are those that judge patches.

Dense networks see tiles of many sizes, as borders cut them: each new size costs OpenVINO half a second to five in every
thread, and memory that it keeps (docs/explanation/performance.md).

A network is read from torch once and kept as a file: reading it takes seconds, the file a fraction of one. What goes
in is channels last, as pixels lie, so that no copy is made.
"""

from __future__ import annotations

import hashlib
import json
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, fx, nn

from models.cores import all_threads
from models.errors import BundleError
from models.fold import fold
from models.gate import COMPUTING

if TYPE_CHECKING:
    from models.card import Card
    from models.device import Precision
    from models.engine import EngineName

_GRAPH, _WEIGHTS, _DIGEST = "network.xml", "network.bin", "network.sha256"
_FORMAT = 2
"""Of the files that are kept; one more where they are made otherwise."""
_ROUNDING = 1e-3
"""Of logits in fp32, whose sums are taken in another order: networks here show a thousandth of it."""


@dataclass(frozen=True, slots=True)
class OpenVinoEngine:
    """Computes on a CPU."""

    kept: Path | None = None
    """The folder of what was read before, of networks with the very same weights; None keeps nothing."""
    side_by_side: bool = False
    """Whether threads that call it compute at the same time, one core each; else one at a time computes on all."""

    @property
    def name(self) -> EngineName:
        """As `--engine` has it."""
        return "openvino"

    def prepare(
        self,
        network: nn.Module,
        card: Card,
        device: torch.device,  # there is one CPU
        precision: Precision,
        at_once: int,
    ) -> Callable[[Tensor], Tensor]:
        """See `models.engine.Engine`."""
        if card.field_px is None:
            what = "takes tiles of any size, and each new size costs OpenVINO seconds and memory in every thread"
            raise BundleError.about(card.name, what, "Take --engine torch.")
        try:
            graph = self._graph(network, card, (at_once, card.field_px, card.field_px, 3))
            threads = all_threads()
            return _Requests(_compiled(graph, precision, threads, threads if self.side_by_side else 1))
        except (RuntimeError, TypeError, fx.proxy.TraceError) as error:
            what = f"OpenVINO cannot compute this network ({error})"
            raise BundleError.about(card.name, what, "Take --engine torch.") from error

    def _graph(self, network: nn.Module, card: Card, shape: tuple[int, ...]) -> Any:
        """The network as OpenVINO has it, for pixels of this shape."""
        if self.kept is None:
            return _read(network, shape)
        built = json.dumps([card.architecture, card.parameters, shape], sort_keys=True)  # not all of it is in weights
        folder = self.kept / f"{version('openvino')}-{version('torch')}-{_digest(built.encode())[:12]}-{_FORMAT}"
        with suppress(OSError, RuntimeError):  # not there, or spoilt
            if (folder / _DIGEST).read_text("ascii") == _digest_of(folder):
                return _core().read_model(folder / _GRAPH)
        graph = _read(network, shape)
        _keep(graph, folder)
        return graph


@cache
def _openvino() -> Any:
    """The package. Left alone it tells Google Analytics of every import, and asks questions on terminals."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # then it does without
    return import_module("openvino")


@cache
def _core() -> Any:
    return _openvino().Core()


def _compiled(graph: Any, precision: Precision, threads: int, streams: int) -> Any:
    settings = {
        "INFERENCE_PRECISION_HINT": {"fp32": "f32", "bf16": "bf16"}[precision],
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": streams,
        "ENABLE_CPU_PINNING": False,  # other processes and threads of ours want cores, too
    }
    return _core().compile_model(graph, "CPU", settings)


class _Requests:
    """A compiled network; each thread that calls it has memory of its own there."""

    def __init__(self, compiled: Any) -> None:
        self._compiled = compiled
        self._mine = threading.local()

    def __call__(self, image: Tensor) -> Tensor:
        request = getattr(self._mine, "request", None)
        if request is None:
            request = self._mine.request = self._compiled.create_infer_request()
        pixels = image.permute(0, 2, 3, 1).contiguous().numpy()
        result = request.infer({0: pixels}, share_inputs=True, share_outputs=True)[0]
        return torch.from_numpy(np.array(result))  # its own memory is overwritten by the next one


class _ChannelsLast(nn.Module):
    """A network that takes (n, y, x, 3)."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels: Tensor) -> Tensor:
        output: Tensor = self.network(pixels.permute(0, 3, 1, 2))
        return output


@torch.inference_mode()
def _read(network: nn.Module, shape: tuple[int, ...]) -> Any:
    """OpenVINO's graph of a network for (n, y, x, 3), compared with the network before anybody relies on it."""
    openvino = _openvino()
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    pixels = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    with COMPUTING.closed():  # tracing puts functions of its own in place of every module's
        followed = fx.symbolic_trace(fold(network))
        decoder = TorchScriptPythonDecoder(_ChannelsLast(followed).eval(), example_input=pixels)
    reader = FrontEndManager().load_by_framework("pytorch")
    graph = reader.convert(reader.load(decoder))
    graph.reshape(openvino.PartialShape(list(shape)))
    image = pixels.permute(0, 3, 1, 2)
    wanted, found = followed(image), _Requests(_compiled(graph, "fp32", 1, 1))(image)
    if wanted.shape != found.shape or not torch.allclose(wanted, found, rtol=_ROUNDING, atol=_ROUNDING):
        msg = "its graph computes something else"
        raise RuntimeError(msg)
    return graph


def _keep(graph: Any, folder: Path) -> None:
    """Write a graph's files at once: several processes may, and each finds all or none."""
    with suppress(OSError, RuntimeError):  # a full disk costs the next process some seconds
        folder.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=folder.parent) as scratch:
            made = Path(scratch, "made")
            made.mkdir()
            _openvino().save_model(graph, made / _GRAPH, compress_to_fp16=False)
            (made / _DIGEST).write_text(_digest_of(made), "ascii")
            if folder.is_dir():  # spoilt, or another process was faster
                folder.rename(Path(scratch, "old"))
            made.rename(folder)


def _digest_of(folder: Path) -> str:
    """Of what was written: a power cut may leave a file of the right size with nothing in it."""
    return _digest(b"".join((folder / name).read_bytes() for name in (_GRAPH, _WEIGHTS)))


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
