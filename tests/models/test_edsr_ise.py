"""EDSR with gates: what freezing them does."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest
import torch

from models.edsr_ise import EdsrIse, EdsrIseConfig, GatedBlock
from models.squeeze import SqueezeExcitation
from tests.models.generators import WHOLE_IMAGE, lively


def live() -> EdsrIse:
    return cast(EdsrIse, lively(*WHOLE_IMAGE["edsr-live"]))


def test_gates_frozen_on_one_image_change_nothing_there() -> None:
    network, image = live(), torch.rand(1, 3, 20, 24)
    with torch.no_grad():
        wanted = network(image)
        network.freeze_gates(image)
        torch.testing.assert_close(network(image), wanted)
        other = torch.rand(1, 3, 20, 24) ** 4
        assert not torch.allclose(network(other), live()(other))


def test_frozen_gates_are_the_mean_over_images() -> None:
    images = [torch.rand(3, 16, 16), torch.rand(3, 12, 20) ** 3]
    means = []
    for chosen in ([images[0]], [images[1]], images):
        network = live()
        network.freeze_gates(chosen)
        means.append(
            torch.stack([cast(SqueezeExcitation, cast(GatedBlock, block).gate).gate for block in network.body])
        )
    torch.testing.assert_close(means[2], (means[0] + means[1]) / 2)
    assert not torch.equal(means[0], means[1])


def test_freezing_again_measures_anew() -> None:
    once, twice, image = live(), live(), torch.rand(1, 3, 16, 16)
    once.freeze_gates(image)
    twice.freeze_gates(image**4)
    twice.freeze_gates(image)
    assert once.state_dict().keys() == twice.state_dict().keys()
    for name, tensor in once.state_dict().items():
        torch.testing.assert_close(twice.state_dict()[name], tensor, rtol=0, atol=0)


def test_the_config_says_that_gates_are_frozen() -> None:
    network = live()
    before = network.config
    network.freeze_gates(torch.rand(2, 3, 8, 8))
    assert network.config == replace(before, gates="frozen") != before
    assert network.state_dict().keys() == EdsrIse(network.config).state_dict().keys()


def test_without_gates_or_images_there_is_nothing_to_freeze() -> None:
    with pytest.raises(ValueError, match="0 of 1 blocks"):
        EdsrIse(EdsrIseConfig(blocks=1, channels=8, se="none")).freeze_gates(torch.rand(1, 3, 8, 8))
    with pytest.raises(ValueError, match="0 images"):
        EdsrIse(EdsrIseConfig(blocks=1, channels=8)).freeze_gates([])


def test_the_residual_scale_scales_what_blocks_add() -> None:
    torch.manual_seed(0)
    full, tenth = (GatedBlock(EdsrIseConfig(channels=16, res_scale=scale)) for scale in (1.0, 0.1))
    tenth.load_state_dict(full.state_dict())
    features = torch.randn(1, 16, 6, 6)
    torch.testing.assert_close(10 * (tenth(features) - features), full(features) - features, rtol=1e-4, atol=1e-5)


def test_upsampling_starts_constant_on_each_2_x_2_cell() -> None:
    torch.manual_seed(0)
    up = EdsrIse(EdsrIseConfig(blocks=1)).up
    enlarged = up(torch.randn(1, 64, 9, 9))
    cells = enlarged.unfold(2, 2, 2).unfold(3, 2, 2).flatten(4)
    assert enlarged.std() > 0.1
    torch.testing.assert_close(cells.amin(-1), cells.amax(-1))


@pytest.mark.parametrize(
    "wrong", [{"blocks": 0}, {"se": "best"}, {"gates": "shut"}, {"res_scale": 0}, {"residual": "x"}]
)
def test_an_impossible_shape_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        EdsrIseConfig(**wrong)
