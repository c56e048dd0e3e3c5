"""A comparison of nuclei networks measures what is there, keeps every image's figures, and says what it left out."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from models.bundle import write_bundle
from models.card import Normalisation
from models.coarse_scan import cut, enlarge_labels, scan_coarser
from models.comparison_nuclei import FIGURES_FILE, main, measure
from models.comparison_nuclei_cache import FiguresCache, ImageFigures, key_of, probe
from models.comparison_nuclei_config import NucleiComparison, Product, Scan, read_nuclei_comparison
from models.comparison_nuclei_measure import Bench, LeftOut, Measured, Way, find_way, locate
from models.comparison_nuclei_set import list_images, of_patients
from models.degrade import enlarge_bicubic, reduce_bicubic
from models.errors import BundleError, EvaluationError, TrainingError
from models.evaluate_nuclei import judge_instances
from models.instances import InstanceStep
from models.predict import load_predictor
from models.whole_image import predict_whole
from tests.models.examples import SMALL_SR, SMALL_UNET, card, network, tissue
from tests.models.test_instances import discs

FILE = """
title = "Nuclei"
section = "nuclei"
bundles = ["small-unet", "greedy", "absent"]
text = "Words."

[[sets]]
name = "discs"
path = "set"
kind = "instances"
mpp = 0.25
patient = "(p\\\\d)"
organs = "set/organs.csv"
test = ["p0", "p1"]

[[sets]]
name = "masks"
path = "masked"
kind = "masks"
mpp = 0.25
unit = "image"
test = ["a"]

[product]
sets = ["discs"]
bundle = "small-unet"
scans = [
    { name = "native" },
    { name = "bicubic", factor = 2, enlarge = "bicubic", beside = "native" },
    { name = "drawn", factor = 2, enlarge = "small-sr", beside = "bicubic" },
    { name = "coarse", factor = 2, network = "half", beside = "bicubic" },
    { name = "misfit", factor = 2 },
]
"""
PAGE = "# Results\n\n<!-- begin nuclei -->\nold\n<!-- end nuclei -->\n"
STEP = {"least_area_px": 4}


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three patients with instances, the first with two images; one image with a mask."""
    root = tmp_path_factory.mktemp("data")
    labels, rows = discs(), ["image,organ"]
    for folder, truth in (("set", "labels"), ("masked", "masks")):
        for name in ("images", truth):
            (root / folder / name).mkdir(parents=True)
    for place, name in enumerate(("p0_a", "p0_b", "p1_a", "p2_a")):
        image = tissue(80 + place, 100)[place:]
        image[labels > 0] //= 2
        Image.fromarray(image).save(root / f"set/images/{name}.png")
        Image.fromarray(labels.astype(np.uint16)).save(root / f"set/labels/{name}.png")
        rows.append(f"{name},{'liver' if name < 'p1' else 'colon'}")
    (root / "set/organs.csv").write_text("\n".join(rows), encoding="utf-8")
    Image.fromarray(tissue(48, 48)).save(root / "masked/images/a.png")
    Image.fromarray(labels[:48, :48] > 0).save(root / "masked/masks/a.png")
    return root


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network for 0.25 um/px, one for 0.5, one that saw a patient of the test, and a super-resolution."""
    folder = tmp_path_factory.mktemp("work")
    unet = replace(card(SMALL_UNET), postprocessing=STEP)
    of_all = [
        unet,
        replace(unet, name="half", mpp=0.5),
        replace(unet, name="greedy", training={"train_patients": ["discs: p1", "masks: b"]}),
        card(SMALL_SR),
    ]
    for of in of_all:
        write_bundle(folder / of.name, network(of), of)
    return folder


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "c.toml"
    path.write_text(FILE, encoding="utf-8")
    return path


def bench(work: Path, figures: Path, heard: list[str]) -> Bench:
    return Bench(work, FiguresCache(figures), "cpu", heard.append)


def test_the_page_has_a_table_a_set_and_the_products_own(images: Path, work: Path, file: Path, tmp_path: Path) -> None:
    page = tmp_path / "results.md"
    page.write_text(PAGE, encoding="utf-8")
    main(["--config", str(file), "--data", str(images), "--work", str(work), "--page", str(page), "--device", "cpu"])
    text = page.read_text(encoding="utf-8")
    assert "old" not in text
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| ")]
    first = [row[0].removeprefix("| ") for row in rows if row[0] != "| ---"]
    assert first == [
        "scan", "nothing found (all background)", "native", "bicubic", "drawn", "coarse",
        "paired difference", "bicubic, over native", "drawn, over bicubic", "drawn, over native",
        "coarse, over bicubic", "coarse, over native",
        "network", "nothing found (all background)", "small-unet",
        "organ", "colon", "liver",
        "network", "nothing found (all background)", "small-unet", "greedy",
    ]  # fmt: skip
    assert "3 images of 2 patients that no training saw: p0, p1." in text
    assert "Measured on 1 image that no training saw: a. Whose they are is not known: patients may straddle" in text
    assert "Left out: misfit (small-unet wants 0.25 um/px, and would see 0.5)." in text
    assert "greedy (greedy was trained on 1 of the patients (p1))" in text
    assert "absent (there is no bundle absent yet)" in text
    judgements = [json.loads(line) for line in (work / FIGURES_FILE).read_text(encoding="utf-8").splitlines()]
    native = [one["method"]["dice"] for one in judgements[:3]]
    assert f"{np.mean(native):.3f} [" in next(row for row in rows if row[0] == "| native")[1]


def test_what_was_measured_is_not_measured_again(images: Path, work: Path, file: Path, tmp_path: Path) -> None:
    comparison, heard = read_nuclei_comparison(file), list[str]()
    once = measure(comparison, images, bench(work, tmp_path / "f.jsonl", heard))
    # Four scans of three images and the set's own table, which cuts none; a mask, by two bundles of one network.
    assert len(heard) == 5 * 3 + 1
    cut_short = (tmp_path / "f.jsonl").read_text(encoding="utf-8")[:-30]
    (tmp_path / "f.jsonl").write_text(cut_short, encoding="utf-8")
    again = list[str]()
    assert measure(comparison, images, bench(work, tmp_path / "f.jsonl", again)) == once
    assert again == heard[-1:]


def test_figures_are_those_of_the_scan(images: Path, work: Path, file: Path, tmp_path: Path) -> None:
    comparison = read_nuclei_comparison(file)
    one = of_patients(list_images(comparison.sets[0], images), ["p1"], "discs")[0].read()
    [product] = measure(comparison, images, bench(work, tmp_path / "f.jsonl", [])).products
    found = {row.name: row.judgements[-1].method for row in product.measured}
    step = InstanceStep(**STEP)
    unet, half = (load_predictor(work / name, "cpu", "fp32") for name in ("small-unet", "half"))
    assert found["native"] == judge_instances(one, step(np.asarray(unet(one.image[None])[0])))
    low = reduce_bicubic(one.image, 2)
    assert found["coarse"] == judge_instances(one, enlarge_labels(step(np.asarray(half(low[None])[0])), 2))
    drawn = np.asarray(load_predictor(work / "small-sr", "cpu", "fp32")(low[None]), np.uint8)
    assert found["drawn"] == judge_instances(one, step(np.asarray(unet(drawn)[0])))


def test_views_are_figures_of_their_own(images: Path, work: Path, file: Path, tmp_path: Path) -> None:
    test_set = read_nuclei_comparison(file).sets[0]
    held_out, heard = of_patients(list_images(test_set, images), ["p1"], "discs"), list[str]()
    of = bench(work, tmp_path / "f.jsonl", heard)
    one, four = (of.measure("x", "small-unet", test_set, held_out, Scan(name="x", views=views)) for views in (1, 4))
    assert isinstance(one, Measured)
    assert isinstance(four, Measured)
    assert len(heard) == 2 * len(held_out)  # computed anew
    with pytest.raises(BundleError, match="cannot look at 3 views"):
        of.measure("x", "small-unet", test_set, held_out, Scan(name="x", views=3))


def test_a_bundle_is_found_by_name_below_the_work_folder_or_by_path(work: Path, tmp_path: Path) -> None:
    assert locate("half", work) == locate(str(work / "half"), tmp_path) == work / "half"
    assert locate("half", tmp_path) is None
    assert find_way(Scan(name="x", factor=2, enlarge="none-such"), "half", work) == "there is no bundle none-such yet"


def test_a_way_that_does_not_fit_is_left_out(images: Path, work: Path, file: Path, tmp_path: Path) -> None:
    test_set = read_nuclei_comparison(file).sets[0]
    held_out = list_images(test_set, images)
    of = bench(work, tmp_path / "f.jsonl", [])
    scans = {
        "small-sr does not segment nuclei": (Scan(name="x"), "small-sr"),
        "small-sr does not enlarge x4": (Scan(name="x", factor=4, enlarge="small-sr"), "small-unet"),
    }
    for why, (scan, bundle) in scans.items():
        assert of.measure("x", bundle, test_set, held_out, scan) == LeftOut("x", why)
    found = of.measure("x", "greedy", test_set, of_patients(held_out, ["p2"], "discs"))
    assert isinstance(found, Measured)


def test_other_settings_and_other_instances_are_filed_under_another_key() -> None:
    step, coarse = InstanceStep(**STEP), InstanceStep(least_area_px=60)
    keys = [
        key_of(step, factor=1),
        key_of(step, factor=2),
        key_of(coarse, factor=1),
        key_of(lambda _: discs(), factor=1),
    ]
    assert len(set(keys)) == 4
    assert key_of(InstanceStep(**STEP), factor=1) == keys[0]


def test_the_probe_holds_many_instances_of_all_sizes() -> None:
    areas = np.bincount(InstanceStep(**STEP)(probe()).ravel())[1:]
    assert len(areas) > 20
    assert areas.max() > 10 * areas[areas > 0].min()


def test_kept_figures_are_read_again(tmp_path: Path) -> None:
    cache = FiguresCache(tmp_path / "made/f.jsonl")
    cache.add("k", "a", ImageFigures({"dice": 0.1}, {"dice": 0.0}))
    assert FiguresCache(tmp_path / "made/f.jsonl").get("k", "a") == cache.get("k", "a")
    assert cache.get("other", "a") is None
    assert cache.get("k", "b") is None


def test_other_labels_are_measured_anew_and_another_organ_is_not(
    images: Path, work: Path, file: Path, tmp_path: Path
) -> None:
    root, test_set = tmp_path / "data", read_nuclei_comparison(file).sets[0]
    shutil.copytree(images, root)

    def measured() -> tuple[Measured, list[str]]:
        heard = list[str]()
        held_out = of_patients(list_images(test_set, root), ["p1", "p2"], "discs")
        row = bench(work, tmp_path / "f.jsonl", heard).measure("x", "small-unet", test_set, held_out)
        assert isinstance(row, Measured)
        return row, heard

    before, _ = measured()
    table = root / "set/organs.csv"
    table.write_text(table.read_text(encoding="utf-8").replace("p1_a,colon", "p1_a,skin"), encoding="utf-8")
    renamed, heard = measured()
    assert not heard
    assert [one.organ for one in renamed.judgements] == ["skin", "colon"]
    Image.fromarray(np.roll(discs(), 9, axis=1).astype(np.uint16)).save(root / "set/labels/p1_a.png")
    after, heard = measured()
    assert heard == ["discs | x | p1_a"]
    assert after.judgements[0].method != before.judgements[0].method
    assert after.judgements[1] == before.judgements[1]


def test_the_same_weights_in_another_network_are_measured_anew(work: Path) -> None:
    way = find_way(Scan(name="x", factor=2, enlarge="small-sr"), "small-unet", work)
    assert isinstance(way, Way)
    assert way.enlarger_card is not None
    other = Normalisation(mean=(0.5, 0.5, 0.5))
    ways = [
        way,
        replace(way, card=replace(way.card, normalisation=other)),
        replace(way, card=replace(way.card, parameters={**way.card.parameters, "depth": 1})),
        replace(way, enlarger_card=replace(way.enlarger_card, normalisation=other)),
        replace(way, enlarger_card=replace(way.enlarger_card, parameters={"residual": "none"})),
    ]
    assert len({key_of(way.step(), **one.facts()) for one in ways}) == len(ways)


def test_scans_of_one_table_are_judged_on_the_same_pixels(images: Path, work: Path, file: Path, tmp_path: Path) -> None:
    scans = (Scan(name="native"), Scan(name="fine", factor=2, enlarge="bicubic"), Scan(name="coarse", factor=16))
    comparison = replace(
        read_nuclei_comparison(file), bundles=(), product=Product(sets=("discs",), bundle="small-unet", scans=scans)
    )
    [product] = measure(comparison, images, bench(work, tmp_path / "f.jsonl", [])).products
    native, fine = (row.judgements[-1].method for row in product.measured)
    whole = of_patients(list_images(comparison.sets[0], images), ["p1"], "discs")[0].read()
    common = cut(whole, 16)
    assert common.labels.shape < whole.labels.shape
    predict, step = load_predictor(work / "small-unet", "cpu", "fp32"), InstanceStep(**STEP)
    seen = scan_coarser(common, 2, lambda low: enlarge_bicubic(low, 2))
    assert native == judge_instances(common, step(predict_whole(predict, common.image)))
    assert fine == judge_instances(common, step(predict_whole(predict, seen.image)))


def test_tiles_and_images_are_not_called_patients(
    images: Path, work: Path, file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = FILE.partition("[product]")[0]
    file.write_text(text.replace('test = ["p0", "p1"]', 'test = ["p0", "p1"]\nunit = "tile"'), encoding="utf-8")
    main(["--config", str(file), "--data", str(images), "--work", str(work), "--device", "cpu"])
    page = capsys.readouterr().out
    assert "Measured on 3 images of 2 tiles that no training saw: p0, p1. Whose they are is not known:" in page
    assert "patients may straddle the split, with some tiles here and some in training" in page
    assert "intervals are over tiles." in page
    assert "greedy (greedy was trained on 1 of the tiles (p1))" in page


def test_patients_that_are_not_there_are_named(images: Path, file: Path) -> None:
    test_set = read_nuclei_comparison(file).sets[0]
    with pytest.raises(EvaluationError, match=r"discs: has no image of 1 patients \(p9\)"):
        of_patients(list_images(test_set, images), ["p0", "p9"], test_set.name)


def test_nothing_measured_is_no_page(images: Path, file: Path, tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="nothing could be measured: there is no bundle small-unet yet"):
        main(["--config", str(file), "--data", str(images), "--work", str(tmp_path)])


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("mpp = 0.25", "mpp = 0", "mpp above 0"),
        ('kind = "masks"', 'kind = "dots"', "wants a kind"),
        ('unit = "image"', 'unit = "slide"', "wants a unit: patient, tile, image"),
        ('name = "masks"', 'name = "discs"', "names of their own"),
        ("factor = 2, enlarge", "factor = 1, enlarge", "at 1 nothing to enlarge"),
        ('beside = "bicubic"', 'beside = "nobody"', "not nobody"),
        ('sets = ["discs"]', 'sets = ["circles"]', "circles are asked for"),
        ('text = "Words."', "words = 1", "unknown key words"),
        ('title = "Nuclei"', "title", "cannot be read"),
    ],
)
def test_a_file_that_cannot_be_meant_is_refused(file: Path, old: str, new: str, words: str) -> None:
    file.write_text(FILE.replace(old, new), encoding="utf-8")
    with pytest.raises(TrainingError, match=words) as error:
        read_nuclei_comparison(file)
    assert len(str(error.value).splitlines()) == 2


def test_the_comparison_that_ships_is_read() -> None:
    shipped = Path(__file__).parents[2] / "models/comparisons/nuclei.toml"
    comparison = read_nuclei_comparison(shipped)
    assert isinstance(comparison, NucleiComparison)
    assert [len(one.test) for one in comparison.sets] == [6, 14, 40]
    assert [one.unit for one in comparison.sets] == ["patient", "tile", "image"]
    assert comparison.product is not None
    assert [(scan.factor, scan.enlarge) for scan in comparison.product.scans] == [
        (1, ""), (2, "bicubic"), (2, "sr-x2"), (4, "bicubic"), (4, "sr-x4"), (2, ""),
    ]  # fmt: skip


@pytest.mark.slides
def test_the_shipped_comparisons_patients_and_organs_are_there(data: Path) -> None:
    shipped = read_nuclei_comparison(Path(__file__).parents[2] / "models/comparisons/nuclei.toml")
    counts = [len(of_patients(list_images(one, data), one.test, one.name)) for one in shipped.sets]
    assert counts == [6, 224, 40]
