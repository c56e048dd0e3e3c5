"""Bundles are written whole, and read only when card, hash and every tensor agree."""

from __future__ import annotations

import hashlib
import json
import pickle
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor

from models.bundle import ARCHITECTURES, build_network, load_network, write_bundle
from models.card import Card
from models.errors import BundleError
from models.receptive_field import receptive_radius_px
from models.shelf import CARD_FILE, WEIGHTS_FILE, list_bundles, read_card
from tests.models.examples import SMALL_HYBRID, SMALL_SR, SMALL_SRGAN, SMALL_UNET, card, network

CARDS = [card(SMALL_SR), card(SMALL_SRGAN), card(SMALL_UNET), card(SMALL_HYBRID)]
each_card = pytest.mark.parametrize("of", CARDS, ids=["sr", "srgan", "unet", "hybrid"])


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    folder = tmp_path / "bundle"
    write_bundle(folder, network(card(SMALL_UNET)), card(SMALL_UNET))
    return folder


def rewrite_card(bundle: Path, **changes: Any) -> None:
    path = bundle / CARD_FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def rewrite_weights(bundle: Path, content: bytes) -> None:
    """Replace the weights, with a hash that agrees."""
    (bundle / WEIGHTS_FILE).write_bytes(content)
    rewrite_card(bundle, sha256=hashlib.sha256(content).hexdigest())


def refusal(bundle: Path, of_file: str) -> str:
    with pytest.raises(BundleError) as caught:
        load_network(bundle)
    message = str(caught.value)
    assert len(message.splitlines()) == 2
    assert message.startswith(f"{bundle / of_file}: ")
    return message


@each_card
def test_a_network_comes_back_with_its_weights_in_fp16(of: Card, tmp_path: Path) -> None:
    written = network(of)
    stated = write_bundle(tmp_path / "new" / "bundle", written, of)
    read = load_network(tmp_path / "new" / "bundle")
    assert not read.training
    assert stated.sha256 == hashlib.sha256((tmp_path / "new" / "bundle" / WEIGHTS_FILE).read_bytes()).hexdigest()
    state = read.state_dict()
    for name, tensor in written.state_dict().items():
        wanted = tensor.half().float() if tensor.is_floating_point() else tensor
        assert state[name].dtype == tensor.dtype
        assert torch.equal(state[name], wanted), name


@each_card
def test_a_card_comes_back_as_it_was_written(of: Card, tmp_path: Path) -> None:
    stated = write_bundle(tmp_path / "bundle", network(of), of)
    assert json.loads(read_card(tmp_path / "bundle").to_json()) == json.loads(stated.to_json())


def test_the_same_weights_make_the_same_bytes(tmp_path: Path) -> None:
    hashes = {write_bundle(tmp_path / name, network(CARDS[0]), CARDS[0]).sha256 for name in "ab"}
    assert len(hashes) == 1


def test_a_bundle_replaces_another_and_leaves_other_files_alone(bundle: Path) -> None:
    (bundle / "train.toml").write_text("seed = 1")
    write_bundle(bundle, network(CARDS[0]), CARDS[0])
    assert read_card(bundle).name == "small-sr"
    assert sorted(path.name for path in bundle.iterdir()) == [CARD_FILE, WEIGHTS_FILE, "train.toml"]
    load_network(bundle)


def test_weights_of_an_interrupted_replacement_are_refused(bundle: Path, tmp_path: Path) -> None:
    write_bundle(tmp_path / "other", network(card(SMALL_UNET), seed=1), card(SMALL_UNET))
    (tmp_path / "other" / WEIGHTS_FILE).replace(bundle / WEIGHTS_FILE)
    assert "sha256" in refusal(bundle, WEIGHTS_FILE)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda weights: weights[0, 0, 0, 0].fill_(torch.nan),
        lambda weights: weights[0, 0, 0, 0].fill_(torch.inf),
        lambda weights: weights[0, 0, 0, 0].fill_(70_000),
    ],
    ids=["nan", "infinite", "too large for fp16"],
)
def test_weights_that_are_not_finite_are_not_written(spoil: Callable[[Tensor], Tensor], tmp_path: Path) -> None:
    broken = network(card(SMALL_UNET))
    spoil(broken.state_dict()["encode.0.0.weight"])
    with pytest.raises(BundleError, match=r"encode\.0\.0\.weight"):
        write_bundle(tmp_path / "bundle", broken, card(SMALL_UNET))
    assert not (tmp_path / "bundle").exists()


def test_a_card_of_another_network_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"encode\.0\.0\.weight"):
        write_bundle(tmp_path / "bundle", network(card(SMALL_UNET)), card(replace(SMALL_UNET, base=8)))
    assert not (tmp_path / "bundle").exists()


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("mine")
    with pytest.raises(BundleError, match="taken"):
        write_bundle(tmp_path / "taken", network(CARDS[0]), CARDS[0])
    assert (tmp_path / "taken").read_text() == "mine"


def test_a_changed_byte_is_refused(bundle: Path) -> None:
    content = bytearray((bundle / WEIGHTS_FILE).read_bytes())
    content[-1] ^= 1
    (bundle / WEIGHTS_FILE).write_bytes(content)
    assert "sha256" in refusal(bundle, WEIGHTS_FILE)


def test_missing_weights_are_refused(bundle: Path) -> None:
    (bundle / WEIGHTS_FILE).unlink()
    refusal(bundle, WEIGHTS_FILE)


class Trap:
    """Unpickling this would be noticed."""

    sprung = False

    def __reduce__(self) -> tuple[Callable[[], None], tuple[()]]:
        return spring, ()


def spring() -> None:
    Trap.sprung = True


def test_a_pickle_is_refused_and_never_opened(bundle: Path) -> None:
    content = pickle.dumps(Trap())
    rewrite_weights(bundle, content)
    assert "not a safetensors file" in refusal(bundle, WEIGHTS_FILE)
    assert not Trap.sprung
    pickle.loads(content)
    assert Trap.sprung  # so the trap works


@pytest.mark.parametrize("content", [b"", b"\xff" * 8, b"\x10" + b"\x00" * 7 + b"{}"], ids=["empty", "huge", "torn"])
def test_torn_weights_are_refused(bundle: Path, content: bytes) -> None:
    rewrite_weights(bundle, content)
    assert "not a safetensors file" in refusal(bundle, WEIGHTS_FILE)


def test_more_bytes_than_the_network_can_need_are_not_read(bundle: Path) -> None:
    rewrite_weights(bundle, bytes(3 * 2**20))
    assert "longer than" in refusal(bundle, WEIGHTS_FILE)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda tensors: tensors.pop("classify.bias"), "lacks 1 tensors, 'classify.bias'"),
        (lambda tensors: tensors.update(extra=torch.zeros(1)), "has unknown 1 tensors, 'extra'"),
        (lambda tensors: tensors.update({"classify.bias": torch.zeros(4)}), "'classify.bias' is torch.float32 (4,)"),
        (lambda tensors: tensors.update({"classify.bias": torch.zeros(3, dtype=torch.int64)}), "torch.int64"),
        (lambda tensors: tensors.update({"classify.bias": torch.full((3,), torch.nan)}), "not finite"),
    ],
    ids=["missing", "unknown", "shape", "kind", "nan"],
)
def test_tensors_that_are_not_the_networks_are_refused(
    bundle: Path, change: Callable[[dict[str, Tensor]], object], words: str
) -> None:
    tensors = safetensors.torch.load((bundle / WEIGHTS_FILE).read_bytes())
    change(tensors)
    rewrite_weights(bundle, safetensors.torch.save(tensors))
    assert words in refusal(bundle, WEIGHTS_FILE)


@pytest.mark.parametrize(
    "changes",
    [
        {"architecture": "transformer"},
        {"architecture": "srresnet"},
        {"parameters": {"base": 10**9}},
        {"parameters": {"base": "4"}},
        {"parameters": {"base": None}},
        {"parameters": {"base": 4, "depth": 2, "bytecode": "x"}},
        {"parameters": {"base": 4, "depth": 2, "classes": 4}},
        {"classes": ["background", "nucleus"]},
        {"stride_px": 2},
        {"mpp": float("nan")},
    ],
    ids=str,
)
def test_a_card_that_fits_no_network_is_refused(bundle: Path, changes: dict[str, Any]) -> None:
    rewrite_card(bundle, **changes)
    refusal(bundle, CARD_FILE)


def test_a_card_alone_cannot_take_memory(bundle: Path) -> None:
    rewrite_card(bundle, parameters={"base": 256, "depth": 6}, stride_px=64)  # 8 billion parameters
    refusal(bundle, WEIGHTS_FILE)


def test_a_scale_that_is_not_the_networks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="scale is 4"):
        write_bundle(tmp_path / "bundle", network(CARDS[0]), replace(CARDS[0], scale=4))


@each_card
def test_every_architecture_builds_from_its_card(of: Card) -> None:
    assert of.task in ARCHITECTURES[of.architecture].tasks
    assert build_network(of).training


@pytest.mark.parametrize("shipped", list_bundles(), ids=lambda one: one.name)
def test_a_shipped_bundle_loads(shipped: Card) -> None:
    assert not load_network(shipped.name).training


@pytest.mark.parametrize(
    "shipped", [one for one in list_bundles() if one.task != "classification"], ids=lambda one: one.name
)
def test_a_shipped_bundle_states_its_true_radius(shipped: Card) -> None:
    # these look as far, and are quick
    narrow: dict[str, Any] = {"channels": 4} if shipped.architecture == "srresnet" else {"fine": 4}
    built = build_network(replace(shipped, parameters={**shipped.parameters, **narrow}))
    measured_px = receptive_radius_px(built, scale=shipped.scale or 1, stride_px=shipped.stride_px)
    assert shipped.receptive_radius_px == measured_px


def test_loading_a_network_leaves_torchs_compiler_alone() -> None:
    code = (
        "import sys; from models.bundle import list_bundles, load_network\n"
        "for card in list_bundles(): load_network(card.name)\n"
        "sys.exit('torch._dynamo' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
