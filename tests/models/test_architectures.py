"""What holds for every super-resolution network: counts, sizes, starts, how far it looks, and that tiles join."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, cast

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

from models.architectures import ARCHITECTURES, OPTIONS, resolve
from models.blocks import parameter_count
from models.receptive_field import receptive_radius_px
from models.super_resolution import enlarge_bicubic
from tests.models.examples import tile_wise, tissue
from tests.models.generators import NARROW, WHOLE_IMAGE, Parameters, build, enlarge, lively

COUNTS = {
    ("srresnet16", 2): 1_399_637, ("srresnet16", 4): 1_547_350,
    ("srresnet16", 8): 1_695_063, ("srresnet16", 16): 1_842_776,
    ("srresnet8_003", 4): 955_470,
    ("juhong_002", 4): 1_445_571,
    # batch normalisation has a factor and a summand a channel, weight normalisation a length and a bias
    ("wa_srgan", 2): 763_078, ("wa_srgan", 4): 910_791, ("wa_srgan", 8): 1_058_504, ("wa_srgan", 16): 1_206_217,
    ("wa_srgan_bn", 4): 910_791,
    ("wa_srgan_seed", 4): 910_791,
    ("a_srgan", 4): 731_079,
    ("edsr_ise", 4): 1_526_851, ("edsr_ise", 8): 1_674_563, ("edsr_ise", 16): 1_822_275,
    ("edsr_ise_plain", 4): 1_526_851,
    ("edsr_ise_none", 4): 1_517_571,
    ("srvgg32", 4): 1_213_296,
    ("rrdb6", 4): 4_467_779,
    ("unet32", None): 7_763_107,
    ("unet64", None): 31_037_763,
}  # fmt: skip
# (architecture, parameters, radius): the depth as published, the channels as few as may be
RADII = [
    ("srresnet", {"blocks": 16, "channels": 4, "scale": 4}, 40),
    ("srresnet", {"blocks": 8, "channels": 4, "scale": 4}, 24),
    ("juhong", {"channels": 4, "up_channels": 4, "scale": 4}, 23),
    ("wide_activation", {"channels": 4, "scale": 4, "attention": "off"}, 17),
    ("wide_activation", {"channels": 4, "scale": 4, "attention": "window", "window_px": 8}, 17 + 7),
    ("wide_activation", {"channels": 4, "scale": 4, "attention": "tile", "window_px": 8}, 17 + 7),
    ("wide_activation", {"channels": 4, "scale": 4, "attention": "anchor", "anchors": "fixed"}, 17),
    ("edsr_ise", {"channels": 4, "scale": 4, "se": "none"}, 36),
    ("edsr_ise", {"channels": 4, "scale": 4, "gates": "frozen"}, 36),
    ("edsr_ise", {"channels": 4, "scale": 4, "se": "none", "blocks": 32}, 68),
    ("srvgg", {"channels": 4, "scale": 4}, 34),
    ("rrdb", {"channels": 4, "growth": 1, "scale": 4}, 94),
]  # fmt: skip


def config_of(network: nn.Module) -> Any:
    return network.config


@pytest.mark.parametrize(("option", "scale"), COUNTS)
def test_a_network_has_as_many_parameters_as_specified(option: str, scale: int | None) -> None:
    architecture, parameters = resolve(option, {} if scale is None else {"scale": scale})
    with torch.device("meta"):
        network = build(architecture, parameters)
    assert parameter_count(network) == COUNTS[option, scale]


def test_every_option_names_an_architecture_that_takes_its_parameters() -> None:
    for option in OPTIONS:
        architecture, parameters = resolve(option, {})
        config = ARCHITECTURES[architecture].config(**parameters)
        assert asdict(config).items() >= parameters.items()


def test_given_parameters_win_over_those_of_an_option() -> None:
    assert resolve("wa_srgan_bn", {"norm": "none", "scale": 4}) == ("wide_activation", {"norm": "none", "scale": 4})
    assert resolve("wa_srgan_bn", {})[1] == {"norm": "bn"}


@pytest.mark.parametrize("name", [*ARCHITECTURES, "no such network"])
def test_a_name_that_is_no_option_stands_for_itself(name: str) -> None:
    architecture, parameters = resolve(name, {"blocks": 3})
    assert architecture == name
    assert parameters["blocks"] == 3


CLASSIFIERS = {
    "resnet18": 11_177_538, "resnet50": 23_512_130, "resnet101": 42_504_258, "resnet152": 58_147_906,
    "resnext101": 86_746_434, "cls_small": 11_177_538, "msfuse": 84_294_790, "ganrest_seed": 90_050_690,
    "stn_resnet50_003": 24_165_287,
}  # fmt: skip
"""Parameters with two classes; with ImageNet's thousand, see the ResNets' own tests."""


@pytest.mark.parametrize("option", CLASSIFIERS)
def test_a_classifier_has_as_many_parameters_as_specified_and_tells_two_classes_apart(option: str) -> None:
    with torch.device("meta"):
        network = build(*resolve(option, {})).eval()
        assert parameter_count(network) == CLASSIFIERS[option]
        assert network(torch.rand(2, 3, 224, 224)).shape == (2, 2)
    assert [part for part in cast(nn.Module, network.head).modules() if isinstance(part, nn.Linear)]


@pytest.mark.parametrize("option", CLASSIFIERS)
def test_a_classifier_takes_its_number_of_classes_and_a_small_stem(option: str) -> None:
    with torch.device("meta"):
        network = build(*resolve(option, {"classes": 5, "stem": "small"})).eval()
        assert network(torch.rand(1, 3, 50, 50)).shape == (1, 5)


def test_resolving_twice_changes_nothing() -> None:
    for option in OPTIONS:
        once = resolve(option, {"scale": 4})
        assert resolve(*once) == once


@pytest.mark.parametrize("scale", [2, 4, 8, 16])
@pytest.mark.parametrize("name", NARROW | WHOLE_IMAGE)
def test_the_output_is_scale_times_the_input(name: str, scale: int) -> None:
    architecture, parameters = (NARROW | WHOLE_IMAGE)[name]
    network = build(architecture, parameters | {"scale": scale}).eval()
    with torch.no_grad():
        assert network(torch.rand(2, 3, 11, 9)).shape == (2, 3, 11 * scale, 9 * scale)


@pytest.mark.parametrize("architecture", ["srresnet", "wide_activation", "edsr_ise", "srvgg", "rrdb"])
@pytest.mark.parametrize("scale", [2, 4])
def test_a_fresh_network_with_a_bicubic_residual_is_bicubic_interpolation(architecture: str, scale: int) -> None:
    network = build(architecture, {"channels": 8, "scale": scale, "residual": "bicubic"})
    image = torch.rand(1, 3, 12, 12)
    with torch.no_grad():
        torch.testing.assert_close(network(image), enlarge_bicubic(image, scale), rtol=0, atol=0)


@pytest.mark.parametrize("name", NARROW | WHOLE_IMAGE)
def test_every_parameter_that_the_output_depends_on_learns(name: str) -> None:
    architecture, parameters = (NARROW | WHOLE_IMAGE)[name]
    network = lively(architecture, parameters | {"gates": "live"} if architecture == "edsr_ise" else parameters).train()
    (network(torch.rand(2, 3, 12, 12)) - 0.3).square().sum().backward()
    parts = [
        (part, parameter) for part, parameter in network.named_parameters() if not part.endswith("attention.key.bias")
    ]
    still = [part for part, parameter in parts if parameter.grad is None or not parameter.grad.any()]
    assert not still  # the keys' bias adds the same to all products of a query, which softmax does not see


@pytest.mark.parametrize(("architecture", "parameters", "radius_px"), RADII)
def test_a_network_looks_as_far_as_interval_arithmetic_says(
    architecture: str, parameters: Parameters, radius_px: int
) -> None:
    network = build(architecture, parameters)
    stride_px = cast(int, network.stride_px)
    assert receptive_radius_px(network, scale=parameters["scale"], stride_px=stride_px) == radius_px


@pytest.mark.parametrize("name", WHOLE_IMAGE)
def test_a_network_that_looks_at_all_of_the_image_is_refused(name: str) -> None:
    network = build(*WHOLE_IMAGE[name])
    with pytest.raises(ValueError, match="cannot work tile by tile"):
        receptive_radius_px(network, scale=config_of(network).scale)


def seam(network: nn.Module, *, core_px: int, halo_px: int) -> float:
    """Largest difference between tile-wise and whole output, over the whole's standard deviation; in float64."""
    network, image = network.double(), tissue(72, 61) / 255.0
    whole = enlarge(network, image)
    tiles = tile_wise(
        lambda pixels: enlarge(network, pixels),
        cast(Any, image),  # its type says uint8, which is what predictors take; these are in [0, 1]
        core_px=core_px,
        halo_px=halo_px,
        scale=config_of(network).scale,
    )
    assert tiles.shape == whole.shape
    assert whole.std() > 0.02
    return float(np.abs(tiles - whole).max() / whole.std())


@pytest.mark.parametrize("name", NARROW)
def test_tiles_with_a_halo_of_the_radius_join_to_the_whole_and_with_half_of_it_do_not(name: str) -> None:
    network = lively(*NARROW[name])
    stride_px = cast(int, network.stride_px)
    radius_px = receptive_radius_px(network, scale=config_of(network).scale, stride_px=stride_px)
    assert seam(network, core_px=24, halo_px=-(-radius_px // stride_px) * stride_px) < 1e-10
    assert seam(network, core_px=24, halo_px=radius_px // 2 // stride_px * stride_px) > 1e-6


def test_srresnet_needs_all_of_its_radius() -> None:
    network = lively("srresnet", {"blocks": 4, "channels": 4})
    assert receptive_radius_px(network, scale=2) == 16
    assert seam(network, core_px=24, halo_px=16) < 1e-10
    assert seam(network, core_px=24, halo_px=8) > 1e-6


def test_windows_of_32_px_need_a_halo_of_64_px() -> None:
    network = lively("wide_activation", {"channels": 4, "attention": "window", "window_px": 32, "blocks": 8})
    image = tissue(192, 33) / 255.0
    whole = enlarge(network.double(), image)[256:320]
    for halo_px, joins in ((64, True), (32, False)):
        tile = enlarge(network, image[128 - halo_px : 160 + halo_px])[2 * halo_px : 2 * halo_px + 64]
        assert (np.abs(tile - whole).max() < 1e-10) == joins


@pytest.mark.parametrize("name", WHOLE_IMAGE)
def test_tiles_of_a_network_that_looks_at_all_of_the_image_do_not_join(name: str) -> None:
    assert seam(lively(*WHOLE_IMAGE[name]), core_px=24, halo_px=16) > 1e-4


@pytest.mark.parametrize("name", NARROW | WHOLE_IMAGE)
def test_the_state_survives_the_way_through_safetensors(name: str) -> None:
    network = lively(*(NARROW | WHOLE_IMAGE)[name])
    loaded = safetensors.torch.load(safetensors.torch.save(network.state_dict()))
    architecture = (NARROW | WHOLE_IMAGE)[name][0]
    with torch.device("meta"):
        again = build(architecture, asdict(config_of(network))).eval()
    again.load_state_dict(loaded, assign=True)
    image = torch.rand(1, 3, 17, 20)
    with torch.no_grad():
        torch.testing.assert_close(again(image), network(image), rtol=0, atol=0)


@pytest.mark.parametrize("name", NARROW)
def test_bf16_weights_take_and_give_fp32_images(name: str) -> None:
    network = lively(*NARROW[name])
    image = torch.from_numpy(tissue(24, 24)).permute(2, 0, 1)[None] / 255
    with torch.no_grad():
        exact, rounded = network(image), network.to(torch.bfloat16)(image)
    assert rounded.dtype == torch.float32
    assert 0 < (exact - rounded).abs().mean() < 0.05 * exact.std()


@pytest.mark.parametrize("architecture", ["wide_activation", "edsr_ise", "juhong", "srvgg", "rrdb"])
@pytest.mark.parametrize("wrong", [{"scale": 3}, {"channels": 10**9}])
def test_an_impossible_shape_is_refused(architecture: str, wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        ARCHITECTURES[architecture].config(**wrong)
