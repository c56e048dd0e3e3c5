"""Encoders give the features they say; the loss and the distance of them are their formulas."""

from __future__ import annotations

from dataclasses import asdict, replace
from itertools import pairwise
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import skimage.filters
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from models.bundle import load_network, write_bundle
from models.card import Card, Normalisation
from models.errors import BundleError
from models.ganrest import GanrestConfig
from models.hybrid_resnet import HybridResNet
from models.lite_unet import LiteUNet, LiteUNetConfig
from models.nuclei_unet import NucleiUNet
from models.perceptual import FrozenEncoder, load_encoder, perceptual_distance, perceptual_loss
from models.resnet import ResNet, ResNetConfig
from models.stn_resnet import StnResNetConfig
from tests.models.examples import SMALL_HYBRID, SMALL_SR, SMALL_UNET, Pixels, card, network, tissue

STAIN = Normalisation((0.7, 0.5, 0.6), (0.2, 0.3, 0.1))
RESNET = ResNetConfig(depths=(1, 2, 1, 1), block="basic", width=8, stem="small", classes=2)
RESNET_CARD = Card(
    name="small-resnet",
    task="classification",
    architecture="resnet",
    parameters=asdict(RESNET),
    mpp=1.0,
    classes=("a", "b"),
    field_px=50,
    normalisation=STAIN,
    licence="Apache-2.0",
    limits="A test's.",
)
CARDS = {
    "unet": card(SMALL_UNET, normalisation=STAIN),
    "resnet": RESNET_CARD,
    "hybrid": card(SMALL_HYBRID, normalisation=STAIN),
    "lite": replace(
        card(SMALL_UNET, normalisation=STAIN),
        architecture="lite_unet",
        parameters=asdict(LiteUNetConfig(blocks=4, fine=4)),
        stride_px=8,
    ),
    "ganrest": replace(
        RESNET_CARD,
        architecture="ganrest",
        parameters=asdict(GanrestConfig(depths_a=(1, 1, 1, 1), depths_b=(1, 2, 1, 1), width=4, stem="small")),
    ),
    "stn": replace(
        RESNET_CARD,
        architecture="stn_resnet",
        parameters=asdict(StnResNetConfig(depths=(1, 1, 1, 1), block="basic", width=4, stem="small")),
    ),
}
VGG19 = (64, 64, 0, 128, 128, 0, 256, 256, 256, 256, 0, 512, 512, 512, 512, 0, 512, 512, 512, 512)
"""Torchvision's configuration E, 0 for a pooling, to conv5_4."""
every_kind = pytest.mark.parametrize("kind", [*CARDS, "vgg19"])


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a bundle of each architecture, and VGG19's weights, drawn."""
    folder = tmp_path_factory.mktemp("encoders")
    for name, one in CARDS.items():
        write_bundle(folder / name, network(one), one)
    generator = torch.Generator().manual_seed(4)
    weights = {
        name: torch.randn(shape, generator=generator) * (2 / max(1, torch.Size(shape[1:]).numel())) ** 0.5
        for name, shape in vgg19_shapes().items()
    }
    save_file({name: one.half() for name, one in weights.items()}, folder / "vgg19.safetensors")
    return folder


def encoder(bundles: Path, kind: str) -> FrozenEncoder:
    return load_encoder(bundles / ("vgg19.safetensors" if kind == "vgg19" else kind))


def vgg19_shapes() -> dict[str, tuple[int, ...]]:
    """Torchvision's names and shapes: a convolution takes two places (with its ReLU), a pooling one."""
    shapes: dict[str, tuple[int, ...]] = {}
    at, channels_in = 0, 3
    for channels in VGG19:
        if channels:
            shapes |= {f"features.{at}.weight": (channels, channels_in, 3, 3), f"features.{at}.bias": (channels,)}
            channels_in = channels
        at += 2 if channels else 1
    return shapes


def image(height: int = 32, width: int = 48, count: int = 2) -> Tensor:
    """Real tissue, (n, 3, y, x) in [0, 1]: so many different crops."""
    crops = [tissue(512, 512)[y : y + height, 100 : 100 + width] for y in range(0, 64 * count, 64)]
    return torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).float() / 255


def normalised(pixels: Tensor, by: Normalisation) -> Tensor:
    return (pixels - torch.tensor(by.mean)[:, None, None]) / torch.tensor(by.std)[:, None, None]


def blurred(pixels: Pixels, sigma_px: float) -> Pixels:
    smooth: NDArray[np.float64] = skimage.filters.gaussian(pixels, sigma_px, channel_axis=2)
    return (smooth * 255).round().astype(np.uint8)


class Pyramid:
    """An encoder to reckon with by hand: the image, and twice the mean of its 2 x 2 px less a half."""

    def features(self, image: Tensor) -> list[Tensor]:
        return [image, 2 * functional.avg_pool2d(image, 2) - 0.5]


def test_the_u_nets_features_are_those_before_each_levels_last_relu(bundles: Path) -> None:
    whole = cast(NucleiUNet, load_network(bundles / "unet"))
    seen: list[Tensor] = []
    for level in whole.encode:
        last_norm = list(level.children())[-2]
        last_norm.register_forward_hook(lambda _module, _inputs, output: seen.append(output.clone()))
    whole(normalised(image(), STAIN))
    found = encoder(bundles, "unet").features(image())
    assert [one.shape[1:] for one in found] == [(4, 32, 48), (8, 16, 24), (16, 8, 12)]
    assert all(float(one.min()) < 0 for one in found)
    torch.testing.assert_close(found, seen)


def test_the_lite_u_nets_features_are_those_that_its_decoder_joins(bundles: Path) -> None:
    whole = cast(LiteUNet, load_network(bundles / "lite"))
    seen: list[Tensor] = []
    for join in whole.decode:
        join.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[1].clone()))
    whole(normalised(image(), STAIN))
    found = encoder(bundles, "lite").features(image())
    assert [one.shape[2:] for one in found] == [(32, 48), (16, 24), (8, 12), (4, 6)]
    torch.testing.assert_close(found[:-1], seen[::-1])


def test_the_resnets_features_are_its_stages(bundles: Path) -> None:
    whole = cast(ResNet, load_network(bundles / "resnet"))
    found = encoder(bundles, "resnet").features(image())
    assert [one.shape[1:] for one in found] == [(8, 32, 48), (16, 16, 24), (32, 8, 12), (64, 4, 6)]
    torch.testing.assert_close(found, whole.stages(normalised(image(), STAIN)))


def test_a_classifier_of_two_resnets_gives_the_stages_of_both(bundles: Path) -> None:
    whole = cast(HybridResNet, load_network(bundles / "hybrid"))
    stages = (backbone.stages(normalised(image(), STAIN)) for backbone in (whole.backbone_a, whole.backbone_b))
    torch.testing.assert_close(encoder(bundles, "hybrid").features(image()), [*next(stages), *next(stages)])


def test_vgg19s_features_are_the_last_convolutions_of_its_blocks(bundles: Path) -> None:
    found = encoder(bundles, "vgg19")
    weights = {name: one for name, one in found.state_dict().items() if name.startswith("layers.")}
    assert sum(one.numel() for one in weights.values()) == 20_024_384
    imagenet = Normalisation((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    wanted: list[Tensor] = []
    features, at = normalised(image(), imagenet), 0
    for channels, following in pairwise((*VGG19, 0)):
        if channels:
            features = functional.conv2d(
                features, weights[f"layers.{at}.weight"], weights[f"layers.{at}.bias"], padding=1
            )
            if not following:
                wanted.append(features)
            features = features.relu()
        else:
            features = functional.max_pool2d(features, 2)
        at += 2 if channels else 1
    assert [one.shape[1:] for one in wanted] == [
        (64, 32, 48),
        (128, 16, 24),
        (256, 8, 12),
        (512, 4, 6),
        (512, 2, 3),
    ]
    torch.testing.assert_close(found.features(image()), wanted)


@every_kind
def test_sides_are_extended_to_the_stride_by_repeating_the_last_px(bundles: Path, kind: str) -> None:
    one, ragged = encoder(bundles, kind), image(19, 37, count=1)
    overhang = [(0, 0), *((0, -side % one.stride_px) for side in (19, 37))]
    extended = torch.from_numpy(np.pad(ragged[0].numpy(), overhang, mode="edge"))[None]
    torch.testing.assert_close(one.features(ragged), one.features(extended))


@every_kind
def test_the_stride_is_that_of_the_deepest_features(bundles: Path, kind: str) -> None:
    one = encoder(bundles, kind)
    deepest = one.features(image(2 * one.stride_px, 3 * one.stride_px))[-1]
    assert deepest.shape[2:] == (2, 3)


@every_kind
def test_an_encoder_stays_frozen_whatever_the_training_does(bundles: Path, kind: str) -> None:
    one = encoder(bundles, kind)
    before = {name: value.clone() for name, value in one.state_dict().items()}
    outer = nn.ModuleList([one]).train()
    assert not any(module.training for module in one.modules())
    assert not any(parameter.requires_grad for parameter in outer.parameters())
    perceptual_loss(one, image(), image().flip(3))
    for name, value in one.state_dict().items():
        assert torch.equal(value, before[name])


@every_kind
def test_the_loss_moves_the_drawn_image_alone(bundles: Path, kind: str) -> None:
    drawn, truth = image().flip(2).requires_grad_(), image().requires_grad_()
    loss = perceptual_loss(encoder(bundles, kind), drawn, truth)
    to_drawn, to_truth = torch.autograd.grad(loss, (drawn, truth), allow_unused=True)
    assert to_drawn.abs().max() > 0
    assert to_truth is None


@every_kind
def test_equal_images_are_at_distance_0_and_others_are_not(bundles: Path, kind: str) -> None:
    one, pixels = encoder(bundles, kind), tissue(45, 70)
    assert perceptual_distance(one, pixels, pixels.copy()) == 0
    assert 0 < perceptual_distance(one, pixels, blurred(pixels, 1.0)) < 4


def test_the_loss_is_its_formula() -> None:
    drawn, truth = torch.rand(2, 2, 3, 4, 6, generator=torch.Generator().manual_seed(6))
    depths = zip(Pyramid().features(drawn), Pyramid().features(truth), strict=True)
    wanted = np.mean([np.abs(found.numpy() - right.numpy()).mean() for found, right in depths])
    assert float(perceptual_loss(Pyramid(), drawn, truth)) == pytest.approx(float(wanted), rel=1e-5)


def images(height: int, width: int) -> st.SearchStrategy[Pixels]:
    return st.integers(0, 2**32).map(
        lambda seed: np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    )


@given(one=images(4, 6), other=images(4, 6))
def test_the_distance_is_its_formula_and_symmetric(one: Pixels, other: Pixels) -> None:
    depths = []
    for level in range(2):
        a, b = (
            Pyramid().features(torch.from_numpy(pixels).permute(2, 0, 1)[None] / 255)[level][0].numpy()
            for pixels in (one, other)
        )
        places = [
            float(((a[:, y, x] / np.linalg.norm(a[:, y, x]) - b[:, y, x] / np.linalg.norm(b[:, y, x])) ** 2).sum())
            for y, x in np.ndindex(*a.shape[1:])
        ]
        depths.append(np.mean(places))
    found = perceptual_distance(Pyramid(), one, other)
    assert found == pytest.approx(float(np.mean(depths)), rel=1e-4)
    assert found == perceptual_distance(Pyramid(), other, one)


def test_images_without_any_light_can_be_compared() -> None:
    black = np.zeros((4, 6, 3), np.uint8)
    assert perceptual_distance(Pyramid(), black, black) == 0
    assert 0 < perceptual_distance(Pyramid(), black, black + 255) < 4


def test_images_of_different_sizes_are_not_compared() -> None:
    with pytest.raises(ValueError, match=r"\(4, 6, 3\) with \(6, 4, 3\)"):
        perceptual_distance(Pyramid(), np.zeros((4, 6, 3), np.uint8), np.zeros((6, 4, 3), np.uint8))


def test_the_shipped_nuclei_network_is_the_default_and_finds_more_blur_farther() -> None:
    one, pixels = load_encoder(), tissue(160, 176)
    assert one.name == "nuclei-unet"
    assert len(one.features(image(count=1))) >= 4
    distances = [perceptual_distance(one, pixels, blurred(pixels, sigma)) for sigma in (0.5, 1, 2, 4)]
    assert distances == sorted(distances)
    assert distances[0] > 1e-4


@pytest.mark.slides
@pytest.mark.parametrize("name", ["nuclei-unet", "idc-hybrid"])
def test_the_worse_the_jpeg_of_h_and_e_the_farther(name: str, data: Path, tmp_path: Path) -> None:
    file = data / "nuclei/monuseg/images/TCGA-18-5592-01Z-00-DX1.webp"
    with Image.open(file) as opened:
        scanned = opened.convert("RGB").crop((200, 200, 392, 392))
    one, distances = load_encoder(name), []
    for quality in (95, 75, 40, 10):
        scanned.save(tmp_path / "saved.jpg", quality=quality)
        with Image.open(tmp_path / "saved.jpg") as saved:
            distances.append(perceptual_distance(one, np.asarray(scanned), np.asarray(saved)))
    assert distances[0] > 0
    assert distances == sorted(distances)


def test_a_network_that_draws_makes_no_encoder(tmp_path: Path) -> None:
    of = card(SMALL_SR)
    write_bundle(tmp_path, network(of), of)
    with pytest.raises(BundleError, match=r"'srresnet' makes no encoder.*\nTake nuclei-unet"):
        load_encoder(tmp_path)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"features.34.bias": None}, "lacks 'features.34.bias'"),
        ({"features.1.weight": torch.ones(64)}, "has 'features.1.weight'"),  # as the variant with batch normalisation
        ({}, r"'features.0.weight' is \(1,\) where VGG19 has \(64, 3, 3, 3\)"),
    ],
)
def test_tensors_that_are_not_vgg19s_are_named(tmp_path: Path, change: dict[str, Tensor | None], what: str) -> None:
    tensors = {name: torch.ones(1) for name in vgg19_shapes()} | change
    save_file({name: one for name, one in tensors.items() if one is not None}, tmp_path / "vgg.safetensors")
    with pytest.raises(BundleError, match=rf"vgg\.safetensors: {what}.*\nConvert .*"):
        load_encoder(tmp_path / "vgg.safetensors")


def test_vgg19s_classifier_may_be_in_the_file_but_no_number_that_is_not_finite(tmp_path: Path) -> None:
    tensors = {name: torch.zeros(shape, dtype=torch.half) for name, shape in vgg19_shapes().items()}
    save_file({**tensors, "classifier.6.bias": torch.ones(1000)}, tmp_path / "vgg.safetensors")
    assert load_encoder(tmp_path / "vgg.safetensors").name == "vgg.safetensors"
    tensors["features.28.bias"][3] = torch.nan
    save_file(tensors, tmp_path / "vgg.safetensors")
    with pytest.raises(BundleError, match=r"'features\.28\.bias' holds a number that is not finite"):
        load_encoder(tmp_path / "vgg.safetensors")


def test_a_pickle_is_refused_with_the_way_to_convert_it(tmp_path: Path) -> None:
    torch.save({"features.0.weight": torch.ones(64, 3, 3, 3)}, tmp_path / "vgg19.pth")
    with pytest.raises(BundleError, match=r"pickles are never opened.*\nConvert .*save_file\(torch\.load\(") as raised:
        load_encoder(tmp_path / "vgg19.pth")
    assert str(raised.value).count("\n") == 1


def test_the_conversion_that_the_error_names_works(tmp_path: Path) -> None:
    """The code between the quotes of the message, on a pickle of the right tensors."""
    tensors = {name: torch.zeros(shape, dtype=torch.half) for name, shape in vgg19_shapes().items()}
    torch.save(tensors, tmp_path / "vgg19.pth")
    with pytest.raises(BundleError) as raised:
        load_encoder(tmp_path / "vgg19.pth")
    code = raised.value.cure.split('"')[1].replace("vgg19.", f"{tmp_path}/vgg19.")
    exec(code, {})
    assert load_encoder(tmp_path / "vgg19.safetensors").name == "vgg19.safetensors"


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"vgg19\.safetensors: cannot be read"):
        load_encoder(tmp_path / "vgg19.safetensors")
