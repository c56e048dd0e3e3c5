"""Published weights: found by name or path, checked, and put where they belong."""

from __future__ import annotations

from pathlib import Path

import pytest
import safetensors.torch
import torch

from models.efficientnet_lite import BLOCKS
from models.errors import TrainingError
from models.lite_unet import LiteUNet, LiteUNetConfig
from models.nuclei_unet import NucleiUNet, NucleiUNetConfig
from models.pretrained import begin_pretrained, provenance_of, read_pretrained
from tests.models.test_lite_unet import published


def small() -> LiteUNet:
    return LiteUNet(LiteUNetConfig(blocks=3, fine=4))


def test_a_file_of_the_users_goes_into_the_encoder_alone(tmp_path: Path) -> None:
    weights, file = published(BLOCKS), tmp_path / "lite0.safetensors"
    safetensors.torch.save_file(weights, file)
    network = small()
    rest = network.classify.weight.clone()
    begin_pretrained(network, str(file))
    assert torch.equal(network.state_dict()["encode.stem.0.weight"], weights["_conv_stem.weight"])
    assert torch.equal(network.classify.weight, rest)


def test_the_installed_package_is_read_by_its_name() -> None:
    network = small()
    begin_pretrained(network, "efficientnet-lite0")
    of_package = read_pretrained("efficientnet-lite0")
    assert len(of_package) == 296
    assert torch.equal(network.state_dict()["encode.stem.0.weight"], of_package["_conv_stem.weight"])


def test_a_network_without_a_published_encoder_is_refused() -> None:
    with pytest.raises(TrainingError, match="no encoder that was published"):
        begin_pretrained(NucleiUNet(NucleiUNetConfig(base=2)), "efficientnet-lite0")


def test_another_encoders_weights_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "other.safetensors"
    safetensors.torch.save_file({"conv1.weight": torch.zeros(64, 3, 7, 7)}, file)
    with pytest.raises(TrainingError, match=r"other\.safetensors.*lacks the weight"):
        begin_pretrained(small(), str(file))


def test_weights_of_other_shapes_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "wide.safetensors"
    safetensors.torch.save_file(published() | {"_conv_stem.weight": torch.zeros(40, 3, 3, 3)}, file)
    with pytest.raises(TrainingError, match=r"has other shapes \(encode\.stem\.0\.weight\)"):
        begin_pretrained(small(), str(file))


@pytest.mark.parametrize("content", [None, b"no weights at all"])
def test_a_file_that_holds_no_weights_is_refused(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "none.safetensors"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(TrainingError, match=r"none\.safetensors.*no readable weights"):
        read_pretrained(str(file))


def test_a_card_names_licence_and_hash_of_what_was_begun_with(tmp_path: Path) -> None:
    assert provenance_of("efficientnet-lite0")["licence"] == "Apache-2.0"
    file = tmp_path / "own.safetensors"
    file.write_bytes(b"one")
    before = provenance_of(str(file))["sha256"]
    file.write_bytes(b"another")
    assert provenance_of(str(file))["sha256"] != before
