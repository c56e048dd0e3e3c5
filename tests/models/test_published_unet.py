"""The U-Net as its authors built it: counts, asymmetric reach, one output."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from models.blocks import parameter_count
from models.published_unet import PublishedUNet, PublishedUNetConfig, Repeating


def test_it_has_as_many_parameters_as_published() -> None:
    with torch.device("meta"):
        assert parameter_count(PublishedUNet(PublishedUNetConfig())) == 31_032_837


def test_logits_are_those_of_one_sigmoid() -> None:
    torch.manual_seed(0)
    network = PublishedUNet(PublishedUNetConfig(base=2, depth=2)).eval()
    logits = network(torch.rand(2, 3, 16, 24))
    assert logits.shape == (2, 2, 16, 24)
    assert not logits[:, 0].any()
    assert torch.allclose(torch.softmax(logits, 1)[:, 1], torch.sigmoid(logits[:, 1]))


def test_the_even_convolution_pads_below_and_to_the_right() -> None:
    repeating = Repeating(2)
    for parameter, value in zip(repeating.soften.parameters(), (1.0, 0.0), strict=True):  # kernel, bias
        torch.nn.init.constant_(parameter, value)
    below = torch.zeros(1, 4, 4, 4)
    below[0, 0, 1, 1] = 1
    captured: list[torch.Tensor] = []
    repeating.soften.register_forward_hook(lambda *given: captured.append(given[2]))
    repeating(below, torch.zeros(1, 2, 8, 8))
    rows = captured[0][0, 0].sum(1).nonzero()[:, 0]
    assert rows.tolist() == [1, 2, 3]  # px 2 and 3 hold the repeated value; a tap below reaches row 1


def test_half_of_the_deepest_features_are_dropped_in_training_alone() -> None:
    torch.manual_seed(0)
    network, image = PublishedUNet(PublishedUNetConfig(base=4, depth=2)), torch.rand(1, 3, 16, 16)
    drawn: list[bool] = []
    network.dropout.register_forward_hook(lambda *given: drawn.append(torch.equal(given[1][0], given[2])))
    network.train()(image)
    network.eval()(image)
    assert drawn == [False, False, True, True]


@pytest.mark.parametrize("wrong", [{"base": 0}, {"depth": 0}])
def test_an_impossible_shape_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        PublishedUNetConfig(**wrong)
