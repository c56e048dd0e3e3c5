"""Published weights: found by name or path, checked, and put where they belong."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest
import safetensors.torch
import torch

from models.efficientnet_lite import BLOCKS
from models.errors import TrainingError
from models.ganrest import Ganrest, GanrestConfig
from models.hybrid_resnet import HybridResNet, HybridResNetConfig
from models.lite_unet import LiteUNet, LiteUNetConfig
from models.nuclei_unet import NucleiUNet, NucleiUNetConfig
from models.pretrained import begin_pretrained, hash_of, provenance_of, read_pretrained
from models.resnet import ResNet, ResNetConfig
from models.stn_resnet import StnResNet, StnResNetConfig
from models.train_config import ScheduleConfig, SourceConfig, TrainConfig
from models.train_network import begin
from models.train_settings import settings_of
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


def torchvision_file(path: Path, depths: tuple[int, int, int, int]) -> Path:
    """A file as torchvision publishes it: a pickled state dict with the thousand classes of ImageNet."""
    torch.save(ResNet(ResNetConfig(depths=depths, width=4, classes=1000)).state_dict(), path)
    return path


def test_a_hybrids_halves_take_a_file_each_in_their_order(tmp_path: Path) -> None:
    one, other = torchvision_file(tmp_path / "a.pth", (1, 1, 1, 1)), torchvision_file(tmp_path / "b.pth", (1, 2, 1, 1))
    for network in (
        HybridResNet(HybridResNetConfig(depths_a=(1, 1, 1, 1), depths_b=(1, 2, 1, 1), width=4)),
        Ganrest(GanrestConfig(depths_a=(1, 1, 1, 1), depths_b=(1, 2, 1, 1), width=4)),
    ):
        begin_pretrained(network, f"{one}, {other}")
        for backbone, file in ((network.backbone_a, one), (network.backbone_b, other)):
            given = read_pretrained(str(file))
            assert all(torch.equal(tensor, given[name]) for name, tensor in backbone.state_dict().items())
        with pytest.raises(TrainingError, match=r"b\.pth for backbone_a.*has unknown 15 \(layer2\.1\.bn1\.bias, "):
            begin_pretrained(network, f"{other}, {one}")


def test_the_resnet_behind_a_spatial_transformer_takes_a_file(tmp_path: Path) -> None:
    file = torchvision_file(tmp_path / "a.pth", (1, 1, 1, 1))
    network = StnResNet(StnResNetConfig(depths=(1, 1, 1, 1), width=4, hidden=(4, 4)))
    begin_pretrained(network, str(file))
    assert torch.equal(network.backbone.conv1.weight, read_pretrained(str(file))["conv1.weight"])
    assert not network.backbone.conv1.weight.requires_grad


def test_a_resnet_takes_a_file_but_for_another_number_of_classes(tmp_path: Path) -> None:
    file = torchvision_file(tmp_path / "a.pth", (1, 1, 1, 1))
    network = ResNet(ResNetConfig(depths=(1, 1, 1, 1), width=4, classes=2))
    begin_pretrained(network, str(file))
    assert torch.equal(network.conv1.weight, read_pretrained(str(file))["conv1.weight"])
    assert network.head.out_features == 2


@pytest.mark.parametrize(("source", "found"), [("a.pth", 1), ("a.pth,b.pth,c.pth", 3)])
def test_another_number_of_files_than_of_halves_is_refused(source: str, found: int) -> None:
    network = HybridResNet(HybridResNetConfig(depths_a=(1, 1, 1, 1), depths_b=(1, 1, 1, 1), width=4))
    with pytest.raises(TrainingError, match=rf"files: {found}, ResNets: 2 \(backbone_a, backbone_b\)"):
        begin_pretrained(network, source)


def test_another_encoders_weights_are_no_resnets() -> None:
    with pytest.raises(TrainingError, match="efficientnet-lite0: not this ResNet's weights: lacks"):
        begin_pretrained(ResNet(ResNetConfig(width=4)), "efficientnet-lite0")


def test_a_training_with_a_file_of_the_users_begins_with_it_and_says_so(tmp_path: Path) -> None:
    file = torchvision_file(tmp_path / "a.pth", (1, 1, 1, 1))
    network = {"depths": (1, 1, 1, 1), "width": 4, "classes": 2}
    config = TrainConfig(
        name="c", task="classification", architecture="resnet50", mpp=1.0, licence="", limits="", network=network,
        sources=(SourceConfig(name="s", licence="", kind="sheets", path="."),), pretrained=str(file),
        schedule=ScheduleConfig(iterations=1, batch=1),
    )  # fmt: skip
    given = read_pretrained(str(file))["layer4.0.conv1.weight"]
    assert torch.equal(begin(config).state_dict()["layer4.0.conv1.weight"], given)
    before = settings_of(config)
    assert before["pretrained"] == sha256(file.read_bytes()).hexdigest()
    torchvision_file(file, (1, 1, 1, 1))  # the same name, other weights: another training
    assert settings_of(config) != before


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


def test_a_card_names_the_hash_of_every_file_in_the_order_of_the_names(tmp_path: Path) -> None:
    files = [tmp_path / "a.pth", tmp_path / "b.pth"]
    for file in files:
        file.write_bytes(file.name.encode())
    source = ", ".join(map(str, files))
    hashes = [sha256(file.name.encode()).hexdigest() for file in files]
    assert provenance_of(source) == {"name": source, "licence": "the user's", "sha256": ", ".join(hashes)}
    assert hash_of(f"{files[1]},{files[0]}") == ", ".join(reversed(hashes))
