from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from models.augment import orient
from models.data_super_resolution import draw_pair, make_pair, read_pairs, read_sets
from models.degrade import Degradation, degrade, reduce_bicubic
from models.errors import TrainingError
from models.pairs import Pair, PairSet
from models.train_config import SourceConfig
from tests.models.examples import tissue


def source(kind: str = "images", path: str = ".", **changes: object) -> SourceConfig:
    return SourceConfig(name="set", licence="none", kind=kind, path=path, **changes)  # type: ignore[arg-type]


def one_pair(scale: int, degradation: Degradation = "bicubic_aa") -> PairSet:
    pair = make_pair("a", tissue(200, 168), scale, "bicubic_aa" if degradation == "pyramid" else degradation)
    return PairSet(1.0, [pair], [], [], train_patients=("a",), test_patients=(), degradation=degradation)


def write_tiles(folder: Path, **sides: int) -> None:
    for name, side in sides.items():
        Image.fromarray(tissue(side, side)).save(folder / f"{name.replace('_', '-')}.png")


def test_a_pair_is_an_image_and_its_rounded_reduction() -> None:
    pair = make_pair("a", tissue(65, 67), 2)
    assert pair.high.shape == (64, 66, 3)
    assert pair.low.shape == (32, 33, 3)
    assert np.array_equal(pair.low, reduce_bicubic(pair.high, 2))


def test_a_pair_made_by_lot_is_the_same_for_a_name_and_a_seed() -> None:
    lows = [
        make_pair(name, tissue(64, 64), 2, "blur_noise_jpeg", seed=seed).low
        for name, seed in (("a", 0), ("a", 0), ("b", 0), ("a", 1))
    ]
    assert np.array_equal(lows[0], lows[1])
    assert not np.array_equal(lows[0], lows[2])
    assert not np.array_equal(lows[0], lows[3])


@pytest.mark.parametrize("scale", [2, 4])
@pytest.mark.parametrize("stain", [0.0, 0.2])
def test_crops_of_high_and_low_show_the_same_place(scale: int, stain: float) -> None:
    for seed in range(6):
        low, high = draw_pair([one_pair(scale)], 48, scale, np.random.default_rng(seed), stain=stain)
        assert high.shape == (48, 48, 3)
        assert low.shape == (48 // scale, 48 // scale, 3)
        # All but the crop's border, which its reduction saw more of.
        difference = reduce_bicubic(np.ascontiguousarray(high), scale).astype(int) - low
        assert np.abs(difference[3:-3, 3:-3]).max() <= 1


@pytest.mark.parametrize("degradation", ["bicubic_aa", "bilinear_aa"])
@pytest.mark.parametrize("stain", [0.0, 1e-9])  # a jitter that changes nothing, so that the crop is reduced on its own
def test_a_crop_of_low_is_the_whole_images_reduction_up_to_its_border(degradation: Degradation, stain: float) -> None:
    pairs = one_pair(4, degradation)
    whole = degrade(pairs.train[0].high, 4, degradation, np.random.default_rng(0))
    windows = np.lib.stride_tricks.sliding_window_view(whole, (12, 12, 3))[:, :, 0]
    for seed in range(4):
        low, _ = draw_pair([pairs], 48, 4, np.random.default_rng(seed), stain=stain)
        assert any((windows == orient(low, turn)).all(axis=(2, 3, 4)).any() for turn in range(8))


def test_stain_changes_both_images_and_leaves_the_place() -> None:
    plain, stained = (draw_pair([one_pair(2)], 48, 2, np.random.default_rng(3), stain=stain) for stain in (0.0, 0.3))
    assert np.abs(plain[1].astype(int) - stained[1]).mean() > 2
    assert np.abs(plain[0].astype(int) - stained[0]).mean() > 2


def test_the_levels_of_a_slide_are_stained_alike() -> None:
    high = np.full((64, 64, 3), (180, 90, 160), np.uint8)
    high[::7, ::5] = (90, 40, 100)
    pair = Pair("a", high, high[::2, ::2], "a")
    pairs = PairSet(1.0, [pair], [], [], train_patients=(), test_patients=(), degradation="pyramid")
    low, drawn = draw_pair([pairs], 64, 2, np.random.default_rng(0), stain=0.3)
    assert not np.array_equal(np.unique(drawn.reshape(-1, 3), axis=0), np.unique(high.reshape(-1, 3), axis=0))
    assert np.array_equal(np.unique(low.reshape(-1, 3), axis=0), np.unique(drawn.reshape(-1, 3), axis=0))


def test_degradations_by_lot_are_fresh_at_every_draw_and_follow_from_the_generator() -> None:
    pairs, rng = one_pair(2, "blur_noise_jpeg"), np.random.default_rng(0)
    lows = [draw_pair([pairs], 160, 2, rng)[0].astype(float) for _ in range(4)]
    sharpness = [np.abs(np.diff(low, axis=0)).mean() for low in lows]
    assert np.ptp(sharpness) > 0.02 * np.mean(sharpness)
    same = draw_pair([pairs], 160, 2, np.random.default_rng(0))[0]
    assert np.array_equal(same, lows[0])


def test_images_are_split_by_patient(tmp_path: Path) -> None:
    write_tiles(tmp_path, p1_a=16, p1_b=16, p2_a=16, p3_a=16)
    config = source(patient=r"(p\d)", test=("p1",), validation=("p2",))
    pairs = read_pairs(config, tmp_path, 2, seed=0)
    assert [len(part) for part in (pairs.train, pairs.validation, pairs.test)] == [1, 1, 2]
    assert pairs.test_patients == ("p1",)
    assert [pair.patient for pair in pairs.test] == ["p1", "p1"]
    assert pairs.skipped == ()


def test_a_patient_whom_one_source_tests_is_not_trained_on_by_another(tmp_path: Path) -> None:
    for folder in ("one", "other"):
        (tmp_path / folder).mkdir()
        write_tiles(tmp_path / folder, p1_a=16, p2_a=16)
    kept, leaking = source(path="one", patient=r"(p\d)", test=("p1",)), source(path="other", patient=r"(p\d)")
    with pytest.raises(TrainingError, match=r"share 1 patients \(p1\)"):
        read_sets([kept, leaking], tmp_path, 2, seed=0)
    also_kept = source(path="other", patient=r"(p\d)", test=("p1",))
    assert [len(one.train) for one in read_sets([kept, also_kept], tmp_path, 2, seed=0)] == [1, 1]


def test_tiles_that_cannot_be_read_or_are_too_small_are_named_and_the_training_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_tiles(tmp_path, good=64, small=31)
    (tmp_path / "cut.png").write_bytes((tmp_path / "good.png").read_bytes()[:2000])
    (tmp_path / "text.jpg").write_text("no image")
    pairs = read_pairs(source(), tmp_path, 2, seed=0, crop_px=32)
    assert [pair.name for pair in pairs.train] == ["good"]
    assert pairs.train_patients == ("good",)
    cut, small, text = pairs.skipped
    assert "cut.png: cannot be read" in cut
    assert "small.png: 31 x 31 px, smaller than the crops of 32 px" in small
    assert "text.jpg: cannot be read" in text
    assert "3 of 4 tiles are not used" in caplog.text


def test_a_folder_of_tiles_none_of_which_can_be_used_is_refused(tmp_path: Path) -> None:
    write_tiles(tmp_path, a=31)
    with pytest.raises(TrainingError, match=r"none of 1 tiles can be used .*a\.png: 31 x 31 px") as error:
        read_pairs(source(), tmp_path, 2, seed=0, crop_px=32)
    assert str(error.value).count("\n") == 1


def test_a_crop_larger_than_an_image_is_refused_when_it_is_drawn() -> None:
    with pytest.raises(TrainingError, match="a: smaller, once reduced, than the crops of 128 px"):
        draw_pair([one_pair(2)], 256, 2, np.random.default_rng(0))


@pytest.mark.parametrize(("kind", "degradation"), [("masks", "bicubic_aa"), ("images", "pyramid")])
def test_a_source_that_makes_no_pairs_is_refused(tmp_path: Path, kind: str, degradation: str) -> None:
    with pytest.raises(TrainingError, match=f"no kind '{kind}' of pairs with degradation '{degradation}'"):
        read_pairs(source(kind, degradation=degradation), tmp_path, 2, seed=0)


def test_memory_is_bounded_and_what_is_drawn_does_not_depend_on_it(tmp_path: Path) -> None:
    write_tiles(tmp_path, a=512, b=512, c=512)
    small, large = (read_pairs(source(cache_mib=mib), tmp_path, 2, seed=0) for mib in (1, 64))
    for seed in range(5):
        for one, other in zip(
            *(draw_pair([s], 48, 2, np.random.default_rng(seed)) for s in (small, large)), strict=True
        ):
            assert np.array_equal(one, other)


def test_a_slide_is_a_source_as_a_folder_is(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "s.tif", tissue(300, 400), tile=(128, 128), photometric="rgb")
    pairs = read_pairs(source("slide", "s.tif"), tmp_path, 4, seed=0, crop_px=96)
    assert [pair.high.shape for pair in pairs.train] == [(300, 300, 3)]
    assert np.array_equal(pairs.train[0].high, tissue(300, 300))


@pytest.mark.slides
def test_crops_of_a_retina_hit_its_disc_not_the_black_around_it(data: Path) -> None:
    pairs = read_pairs(source(path="retina/chasedb1", patient=r"Image_(\d+)"), data, 4, seed=0, crop_px=96)
    assert len(pairs.train) == 28
    assert len(pairs.train_patients) == 14
    rng = np.random.default_rng(0)
    disc = [(draw_pair([pairs], 96, 4, rng)[0].max(axis=2) > 30).mean() for _ in range(300)]
    assert np.mean(np.greater(disc, 0.5)) > 0.8
    assert np.mean(np.less(disc, 0.01)) < 0.02
