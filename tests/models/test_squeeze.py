"""Gates of squeeze-and-excitation, live and frozen."""

from __future__ import annotations

from typing import Literal

import pytest
import torch

from models.squeeze import SqueezeExcitation

KINDS: tuple[Literal["plain", "improved"], ...] = ("plain", "improved")


def test_live_gates_are_those_of_the_formula() -> None:
    torch.manual_seed(0)
    module, features = SqueezeExcitation(32, "plain"), torch.randn(2, 32, 5, 7)
    hidden = (module.squeeze.weight @ features.mean((2, 3))[0] + module.squeeze.bias).clamp(min=0)
    gate = 1 / (1 + torch.exp(-(module.excite.weight @ hidden + module.excite.bias)))
    torch.testing.assert_close(module(features)[0], features[0] * gate[:, None, None])


def test_plain_gates_attenuate_and_improved_ones_enhance() -> None:
    torch.manual_seed(0)
    features = torch.rand(1, 32, 5, 5) + 0.1
    plain, improved = (SqueezeExcitation(32, kind)(features) / features for kind in KINDS)
    assert plain.max() < 1 < improved.min()
    assert improved.max() < 2


def test_improved_gates_begin_at_about_1_12() -> None:
    torch.manual_seed(0)
    features = torch.tensor([-1.0, 1.0]).view(1, 1, 1, 2).expand(1, 64, 1, 2)
    gain = SqueezeExcitation(64, "improved")(features) / features
    assert gain.detach().mean().item() == pytest.approx(1.12, abs=0.05)


@pytest.mark.parametrize("kind", KINDS)
def test_frozen_gates_do_not_see_the_image(kind: Literal["plain", "improved"]) -> None:
    module = SqueezeExcitation(16, kind)
    module.freeze(torch.full((16,), 0.25))
    features = torch.randn(2, 16, 4, 4)
    torch.testing.assert_close(module(features), features * (0.25 if kind == "plain" else 1.25))
    assert "gate" in module.state_dict()


def test_thawed_gates_are_live_again() -> None:
    torch.manual_seed(0)
    module, features = SqueezeExcitation(16, "improved"), torch.randn(1, 16, 4, 4)
    live = module(features)
    module.freeze(torch.zeros(16))
    assert not torch.equal(module(features), live)
    module.thaw()
    torch.testing.assert_close(module(features), live, rtol=0, atol=0)
    assert "gate" not in module.state_dict()


def test_a_module_that_is_built_frozen_begins_with_the_gates_of_a_black_image() -> None:
    module = SqueezeExcitation(16, "improved", frozen=True)
    torch.testing.assert_close(module.gate, torch.full((16,), 0.1192), rtol=0, atol=1e-4)
