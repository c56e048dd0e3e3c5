"""Predictors: numpy in, numpy out, the same bytes whatever comes along, and no seams."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor, nn

from models.bundle import write_bundle
from models.card import Card, Normalisation
from models.errors import BundleError, DeviceError
from models.fold import fold
from models.nuclei_unet import NucleiUNetConfig
from models.predict import Cascade, Predictor, load_cascade, load_predictor, resolve_device
from models.shelf import list_bundles
from tests.models.examples import (
    SMALL_HYBRID,
    SMALL_SR,
    SMALL_SRGAN,
    SMALL_UNET,
    Pixels,
    card,
    kidney,
    network,
    predictor,
    tile_wise,
    tissue,
)

CPU = torch.device("cpu")
DENSE = [card(SMALL_SR), card(SMALL_SRGAN), card(SMALL_UNET)]
each_dense = pytest.mark.parametrize("of", DENSE, ids=["sr", "srgan", "unet"])
each_task = pytest.mark.parametrize("of", [*DENSE, card(SMALL_HYBRID)], ids=["sr", "srgan", "unet", "hybrid"])


def tiles(count: int, height: int = 50, width: int = 50, seed: int = 0) -> Pixels:
    """(n, y, x, 3): crops of real tissue."""
    image, random = tissue(512, 512), np.random.default_rng(seed)
    corners = random.integers(0, (512 - height, 512 - width), (count, 2))
    crops = [image[y : y + height, x : x + width] for y, x in corners]
    return np.array(crops, np.uint8).reshape(count, height, width, 3)


def grey_levels(one: NDArray[Any], other: NDArray[Any]) -> int:
    """The largest difference of two uint8 images."""
    return int(np.abs(one.astype(int) - other.astype(int)).max())


@each_task
@pytest.mark.parametrize("count", [0, 1, 3])
def test_the_output_has_its_tasks_shape_and_type(of: Card, count: int) -> None:
    output = predictor(of)(tiles(count))
    if of.task == "superresolution":
        assert output.shape == (count, 50 * (of.scale or 0), 50 * (of.scale or 0), 3)
        assert output.dtype == np.uint8
        return
    assert output.shape == ((count, 50, 50, 3) if of.task == "nuclei" else (count, 2))
    assert output.dtype == np.float32
    np.testing.assert_allclose(output.sum(-1), 1, atol=1e-5)


@settings(max_examples=15, deadline=None)
@given(height=st.integers(1, 40), width=st.integers(1, 40))
def test_dense_networks_take_any_side(height: int, width: int) -> None:
    for of in DENSE:
        scale = of.scale or 1
        assert predictor(of)(tiles(1, height, width)).shape == (1, height * scale, width * scale, 3)


def test_what_is_filled_up_to_the_stride_repeats_the_last_px() -> None:
    segment, tile = predictor(card(SMALL_UNET)), tiles(1, 49, 50)
    filled = np.pad(tile, ((0, 0), (0, 3), (0, 2), (0, 0)), mode="edge")
    np.testing.assert_array_equal(segment(tile), segment(filled)[:, :49, :50])


@each_task
def test_a_predictor_computes_its_network(of: Card) -> None:
    tile, exact = tiles(1, 52, 52) if of.task != "classification" else tiles(1), network(of)
    with torch.no_grad():
        output = exact(torch.from_numpy(tile).permute(0, 3, 1, 2) / 255)
    if of.task == "superresolution":
        wanted = (output.clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
        found = predictor(of)(tile)
        assert found.std() > 5
        assert grey_levels(found, wanted) <= 1
        return
    wanted = output.softmax(1).movedim(1, -1).numpy()
    assert wanted.std() > 0.01
    np.testing.assert_allclose(predictor(of)(tile), wanted, atol=1e-5)


def test_the_cards_normalisation_is_applied() -> None:
    normalisation = Normalisation((0.7, 0.5, 0.6), (0.2, 0.25, 0.3))
    plain, normalised = card(SMALL_UNET), card(SMALL_UNET, normalisation=normalisation)
    tile = tiles(1, 48, 48)
    image = (tile / 255 - normalisation.mean) / normalisation.std
    with torch.no_grad():
        logits = network(plain)(torch.from_numpy(image).float().permute(0, 3, 1, 2))
    np.testing.assert_allclose(predictor(normalised)(tile)[0], logits.softmax(1)[0].permute(1, 2, 0), atol=1e-5)


def test_super_resolution_stays_within_8_bits() -> None:
    of, bright = card(SMALL_SR), network(card(SMALL_SR))
    with torch.no_grad():
        bright.tail.bias.copy_(torch.tensor([5.0, -5.0, 0.0]))  # type: ignore[union-attr,operator]
    output = Predictor(of, bright, CPU, "fp32")(tiles(1))
    assert (output[..., 0] == 255).all()
    assert (output[..., 1] == 0).all()


# --- seams


@each_dense
@settings(max_examples=12, deadline=None)
@given(core=st.integers(3, 20), height=st.integers(60, 110), width=st.integers(60, 110))
def test_tile_wise_output_is_the_whole_images(of: Card, core: int, height: int, width: int) -> None:
    compute, image = predictor(of), tissue(height, width)
    scale, core_px = compute.scale, core * 4
    whole = compute(image[None])[0]
    joined = tile_wise(
        lambda tile: compute(tile[None])[0], image, core_px=core_px, halo_px=compute.halo_px, scale=scale
    )
    if of.task == "superresolution":
        assert grey_levels(joined, whole) <= 1
    else:
        np.testing.assert_allclose(joined, whole, atol=1e-5 * whole.std())


def floating(of: Card) -> tuple[Any, int]:
    """Return a function from (y, x, 3) uint8 to the folded network's own fp32 output (y, x, c), and the halo."""
    folded = fold(network(of))

    def compute(image: Pixels) -> NDArray[np.float32]:
        with torch.inference_mode():
            output: Tensor = folded(torch.from_numpy(image).permute(2, 0, 1)[None] / 255)
        return output[0].permute(1, 2, 0).numpy()

    return compute, predictor(of).halo_px


@each_dense
def test_with_the_halo_nothing_is_left_of_the_seams_and_with_less_there_is(of: Card) -> None:
    (compute, halo_px), image, scale = floating(of), tissue(128, 160), of.scale or 1
    whole = compute(image)
    with_halo, with_less = (
        np.abs(tile_wise(compute, image, core_px=48, halo_px=px, scale=scale) - whole).max() for px in (halo_px, 4)
    )
    assert with_halo <= 1e-5 * whole.std()
    assert with_less > 1e-3 * whole.std()


@pytest.mark.slides
@pytest.mark.parametrize("of", [card(SMALL_SR), card(NucleiUNetConfig(base=8))], ids=["sr", "unet"])
def test_there_are_no_seams_in_an_h_and_e_section(of: Card) -> None:
    (compute, halo_px), image, scale = floating(of), kidney(512, 512), of.scale or 1
    whole = compute(image)
    joined = tile_wise(compute, image, core_px=256, halo_px=halo_px, scale=scale)
    assert np.abs(joined - whole).max() <= 1e-5 * whole.std()


@pytest.mark.parametrize(
    "shipped", [one for one in list_bundles() if one.task != "classification"], ids=lambda one: one.name
)
def test_shipped_bundles_leave_no_seams(shipped: Card) -> None:
    compute = load_predictor(shipped.name, "cpu", "fp32")
    core_px, halo_px = compute.halo_px + 32, compute.halo_px  # so that each of four tiles misses 32 px of the image
    image = tissue(2 * core_px, 2 * core_px)
    whole = compute(image[None])[0]
    joined = tile_wise(
        lambda tile: compute(tile[None])[0], image, core_px=core_px, halo_px=halo_px, scale=compute.scale
    )
    if shipped.task == "superresolution":
        assert grey_levels(joined, whole) <= 1
    else:
        np.testing.assert_allclose(joined, whole, atol=1e-5 * whole.std())


# --- the same bytes


@each_task
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_tile_gives_the_same_bytes_whatever_comes_along(of: Card, precision: Any) -> None:
    compute, batch = predictor(of, precision), tiles(21)
    together = compute(batch)
    assert np.array_equal(compute(batch[::-1])[::-1], together)
    for number in (0, 7, 20):
        assert np.array_equal(compute(batch[number : number + 1])[0], together[number])


@each_task
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_tile_gives_the_same_bytes_with_one_thread_and_with_two(of: Card, precision: Any) -> None:
    compute, before = predictor(of, precision), torch.get_num_threads()
    batch = tiles(1, 211, 250) if of.task != "classification" else tiles(20)
    outputs = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            outputs.append(compute(batch))
    finally:
        torch.set_num_threads(before)
    assert np.array_equal(outputs[0], outputs[1])


@each_task
def test_threads_may_share_a_predictor(of: Card) -> None:
    compute, batches = predictor(of), [tiles(3, seed=seed) for seed in range(6)]
    found: dict[int, NDArray[Any]] = {}
    threads = [
        threading.Thread(target=lambda seed=seed: found.update({seed: compute(batches[seed])})) for seed in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for seed, batch in enumerate(batches):
        assert np.array_equal(found[seed], compute(batch))


def test_tiles_are_left_as_they_are_and_may_be_read_only() -> None:
    batch = tiles(2)
    kept = batch.copy()
    batch.flags.writeable = False
    predictor(card(SMALL_SR))(batch)
    assert np.array_equal(batch, kept)


# --- precision and device


@each_dense
def test_bf16_stays_within_2_grey_levels(of: Card) -> None:
    batch = tiles(2, 96, 96)
    exact, rounded = predictor(of)(batch), predictor(of, "bf16")(batch)
    if of.task == "superresolution" and of.parameters["residual"] == "bicubic":
        assert 0 < grey_levels(exact, rounded) <= 2
    else:  # without the exact residual 8 bits of mantissa carry the whole image
        difference = np.abs(exact.astype(float) - rounded) / (255 if exact.dtype == np.uint8 else 1)
        assert 0 < difference.mean() < 0.01


@pytest.mark.parametrize(
    "shipped", [one for one in list_bundles() if one.task == "superresolution"], ids=lambda one: one.name
)
def test_shipped_super_resolution_in_bf16_stays_within_2_grey_levels(shipped: Card) -> None:
    """A pupil's few channels average less of the rounding away: of 10,000 values one is further off, by 4 at most."""
    batch = tiles(2, 128, 128)
    exact, rounded = (load_predictor(shipped.name, "cpu", precision)(batch) for precision in ("fp32", "bf16"))
    pupil = bool(shipped.training.get("teacher"))
    assert grey_levels(exact, rounded) <= (4 if pupil else 2)
    assert np.mean(np.abs(exact.astype(float) - rounded) > 2) <= 1e-4


def test_device_and_precision_are_stated() -> None:
    compute = predictor(card(SMALL_SR), "bf16")
    assert (compute.device, compute.precision) == ("cpu", "bf16")
    assert resolve_device("cpu", "fp32") == ("cpu", "fp32")
    assert resolve_device("cpu", "bf16") == ("cpu", "bf16")
    assert resolve_device()[1] in ("fp32", "bf16")


@pytest.mark.parametrize("device", ["gpu", "cuda:99", "mps", "meta", ""])
def test_a_device_that_is_not_there_is_refused(device: str) -> None:
    with pytest.raises(DeviceError) as caught:
        resolve_device(device)
    assert len(str(caught.value).splitlines()) == 2


def test_a_precision_that_is_none_is_refused() -> None:
    with pytest.raises(DeviceError, match="int4"):
        resolve_device("cpu", "int4")


class Greedy(nn.Module):
    """A network whose device runs out of memory beyond so many patches."""

    def __init__(self, inner: Callable[[Tensor], Tensor], fits: int) -> None:
        super().__init__()
        self.inner = inner
        self.fits = fits
        self.calls: list[int] = []

    def forward(self, image: Tensor) -> Tensor:
        self.calls.append(len(image))
        if len(image) > self.fits:
            raise torch.OutOfMemoryError
        output: Tensor = self.inner(image)
        return output


def greedy(of: Card, fits: int) -> tuple[Predictor, Greedy]:
    compute = predictor(of)
    compute._compute = Greedy(compute._compute, fits)
    return compute, compute._compute


def test_when_memory_runs_out_half_as_many_patches_go_at_once_from_then_on() -> None:
    compute, inner = greedy(card(SMALL_HYBRID), fits=5)
    np.testing.assert_allclose(compute(tiles(9)), predictor(card(SMALL_HYBRID))(tiles(9)), atol=1e-6)
    assert inner.calls == [16, 8, 4, 4, 4]
    compute(tiles(1))
    assert inner.calls[5:] == [4]


def test_a_tile_that_does_not_fit_alone_is_an_error_with_a_way_out() -> None:
    compute, _ = greedy(card(SMALL_UNET), fits=0)
    with pytest.raises(DeviceError, match="50 x 50 px") as caught:
        compute(tiles(1))
    assert "--core-px" in str(caught.value).splitlines()[1]


@pytest.mark.parametrize(
    "wrong",
    [np.zeros((8, 8, 3), np.uint8), np.zeros((1, 8, 8, 4), np.uint8), np.zeros((1, 8, 8, 3), np.float32),
     np.zeros((1, 0, 8, 3), np.uint8)],
    ids=["no n", "RGBA", "float", "empty"],
)  # fmt: skip
def test_other_arrays_are_refused(wrong: NDArray[Any]) -> None:
    with pytest.raises(ValueError, match="small-sr wants uint8"):
        predictor(card(SMALL_SR))(wrong)


def test_a_classifier_takes_its_own_field_only() -> None:
    with pytest.raises(ValueError, match="50, 50, 3"):
        predictor(card(SMALL_HYBRID))(tiles(1, 64, 64))


# --- bundles and cascades


def test_a_bundles_loader_travels_as_a_pickle(tmp_path: Path) -> None:
    of = card(SMALL_SR)
    write_bundle(tmp_path / "sr", network(of), of)
    loader = partial(load_predictor, tmp_path / "sr", device="cpu", precision="fp32")
    compute = pickle.loads(pickle.dumps(loader))()
    assert (compute.scale, compute.card.name, compute.halo_px) == (2, "small-sr", 12)
    assert np.array_equal(compute(tiles(1)), loader()(tiles(1)))


@pytest.fixture
def shelf(tmp_path: Path) -> tuple[Path, Path]:
    for name, config, mpp in (("first", SMALL_SR, 1.0), ("last", replace(SMALL_SR, blocks=1, head_kernel=3), 0.5)):
        of = card(config, name=name, mpp=mpp)
        built = predictor(of, seed=len(name)).card
        write_bundle(tmp_path / name, network(of, seed=len(name)), built)
    return tmp_path / "first", tmp_path / "last"


def test_a_cascade_is_one_network_behind_the_other(shelf: tuple[Path, Path]) -> None:
    chain = load_cascade(shelf, "cpu", "fp32")
    first, last = (load_predictor(folder, "cpu", "fp32") for folder in shelf)
    assert np.array_equal(chain(tiles(2)), last(first(tiles(2)).astype(np.uint8)))
    assert (chain.scale, chain.card.name, chain.card.mpp) == (4, "first+last", 1.0)
    assert (chain.device, chain.precision, chain.stride_px) == ("cpu", "fp32", 1)


def test_a_cascades_halo_is_counted_in_px_of_the_first_input(shelf: tuple[Path, Path]) -> None:
    chain = load_cascade(shelf, "cpu", "fp32")
    first, last = (one.halo_px for one in chain.predictors)
    assert chain.halo_px == first + -(-last // 2)


@settings(max_examples=8, deadline=None)
@given(core_px=st.integers(20, 60), seed=st.integers(0, 100))
def test_a_cascade_leaves_no_seams(core_px: int, seed: int) -> None:
    chain = Cascade([predictor(card(SMALL_SR), seed=seed), predictor(card(SMALL_SR), seed=seed + 1)])
    image = tissue(90, 100)
    joined = tile_wise(lambda tile: chain(tile[None])[0], image, core_px=core_px, halo_px=chain.halo_px, scale=4)
    assert grey_levels(joined, chain(image[None])[0]) <= 1


def test_a_bundle_that_comes_twice_is_loaded_once(shelf: tuple[Path, Path]) -> None:
    chain = load_cascade([shelf[0], shelf[0]], "cpu", "fp32")
    assert chain.predictors[0] is chain.predictors[1]


def test_only_super_resolution_can_be_chained() -> None:
    for wrong in ([], [predictor(card(SMALL_SR)), predictor(card(SMALL_UNET))]):
        with pytest.raises(BundleError, match="only super-resolution"):
            Cascade(wrong)
