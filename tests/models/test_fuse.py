"""Fusing changes how often memory is passed over, not what is computed."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from models.architectures import ARCHITECTURES, resolve
from models.bundle import load_network
from models.fold import fold
from models.fuse import FusedConvolution, fuse
from models.shelf import list_bundles
from tests.models.generators import NARROW, WHOLE_IMAGE, lively

CLASSIFIERS = ("resnet18", "resnet50", "resnext101", "msfuse", "ganrest_seed", "stn_resnet50_003")


def ready(network: nn.Module, dtype: torch.dtype = torch.float32) -> nn.Module:
    """Folded, as a predictor has it."""
    return fold(network).to(dtype).to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def fused_parts(network: nn.Module) -> list[FusedConvolution]:
    return [part for part in network.modules() if isinstance(part, FusedConvolution)]


def answers(network: nn.Module, side: int, channels: int = 3) -> tuple[Tensor, Tensor]:
    """Without fusing and with."""
    torch.manual_seed(1)
    image = torch.rand(2, channels, side, side)
    with torch.inference_mode():
        return network(image), fuse(network)(image)


class Written(nn.Module):
    """A network whose forward is a function; its convolutions are `first`, `second`, ... of 8 channels."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second, self.third = (nn.Conv2d(8, 8, 3, padding=1) for _ in range(3))
        self.act = nn.ReLU(inplace=True)


class UsesASumTwice(Written):
    def forward(self, image: Tensor) -> Tensor:
        a = self.act(self.first(image))
        b = a + self.second(a)
        found: Tensor = a * 2 + b + self.third(b)
        return found


class ActivatesLater(Written):
    def forward(self, image: Tensor) -> Tensor:
        a = self.first(image)
        found: Tensor = self.second(a) + self.act(a * 1.0)
        return found


class AddsToItself(Written):
    def forward(self, image: Tensor) -> Tensor:
        a = self.act(self.first(image))
        found: Tensor = self.act(self.second(a) + a) + self.third(image)
        return found


class AddsTheInput(Written):
    def forward(self, image: Tensor) -> Tensor:
        found: Tensor = self.act(image + self.second(self.act(self.first(image))))
        return found


class AddsANumberAndABias(Written):
    def forward(self, image: Tensor) -> Tensor:
        found: Tensor = self.first(image) + 1 + self.second(image).add_(self.third(image).mean((2, 3), keepdim=True))
        return found


class AddsARow(Written):
    def forward(self, image: Tensor) -> Tensor:
        row = self.third(image)[:, :, :1]
        found: Tensor = self.first(image) + row
        return found


@pytest.mark.parametrize(
    "kind", [UsesASumTwice, ActivatesLater, AddsToItself, AddsTheInput, AddsANumberAndABias, AddsARow]
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_is_read_again_is_not_overwritten(kind: type[Written], dtype: torch.dtype) -> None:
    network = kind().eval().to(dtype)
    torch.manual_seed(1)
    image = torch.rand(2, 8, 20, 24, dtype=dtype)
    kept = image.clone()
    with torch.inference_mode():
        wanted, found = network(image.clone()), fuse(network)(image)
    torch.testing.assert_close(found, wanted, rtol=0, atol=0 if dtype == torch.float32 else 0.02)
    assert torch.equal(image, kept)


@pytest.mark.parametrize("name", NARROW | WHOLE_IMAGE)
def test_a_fused_generator_gives_the_same(name: str) -> None:
    wanted, found = answers(ready(lively(*(NARROW | WHOLE_IMAGE)[name])), 24)
    assert wanted.std() > 0.02
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5 * float(wanted.std()) + 1e-6)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_fused_classifier_gives_the_same(name: str) -> None:
    architecture, parameters = resolve(name, {"width": 8})
    kind = ARCHITECTURES[architecture]
    torch.manual_seed(0)
    wanted, found = answers(ready(kind.network(kind.config(**parameters))), 64)
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("bundle", [card.name for card in list_bundles()])
def test_of_every_bundle_activations_and_sums_are_fused_and_fp32_stays_up_to_rounding(bundle: str) -> None:
    network = ready(load_network(bundle))
    image = torch.rand(1, 3, 112, 112)
    fused = fuse(network)
    with torch.inference_mode():
        wanted, found = network(image), fused(image)
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)
    assert len(fused_parts(fused)) > 20
    alone = [part for name, part in fused.named_modules() if not name.startswith("fused_")]
    assert not [part for part in alone if isinstance(part, nn.ReLU6)]


@pytest.mark.parametrize("bundle", ["sr-x2", "nuclei-unet"])
def test_in_bf16_a_fused_network_is_as_near_to_fp32_as_one_that_is_not(bundle: str) -> None:
    network = load_network(bundle)
    image = torch.rand(1, 3, 128, 128)
    plain = ready(network, torch.bfloat16)
    with torch.inference_mode():
        exact = ready(network)(image)
        far = [(one(image).float() - exact).square().mean() for one in (plain, fuse(plain))]
    assert 0 < far[1] < 1.05 * far[0]


def test_the_network_itself_is_left_as_it_was() -> None:
    network = ready(load_network("sr-x2"))
    fuse(network)
    assert not fused_parts(network)
    with torch.inference_mode():
        network(torch.rand(1, 3, 16, 16))


class LooksFirst(Written):
    def forward(self, image: Tensor) -> Tensor:
        found: Tensor = self.act(self.first(image)) if image.mean() > 0 else image
        return found


def test_a_network_whose_path_depends_on_what_it_sees_stays_as_it_is() -> None:
    network = LooksFirst().eval()
    assert fuse(network) is network
