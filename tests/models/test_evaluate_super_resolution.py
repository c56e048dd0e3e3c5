from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from models.degrade import cut_to_multiple, enlarge_bicubic, reduce_bicubic
from models.evaluate_super_resolution import (
    SUPER_RESOLUTION_MEASURES,
    Judgement,
    evaluate_super_resolution,
    judge_pair,
    least_side_px,
    summarise,
)
from models.pairs import Pair
from tests.models.examples import tissue

Pixels = NDArray[np.uint8]


def pair(height: int = 64, width: int = 64, patient: str = "", scale: int = 2) -> Pair:
    high = cut_to_multiple(tissue(height, width), scale)
    return Pair(f"{height} x {width}", high, reduce_bicubic(high, scale), patient)


def doubled(low: Pixels) -> Pixels:
    """Every pixel four times: its reduction is not the input, but near."""
    return low.repeat(2, axis=0).repeat(2, axis=1)


def test_bicubic_gains_nothing_over_bicubic() -> None:
    pairs = [pair(64, 64), pair(64, 48)]
    method, bicubic = evaluate_super_resolution(pairs, lambda low: enlarge_bicubic(low, 2), 2)
    assert method["psnr_rgb_gain"] == {"mean": 0, "sd": 0}
    assert method["psnr_rgb_gain_95"] == (0, 0)
    assert all(method[name] == bicubic[name] for name in bicubic)
    assert 20 < bicubic["psnr_rgb"]["mean"] < 50
    assert 0.5 < bicubic["ssim_rgb"]["mean"] < 1


def test_every_figure_is_stated_for_the_method_and_for_bicubic() -> None:
    method, bicubic = evaluate_super_resolution([pair(180, 180)], doubled, 2, lambda one, other: float(len(one)))
    measured = {
        "psnr_rgb", "psnr_y", "mse_rgb", "mse_y", "ssim_rgb", "ssim_y", "ms_ssim_rgb", "ms_ssim_y", "qilv",
        "consistency_rms", "consistency_psnr", "perceptual", "identical",
    }  # fmt: skip
    assert set(bicubic) == measured
    gains = {name for name in method if "_gain" in name}
    assert set(method) == measured | {"images"} | gains
    assert gains >= {"psnr_rgb_gain", "psnr_rgb_gain_95", "perceptual_gain", "perceptual_gain_95"}
    assert method["perceptual"]["mean"] == 176  # the border was cut


def test_gains_are_paired_by_image() -> None:
    pairs = [pair(64, 64, "a"), pair(48, 64, "b")]
    rows = [judge_pair(one, doubled, 2) for one in pairs]
    differences = [one.method["psnr_rgb"] - one.bicubic["psnr_rgb"] for one in rows]
    method, _ = summarise(rows)
    assert method["psnr_rgb_gain"]["mean"] == pytest.approx(np.mean(differences))
    assert method["psnr_rgb_gain_95"] == pytest.approx((min(differences), max(differences)))


def test_the_interval_is_over_patients_and_there_is_none_for_one() -> None:
    def row(patient: str, gain: float) -> Judgement:
        return Judgement("a", patient, {"psnr_rgb": 30 + gain, "mse_rgb": 1}, {"psnr_rgb": 30, "mse_rgb": 2})

    two, _ = summarise([row("a", 1)] * 50 + [row("b", 3)])
    assert two["psnr_rgb_gain_95"] == (1, 3)
    one, _ = summarise([row("a", 1), row("a", 3)])
    assert all(math.isnan(bound) for bound in one["psnr_rgb_gain_95"])


def test_an_image_without_a_patient_is_its_own() -> None:
    assert judge_pair(pair(), doubled, 2).patient == "64 x 64"
    assert judge_pair(pair(patient="p"), doubled, 2).patient == "p"


def test_identical_images_are_counted_and_in_no_mean_of_psnr() -> None:
    known, other = pair(64, 64), pair(48, 64)
    method, _ = evaluate_super_resolution(
        [known, other], lambda low: known.high if len(low) == 32 else enlarge_bicubic(low, 2), 2
    )
    assert method["identical"] == 1
    assert method["psnr_rgb"]["mean"] == pytest.approx(judge_pair(other, doubled, 2).bicubic["psnr_rgb"])
    assert method["psnr_rgb_gain"] == {"mean": 0, "sd": 0}


def test_the_border_does_not_count() -> None:
    one = pair()

    def wrong_at_the_border(_: Pixels) -> Pixels:
        drawn = one.high.copy()
        drawn[:2] = drawn[-2:] = drawn[:, :2] = drawn[:, -2:] = 0
        return drawn

    method, _ = evaluate_super_resolution([one], wrong_at_the_border, 2)
    assert method["ssim_rgb"]["mean"] == pytest.approx(1)
    assert method["identical"] == 1


def test_consistency_is_the_difference_from_the_input_after_reduction() -> None:
    one = pair()
    brighter = np.clip(one.high.astype(int) + 3, 0, 255).astype(np.uint8)
    row = judge_pair(one, lambda _: brighter, 2).method
    errors = reduce_bicubic(brighter, 2)[1:-1, 1:-1].astype(float) - one.low[1:-1, 1:-1]
    rms = math.sqrt((errors**2).mean())
    assert row["consistency_rms"] == pytest.approx(rms)
    assert row["consistency_psnr"] == pytest.approx(20 * math.log10(255 / rms))
    assert judge_pair(one, lambda _: one.high, 2).method["consistency_rms"] == 0


def test_blur_costs_every_figure() -> None:
    one = pair(180, 180)
    sharp, blurred = (
        judge_pair(one, lambda _, s=sigma: np.asarray(ndimage.gaussian_filter(one.high, (s, s, 0))), 2).method  # type: ignore[misc]
        for sigma in (0.6, 1.2)
    )
    for name in ("psnr_rgb", "psnr_y", "ssim_rgb", "ssim_y", "ms_ssim_rgb", "ms_ssim_y", "qilv", "consistency_psnr"):
        assert blurred[name] < sharp[name], name


def test_small_images_have_no_ms_ssim() -> None:
    assert "ms_ssim_rgb" not in judge_pair(pair(), doubled, 2).method


def test_what_is_drawn_must_have_the_size_of_the_truth() -> None:
    with pytest.raises(ValueError, match="is wanted"):
        judge_pair(pair(), lambda low: low, 2)


@pytest.mark.parametrize("scale", [2, 4])
def test_the_least_side_can_just_be_judged(scale: int) -> None:
    side = -(-least_side_px(scale) // scale) * scale
    assert math.isfinite(
        judge_pair(pair(side, side, scale=scale), lambda low: enlarge_bicubic(low, scale), scale).method["qilv"]
    )
    too_small = pair(side - scale, side, scale=scale)
    with pytest.raises(ValueError, match="smaller than"):
        judge_pair(too_small, lambda low: enlarge_bicubic(low, scale), scale)


def test_the_protocol_names_the_border() -> None:
    assert "4 px cut" in SUPER_RESOLUTION_MEASURES.format(border=4)
