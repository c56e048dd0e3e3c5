"""Torchvision's files: read without running what they hide, fitted by name and shape, refused by name."""

from __future__ import annotations

import pickle
import re
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor

from models.errors import TrainingError
from models.resnet import ResNet, ResNetConfig
from models.torchvision_weights import begin_resnet, read_tensors

TINY: dict[str, Any] = {"depths": (1, 1, 1, 1), "width": 4}


def resnet(seed: int = 0, **changes: Any) -> ResNet:
    torch.manual_seed(seed)
    network = ResNet(ResNetConfig(**TINY | changes))
    for buffer in network.buffers():
        buffer.fill_(seed + 2)
    return network


def published(**changes: Any) -> dict[str, Tensor]:
    """A state dict with ImageNet's thousand classes."""
    return resnet(seed=1, classes=1000, **changes).state_dict()


def same(network: ResNet, tensors: dict[str, Tensor], leaving_out: str = "fc.") -> bool:
    state = network.state_dict()
    return all(torch.equal(state[name], one) for name, one in tensors.items() if not name.startswith(leaving_out))


class Hidden:
    """What a pickle can do: run something when it is read."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return Path.touch, (self.mark,)


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".safetensors"])
def test_a_file_gives_back_the_tensors_that_went_in(tmp_path: Path, suffix: str) -> None:
    weights, path = published(), tmp_path / f"resnet{suffix}"
    (safetensors.torch.save_file if suffix == ".safetensors" else torch.save)(weights, path)
    read = read_tensors(path)
    assert read.keys() == weights.keys()
    assert all(torch.equal(read[name], one) for name, one in weights.items())


def test_what_a_pickle_hides_is_not_run(tmp_path: Path) -> None:
    mark, path = tmp_path / "mark", tmp_path / "resnet.pth"
    torch.save({"conv1.weight": Hidden(mark)}, path)
    with pytest.raises(TrainingError, match=r"resnet\.pth: no readable weights .*more in it than tensors"):
        read_tensors(path)
    assert not mark.exists()
    torch.load(path, weights_only=False)
    assert mark.exists()  # it was loaded


DAMAGED = {
    "absent": None,
    "empty": b"",
    "text": b"no weights at all",
    "zip": b"PK\x03\x04 and then nothing",
    "pickle": pickle.dumps({"conv1.weight": 1}),
    "half a pickle": b"\x80\x02K",
}


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED.keys())
@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_a_file_that_holds_no_weights_is_refused_in_two_lines(
    tmp_path: Path, suffix: str, content: bytes | None
) -> None:
    path = tmp_path / f"none{suffix}"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(TrainingError, match=rf"none\{suffix}: no readable weights") as refusal:
        read_tensors(path)
    assert str(refusal.value).count("\n") == 1
    assert "weights_only" not in str(refusal.value)  # torch would have a user switch the safeguard off


def test_a_file_cut_short_is_refused(tmp_path: Path) -> None:
    whole, path = tmp_path / "whole.pth", tmp_path / "cut.pth"
    torch.save(published(), whole)
    path.write_bytes(whole.read_bytes()[:5000])
    with pytest.raises(TrainingError, match=r"cut\.pth: no readable weights"):
        read_tensors(path)


@pytest.mark.parametrize(
    ("held", "inside"),
    [({"state_dict": {}, "epoch": 3}, r"a table of 2 \(epoch, state_dict\)"), ([torch.zeros(1)], "a list")],
)
def test_a_file_with_more_around_its_tensors_is_refused(tmp_path: Path, held: Any, inside: str) -> None:
    torch.save(held, tmp_path / "checkpoint.pth")
    with pytest.raises(TrainingError, match=rf"checkpoint\.pth: no readable weights \({inside}"):
        read_tensors(tmp_path / "checkpoint.pth")


@pytest.mark.parametrize("classes", [None, 2])
def test_all_but_another_number_of_classes_goes_into_the_network(classes: int | None) -> None:
    network, weights = resnet(classes=classes), published()
    before = {name: one.clone() for name, one in network.state_dict().items()}
    begin_resnet(network, weights, "file")
    assert same(network, weights)
    state = network.state_dict()
    assert all(torch.equal(state[name], one) for name, one in before.items() if name.startswith("fc."))


def test_the_same_number_of_classes_goes_in_too() -> None:
    network, weights = resnet(classes=1000), published()
    begin_resnet(network, weights, "file")
    assert same(network, weights, leaving_out="nothing")


def test_a_file_without_a_last_layer_fits() -> None:
    network, weights = resnet(classes=2), resnet(seed=1).state_dict()
    begin_resnet(network, weights, "file")
    assert same(network, weights)


def test_torchvisions_first_files_which_count_no_batches_fit() -> None:
    network = resnet()
    old = {name: one for name, one in published().items() if not name.endswith("num_batches_tracked")}
    begin_resnet(network, old, "file")
    assert same(network, old)


def test_half_precision_is_read_into_single() -> None:
    network, weights = resnet(), published()
    begin_resnet(network, {name: one.half() for name, one in weights.items()}, "file")
    assert network.conv1.weight.dtype == torch.float32
    torch.testing.assert_close(network.conv1.weight, weights["conv1.weight"], atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize(
    ("own", "file", "what"),
    [
        ({"depths": (1, 1, 2, 1)}, {}, r"lacks 15 \(layer3\.1\.bn1\.bias, layer3\.1\.bn1\.running_mean, .*, \.\.\.\)$"),
        ({}, {"depths": (1, 1, 2, 1)}, r"has unknown 15 \(layer3\.1\.bn1\.bias, .*\.\.\.\)$"),
        ({"stem": "small"}, {}, r"has other shapes 1 \(conv1\.weight \(4, 3, 7, 7\) for \(4, 3, 3, 3\)\)$"),
        ({"width": 8}, {}, r"has other shapes \d+ \(bn1\.bias \(4,\) for \(8,\), "),
        ({"groups": 2, "width_per_group": 32}, {}, r"has other shapes 4 \(layer1\.0\.conv2\.weight \(4, 4, 3, 3\) for"),
        ({}, {"block": "basic"}, r"lacks \d+ \(.*\); has unknown \d+ \(|lacks \d+ \(.*\); has other shapes"),
    ],
    ids=["deeper", "shallower", "small stem", "wider", "grouped", "other blocks"],
)
def test_what_does_not_fit_is_named_and_nothing_changes(own: dict[str, Any], file: dict[str, Any], what: str) -> None:
    network, weights = resnet(**own), published(**file)
    before = {name: one.clone() for name, one in network.state_dict().items()}
    with pytest.raises(TrainingError) as refusal:
        begin_resnet(network, weights, "resnet.pth")
    first = str(refusal.value).splitlines()[0]
    assert first.startswith("resnet.pth: not this ResNet's weights: ")
    assert re.search(what, first), first
    assert same(network, before, leaving_out="nothing")
