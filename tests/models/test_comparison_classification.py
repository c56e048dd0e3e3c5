"""A comparison of classifiers trains every fold once, judges every patch by who never saw its patient, and says where
patients leak."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from models.comparison_classification import main, measure, trainings
from models.comparison_classification_bench import Bench
from models.comparison_classification_config import read_patch_comparison
from models.comparison_classification_differences import FIGURES, difference, on_same_patches, score_difference
from models.comparison_classification_records import Answers, pool
from models.errors import EvaluationError, TrainingError
from models.evaluate_classification import judge_classes
from models.metrics_classes import by_patient
from models.patches_seen import Sight
from models.shelf import CARD_FILE, read_card
from tests.models.examples import tissue
from tests.models.test_train import one_thread  # noqa: F401 (a fixture)

FILE = """
title = "Classes"
section = "classes"
folds = 2
seed = 1
text = "Words."

[[sets]]
name = "Set"
classes = ["pale", "dark"]
field_px = 32
mpp = 1.0
validation_share = 0.3
network = { stem = "small" }
options = { stain = 0.0 }
source = { name = "s", licence = "none", kind = "files", path = "set" }
schedule = { iterations = 2, batch = 2, validate_every = 1 }
enlarged_schedule = { iterations = 1 }

[[rows]]
name = "Small"
architecture = "resnet18"
network = { width = 4, depths = [1, 1, 1, 1] }
sr = ["none", "bicubic-x2"]

[[rows]]
name = "Other"
architecture = "resnet18"
network = { width = 4, depths = [1, 1, 1, 1] }
schedule = { iterations = 3 }
folds = 1
beside = "Small"
distortion = 0.5

[[rows]]
name = "Joined"
architecture = "msfuse"
network = { width = 4, block = "basic", depths_a = [1, 1, 1, 1], depths_b = [1, 1, 1, 1], embed = 8, hidden = 8 }
halves = ["Small", "Other"]

[[rows]]
name = "By image"
architecture = "resnet18"
network = { width = 4, depths = [1, 1, 1, 1] }
split = "image"
beside = "Small"
"""
PAGE = "# Results\n\n<!-- begin classes -->\nbefore this\n<!-- end classes -->\n\n## Afterwards\n"


@pytest.fixture(scope="module")
def patches(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight patients of four patches; half of the patients have more dark ones."""
    root = tmp_path_factory.mktemp("data")
    (root / "set").mkdir()
    rows = ["file,patient,label"]
    for patient in range(8):
        for place in range(4):
            dark = place > patient % 2 * 2
            patch = tissue(120, 120)[10 * patient :][:32, 8 * place :][:, :32] // (1 + dark)
            Image.fromarray(patch).save(root / f"set/{patient}-{place}.png")
            rows.append(f"{patient}-{place}.png,{1000 + patient},{int(dark)}")
    (root / "set/index.csv").write_text("\n".join(rows), encoding="utf-8")
    return root


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "c.toml"
    path.write_text(FILE, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def work(patches: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A comparison that is through."""
    folder = tmp_path_factory.mktemp("comparison")
    (folder / "c.toml").write_text(FILE, encoding="utf-8")
    (folder / "results.md").write_text(PAGE, encoding="utf-8")
    given = ["--config", str(folder / "c.toml"), "--data", str(patches), "--work", str(folder / "work")]
    main([*given, "--page", str(folder / "results.md"), "--device", "cpu"])
    return folder


def bench(file: Path, patches: Path, work: Path) -> Bench:
    return Bench(read_patch_comparison(file), patches, work, "cpu", lambda _: None)


def test_the_page_has_its_tables_and_leaves_the_rest_alone(work: Path) -> None:
    text = (work / "results.md").read_text(encoding="utf-8")
    assert text.startswith("# Results\n")
    assert text.endswith("## Afterwards\n")
    assert "before this" not in text
    first = [line.split(" | ")[0] for line in text.splitlines() if line.startswith("| ") and "---" not in line]
    rows = ["| Small", "| Other", "| Joined", "| LEAK, no result: By image", "| Small"]
    assert first == [
        "| network", "| always the commonest class", *rows, "| network", "| always the commonest class", *rows,
        "| network", *rows, "| difference", "| Other, over Small", "| Joined, over the better of its halves (Small)"
        if "(Small)" in text else "| Joined, over the better of its halves (Other)",
        "| By image, over Small", "| Small behind bicubic-x2, over none",
    ]  # fmt: skip
    assert "32 patches of 8 patients" in text
    assert "stem small, width 4, depths 1-1-1-1, 1 of 2 folds" in text
    behind = next(line for line in text.splitlines() if line.startswith("| Small | bicubic-x2 | "))
    assert behind.startswith("| Small | bicubic-x2 | stem small, width 4, depths 1-1-1-1, 1 of 2 iterations |")
    assert "**By image is no result.**" in text
    assert "LEAK, by image: " in text


def test_every_patch_is_judged_once_by_a_network_that_never_saw_its_patient(work: Path, patches: Path) -> None:
    of = bench(work / "c.toml", patches, work / "work")
    rows = {(row.variant.row.name, row.variant.sr): row for row in measure(of.comparison, of)}
    assert len(rows) == 5
    for (name, _), row in rows.items():
        wanted = range(32) if name != "Other" else row.folds[0].places
        assert row.pooled.places.tolist() == list(wanted)
        if not row.variant.row.leaks:
            for fold, answers in enumerate(row.folds):
                card = read_card(work / "work" / row.variant.bundle(fold, 2))
                tested = {str(one) for one in answers.patients}
                assert tested == set(card.training["test_patients"])
                assert not tested & {*card.training["train_patients"], *card.training["validation_patients"]}
    enlarged = rows["Small", "bicubic-x2"].card
    assert (enlarged.field_px, enlarged.mpp) == (64, 0.5)
    leak = rows["By image", "none"].card
    assert leak.name == "leak-set-by-image-fold-1-of-2"
    assert "PATIENTS LEAK" in leak.limits
    assert leak.training["split"].startswith("LEAK")


def test_answers_are_those_of_the_card(work: Path, patches: Path) -> None:
    of = bench(work / "c.toml", patches, work / "work")
    row = measure(of.comparison, of)[0]
    found = judge_classes(row.folds[0].labels, row.folds[0].probabilities, row.folds[0].patients)
    assert found["confusion"] == [list(line) for line in row.card.metrics["test"]["confusion"]]
    assert found["ece"] == pytest.approx(row.card.metrics["test"]["ece"], rel=1e-3)


def test_what_is_there_is_neither_trained_nor_computed_again(work: Path, patches: Path) -> None:
    heard = list[str]()
    of = Bench(read_patch_comparison(work / "c.toml"), patches, work / "work", "cpu", heard.append)
    cards = {path: path.stat().st_mtime_ns for path in (work / "work").glob(f"*/{CARD_FILE}")}
    kept = {path: path.stat().st_mtime_ns for path in (work / "work/records").iterdir()}
    assert len(cards) == len(kept) == 9
    for config in trainings(of):
        of.train(config)
    measure(of.comparison, of)
    assert not heard
    assert all(path.stat().st_mtime_ns == when for path, when in (cards | kept).items())


def test_a_record_that_is_broken_is_made_anew_from_the_bundle(work: Path, patches: Path) -> None:
    of = bench(work / "c.toml", patches, work / "work")
    config = next(trainings(of))
    path = work / "work/records" / f"{config.name}.npz"
    before, whole = of.record(config), path.read_bytes()
    assert before is not None
    for broken in (b"", whole[:100]):
        path.write_bytes(broken)
        assert of.record(config) is None
        of.train(config)
        after = of.record(config)
        assert after is not None
        assert np.array_equal(after.answers.probabilities, before.answers.probabilities)


def test_the_tables_follow_from_the_records_without_any_weights(work: Path, patches: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE, encoding="utf-8")
    given = [
        "--config",
        str(work / "c.toml"),
        "--data",
        str(patches),
        "--work",
        str(tmp_path / "none"),
        "--device",
        "cpu",
    ]
    main([*given, "--records", str(work / "work/records"), "--page", str(page)])
    assert page.read_text(encoding="utf-8") == (work / "results.md").read_text(encoding="utf-8")
    assert not (tmp_path / "none").exists()


def test_a_bundle_of_other_settings_is_refused(work: Path, patches: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.toml"
    other.write_text(FILE.replace("stain = 0.0", "stain = 0.1"), encoding="utf-8")
    of = bench(other, patches, work / "work")
    with pytest.raises(TrainingError, match="other settings"):
        of.train(next(trainings(of)))
    with pytest.raises(TrainingError, match="other settings"):
        measure(of.comparison, of)


def test_only_what_is_named_is_trained(file: Path, patches: Path, tmp_path: Path) -> None:
    of = bench(file, patches, tmp_path)
    names = [config.name for config in trainings(of, "small fold-2")]
    assert names == ["set-small-fold-2-of-2", "set-small-bicubic-x2-fold-2-of-2"]
    assert [config.name for config in trainings(of, "leak")] == [
        f"leak-set-by-image-fold-{fold}-of-2" for fold in (1, 2)
    ]


def test_patches_are_read_once_for_all_rows_that_see_the_same(file: Path, patches: Path, tmp_path: Path) -> None:
    of = bench(file, patches, tmp_path)
    source = of.comparison.sets[0].source
    sight = Sight(root=patches, classes=("pale", "dark"), field_px=32, mpp=1.0)
    held = of.held(source, sight)
    assert of.held(replace(source, test=("1000",), validation=("1001",)), sight) is held
    assert of.held(source, replace(sight, field_px=64, mpp=0.5, sr_pre="bicubic-x2")) is not held


def test_nothing_measured_is_no_page(file: Path, patches: Path, tmp_path: Path) -> None:
    given = ["--config", str(file), "--data", str(patches), "--work", str(tmp_path), "--no-training"]
    with pytest.raises(EvaluationError, match="holds no record of this comparison"):
        main(given)


def answers(seed: int, count: int = 60, gain: float = 1.0) -> Answers:
    rng = np.random.default_rng(0)
    labels, patients = rng.integers(2, size=count), np.array([f"p{place % 12}" for place in range(count)])
    scores = 1 / (1 + np.exp(-gain * (labels - 0.5) - np.random.default_rng(seed).normal(0, 1, count)))
    return Answers(np.arange(count), labels, patients, np.stack([1 - scores, scores], axis=1).astype(np.float32))


def test_a_network_does_not_differ_from_itself() -> None:
    one = answers(1)
    for figure in FIGURES.values():
        found = difference(one, one, figure)
        assert found.value == found.low == found.high == 0
    assert score_difference(one, one).value == 0


def test_a_difference_is_that_of_the_figures_and_its_interval_holds_it() -> None:
    better, worse = answers(1, gain=3.0), answers(2, gain=0.5)
    for figure in FIGURES.values():
        found = difference(better, worse, figure)
        assert found.value == pytest.approx(figure(better) - figure(worse))
        assert found.low < found.value < found.high
    scores = [by_patient(one.labels, one.probabilities, one.patients).score for one in (better, worse)]
    assert score_difference(better, worse).value == pytest.approx(scores[0] - scores[1])


def test_differences_are_of_the_patches_that_both_were_asked_about() -> None:
    whole = answers(1)
    part = whole.at(np.array([40, 5, 17]))
    mine, theirs = on_same_patches(whole, part)
    assert mine.places.tolist() == theirs.places.tolist() == [5, 17, 40]
    assert np.array_equal(mine.probabilities, theirs.probabilities)
    assert np.array_equal(pool([whole.at(np.arange(30, 60)), whole.at(np.arange(30))]).places, whole.places)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("validation_share = 0.3", "validation_share = 1.0", "the set Set wants"),
        ('path = "set" }', 'path = "set", test = ["1000"] }', "nobody held out by its source"),
        ('split = "image"', 'split = "slide"', "the row By image cannot have split='slide'"),
        ('halves = ["Small", "Other"]', 'halves = ["Small"]', "the row Joined cannot have halves"),
        ('beside = "Small"\ndistortion', 'beside = "Nobody"\ndistortion', "no row is called Nobody"),
        ('name = "Other"', 'name = "Small"', "names of their own"),
        ('name = "By image"', f'name = "{"long " * 20}"', "more than 64 letters"),
        ("folds = 2\n", "folds = 1\n", "two are the fewest"),
        ("folds = 1\n", 'folds = 1\nsets = ["None"]\n', "rows to be made on Set"),
        ("distortion = 0.5", "distortions = 0.5", "unknown key distortions"),
        ('title = "Classes"', "title", "cannot be read"),
    ],
)
def test_a_file_that_cannot_be_meant_is_refused(file: Path, old: str, new: str, words: str) -> None:
    file.write_text(FILE.replace(old, new), encoding="utf-8")
    with pytest.raises(TrainingError, match=words) as error:
        read_patch_comparison(file)
    assert len(str(error.value).splitlines()) == 2


SHIPPED = Path(__file__).parents[2] / "models/comparisons/classification.toml"


def test_the_comparison_that_ships_has_every_network_and_every_enlargement() -> None:
    comparison = read_patch_comparison(SHIPPED)
    assert [one.name for one in comparison.sets] == ["IDC", "BreaKHis"]
    of_idc = [one for one in comparison.variants() if one.data.name == "IDC"]
    networks = {"resnet50", "resnet101", "resnet152", "resnext101", "ganrest_seed", "msfuse", "stn_resnet50_003"}
    for sr in ("none", "bicubic-x2", "sr-x2"):
        assert {one.row.architecture for one in of_idc if one.sr == sr} >= networks
    assert [one.row.split for one in of_idc].count("image") == 1
    assert sum(one.row.distortion > 0 for one in of_idc) == 2
    assert sum(one.row.architecture == "hybrid_resnet" for one in comparison.variants()) == 2


@pytest.mark.slides
def test_the_folds_of_the_shipped_comparison_part_patients_and_have_both_classes(data: Path) -> None:
    of = bench(SHIPPED, data, Path("nowhere"))
    breakhis = of.comparison.sets[1]
    folds = of.folds(breakhis)
    sight = Sight(root=data, classes=breakhis.classes, field_px=breakhis.field_px, mpp=breakhis.mpp, device="cpu")
    patches = of.held(breakhis.source, sight)
    tested = [patient for fold in folds for patient in fold.test]
    assert len(tested) == len(set(tested)) == len(set(patches.patients.tolist())) == 31
    for fold in folds:
        for part in (fold.test, fold.validation):
            assert len(set(patches.of(part).labels.tolist())) == 2
