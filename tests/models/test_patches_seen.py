from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from models.bundle import write_bundle
from models.coarse_scan import enlarger_of
from models.data_patches import PatchSet
from models.degrade import enlarge_bicubic
from models.errors import TrainingError
from models.patches_seen import NATIVE, Sight, distort, distort_all, enlarge_patches, enlargement, mix, read_seen
from models.train_config import SourceConfig
from tests.models.examples import SMALL_SR, SMALL_UNET, card, network, tissue


def patch_set(side_px: int = 32, count: int = 4) -> PatchSet:
    pixels = np.stack([tissue(100, 100)[place:][:side_px, :side_px] for place in range(count)])
    return PatchSet(pixels, np.arange(count) % 2, np.array([f"p{place}" for place in range(count)]))


def written(folder: Path, side_px: int = 32) -> SourceConfig:
    rows = ["file,patient,label"]
    for place, patch in enumerate(patch_set(side_px).pixels):
        Image.fromarray(patch).save(folder / f"{place}.png")
        rows.append(f"{place}.png,p{place},{place % 2}")
    (folder / "index.csv").write_text("\n".join(rows), encoding="utf-8")
    return SourceConfig(name="set", licence="none", kind="files", path=".")


def sight(root: Path, field_px: int, sr_pre: str = NATIVE) -> Sight:
    return Sight(root=root, classes=("a", "b"), field_px=field_px, mpp=1.0, sr_pre=sr_pre, device="cpu")


def test_patches_as_they_are_are_not_enlarged() -> None:
    patches = patch_set()
    assert enlargement(NATIVE) is None
    assert enlarge_patches(patches, None) is patches


def test_patches_are_enlarged_one_by_one(tmp_path: Path) -> None:
    of = card(SMALL_SR)
    write_bundle(tmp_path / of.name, network(of), of)
    patches = patch_set()
    for name in ("bicubic-x2", str(tmp_path / of.name)):
        enlarged = enlarge_patches(patches, enlargement(name, "cpu"))
        assert enlarged.pixels.shape == (4, 64, 64, 3)
        alone = enlarger_of(name, device="cpu", precision="fp32").enlarge(patches.pixels[2])
        assert np.array_equal(enlarged.pixels[2], alone)
        assert enlarged.patients is patches.patients


def test_a_source_is_read_so_much_coarser_as_it_is_enlarged(tmp_path: Path) -> None:
    source = written(tmp_path)
    native, enlarged = read_seen(source, sight(tmp_path, 32)), read_seen(source, sight(tmp_path, 64, "bicubic-x2"))
    assert np.array_equal(enlarged.pixels[1], enlarge_bicubic(native.pixels[1], 2))


def test_a_field_that_no_enlargement_gives_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="33 px is nothing that was enlarged x2"):
        read_seen(written(tmp_path), sight(tmp_path, 33, "bicubic-x2"))


def test_a_bundle_that_does_not_enlarge_is_refused(tmp_path: Path) -> None:
    of = card(SMALL_UNET)
    write_bundle(tmp_path / of.name, network(of), of)
    with pytest.raises(TrainingError, match=r"sr_pre: .*a network for nuclei") as error:
        enlargement(str(tmp_path / of.name), "cpu")
    assert len(str(error.value).splitlines()) == 2


def test_no_distortion_is_the_identity() -> None:
    patch = patch_set().pixels[0]
    assert np.array_equal(distort(patch, 0.0, np.random.default_rng(0)), patch)


def test_a_distortion_moves_pixels_and_keeps_flat_ones() -> None:
    flat = np.full((40, 40, 3), (10, 120, 250), np.uint8)
    assert np.array_equal(distort(flat, 1.0, np.random.default_rng(0)), flat)
    patch = patch_set().pixels[0]
    moved = [distort(patch, 1.0, np.random.default_rng(seed)) for seed in (1, 1, 2)]
    assert np.array_equal(moved[0], moved[1])
    assert np.abs(moved[0].astype(int) - moved[2]).mean() > 5
    assert np.abs(moved[0].astype(int) - patch).mean() > 5


def test_a_distortion_is_no_larger_than_it_says() -> None:
    """A dot at the centre stays within what shift, and nothing else, moves a centre by."""
    dot = np.zeros((61, 61, 3), np.uint8)
    dot[29:32, 29:32] = 255
    for seed in range(20):
        bright = distort(dot, 1.0, np.random.default_rng(seed))[..., 0].astype(float)
        centre = [(bright.sum(1 - axis) * np.arange(61)).sum() / bright.sum() for axis in (0, 1)]
        # the map is from output to input: a shift is seen through the inverse of turn, shear and gain
        assert np.hypot(centre[0] - 30, centre[1] - 30) < 0.15 * 61 * 2**0.5 * 1.25 * 1.25


def test_what_is_judged_is_distorted_alike_each_time() -> None:
    patches = patch_set()
    once, again, other = (distort_all(patches, 1.0, seed) for seed in (3, 3, 4))
    assert np.array_equal(once.pixels, again.pixels)
    assert not np.array_equal(once.pixels, other.pixels)
    assert distort_all(patches, 0.0, 3) is patches


def test_mixed_images_lie_between_two_and_their_shares_say_where() -> None:
    images = torch.tensor([0, 100, 200, 50], dtype=torch.uint8)[:, None, None, None].expand(4, 3, 2, 2)
    labels = torch.tensor([0, 1, 2, 0])
    mixed, shares = mix(images, labels, 3, 0.4, np.random.default_rng(0))
    assert mixed.shape == images.shape
    assert mixed.dtype == torch.uint8
    assert torch.allclose(shares.sum(1), torch.ones(4))
    others = np.random.default_rng(0).permutation(4)
    for place in range(4):
        one, two = sorted((int(images[place, 0, 0, 0]), int(images[others[place], 0, 0, 0])))
        assert one <= int(mixed[place, 0, 0, 0]) <= two
        assert set(np.flatnonzero(shares[place].numpy())) <= {int(labels[place]), int(labels[others[place]])}


def test_mixing_by_a_huge_alpha_is_half_and_half() -> None:
    images = torch.tensor([0, 200], dtype=torch.uint8)[:, None, None, None].expand(2, 3, 1, 1)
    seed = next(seed for seed in range(9) if np.random.default_rng(seed).permutation(2)[0] == 1)
    mixed, shares = mix(images, torch.tensor([0, 1]), 2, 1e6, np.random.default_rng(seed))
    assert mixed[:, 0, 0, 0].tolist() == [100, 100]
    assert torch.allclose(shares, torch.full((2, 2), 0.5), atol=0.01)
