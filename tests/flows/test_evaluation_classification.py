"""Evaluations of classifiers, patch by patch and patient by patient, on a tiny network and real pixels."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from typer.testing import CliRunner

from flows.cli_evaluate import app
from flows.evaluation_classification import evaluate_classification
from models.errors import ModelError
from models.predict import load_predictor
from tests.flows.evaluated import bundle, refused
from tests.models.examples import SMALL_HYBRID, card, tissue


@pytest.fixture
def patches(tmp_path: Path) -> Path:
    """Six patches of three patients, with an index."""
    folder = tmp_path / "patches"
    folder.mkdir()
    lines = ["file,patient,label"]
    for place in range(6):
        Image.fromarray(tissue(512, 512)[place * 60 :][:50, place * 60 :][:, :50]).save(folder / f"{place}.png")
        lines.append(f"{place}.png,p{place // 2},{'IDC' if place in (1, 2, 5) else 'non-IDC'}")
    (folder / "index.csv").write_text("\n".join(lines), encoding="utf-8")
    return folder


def test_a_classifier_is_measured_and_unreadable_patches_are_named(tmp_path: Path, patches: Path) -> None:
    (patches / "4.png").write_text("none", encoding="utf-8")
    name = bundle(tmp_path, card(SMALL_HYBRID))
    result = evaluate_classification(patches, patches / "index.csv", bundle=name)
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    assert result["classes"] == ["non-IDC", "IDC"]
    assert [one["file"] for one in result["skipped"]] == ["4.png"]
    assert (result["totals"]["patches"], result["totals"]["patients"]) == (5, 3)
    assert np.sum(result["totals"]["confusion"]) == 5
    with Image.open(patches / "5.png") as image:
        wanted = load_predictor(name, "cpu", "fp32")(np.asarray(image)[None])[0]
    last = result["images"][-1]
    assert (last["file"], last["patient"], last["label"]) == ("5.png", "p2", "IDC")
    assert last["probabilities"] == pytest.approx(wanted.tolist(), abs=1e-6)
    assert result["baseline"]["balanced_accuracy"] == 0.5
    assert set(result["by_class"]) == {"non-IDC", "IDC"}


def test_patients_are_answered_for_by_the_mean_of_their_patches(tmp_path: Path, patches: Path) -> None:
    result = evaluate_classification(patches, patches / "index.csv", bundle=bundle(tmp_path, card(SMALL_HYBRID)))
    assert [one["patient"] for one in result["patients"]] == ["p0", "p1", "p2"]
    last, mine = result["patients"][-1], result["images"][4:]
    assert last["probabilities"] == pytest.approx(np.mean([one["probabilities"] for one in mine], axis=0))
    assert (last["patches"], last["label"]) == (2, "non-IDC")  # one of each: the first class
    score = np.mean([one["right"] for one in result["patients"]])
    assert result["totals"]["patient_score"] == pytest.approx(score)


def test_patients_that_were_trained_on_are_named(tmp_path: Path, patches: Path) -> None:
    of = replace(card(SMALL_HYBRID), training={"train_patients": ["set: p1", "x"], "validation_patients": ["p2"]})
    result = evaluate_classification(patches, patches / "index.csv", bundle=bundle(tmp_path, of))
    assert result["patients_trained_on"] == ["p1", "p2"]


def test_a_bundle_of_other_classes_than_the_data_is_refused(tmp_path: Path, patches: Path) -> None:
    index = patches / "index.csv"
    index.write_text(index.read_text(encoding="utf-8").replace("non-IDC", "benign"), encoding="utf-8")
    with pytest.raises(ModelError) as error:
        evaluate_classification(patches, index, bundle=bundle(tmp_path, card(SMALL_HYBRID)))
    refused(error, "index.csv", "label 'benign' is none of non-IDC, IDC")


def test_patches_of_one_patient_have_figures_and_no_intervals(tmp_path: Path, patches: Path) -> None:
    index = patches / "index.csv"
    rows = index.read_text(encoding="utf-8")
    index.write_text(rows.replace(",p1,", ",p0,").replace(",p2,", ",p0,"), encoding="utf-8")
    totals = evaluate_classification(patches, index, bundle=bundle(tmp_path, card(SMALL_HYBRID)))["totals"]
    assert totals["auc_95"] == totals["patient_score_95"] == [None, None]
    assert 0 <= totals["auc"] <= 1
    assert totals["patient_auc"] is None


def test_the_command_writes_record_and_tables(tmp_path: Path, patches: Path) -> None:
    name = bundle(tmp_path, card(SMALL_HYBRID))
    files = {"--out": "m.json", "--by-patch": "patches.csv", "--by-patient": "patients.csv"}
    given = [word for option, file in files.items() for word in (option, str(tmp_path / file))]
    index = str(patches / "index.csv")
    arguments = ["classification", "--bundle", name, "--images", str(patches), "--index", index, *given]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "patient_balanced_accuracy" in result.output
    record = json.loads((tmp_path / "m.json").read_text(encoding="utf-8"))
    for file, rows in (("patches.csv", record["images"]), ("patients.csv", record["patients"])):
        table = list(csv.DictReader((tmp_path / file).read_text(encoding="utf-8").splitlines()))
        assert [one["patient"] for one in table] == [one["patient"] for one in rows]
        assert [float(one["p_IDC"]) for one in table] == [one["probabilities"][1] for one in rows]
        assert all((one["predicted"] == "IDC") == (float(one["p_IDC"]) > 0.5) for one in table)


def test_patches_on_sheets_have_the_figures_of_the_same_patches_in_files(tmp_path: Path, patches: Path) -> None:
    sheets, name = tmp_path / "sheets", bundle(tmp_path, card(SMALL_HYBRID))
    sheets.mkdir()
    row = np.concatenate([np.asarray(Image.open(patches / f"{place}.png")) for place in range(6)], axis=1)
    Image.fromarray(row).save(sheets / "sheet_00.webp", lossless=True)
    lines = (patches / "index.csv").read_text(encoding="utf-8").replace(".png,", ",").splitlines()[1:]
    text = "\n".join(["sheet,row,column,patient,label", *(f"0,0,{line}" for line in lines)])
    (sheets / "index.csv").write_text(text, encoding="utf-8")
    one, other = (evaluate_classification(where, where / "index.csv", bundle=name) for where in (patches, sheets))
    assert other["images"][2]["file"] == "sheet_00.webp row 0 column 2"
    assert (one["totals"], one["patients"]) == (other["totals"], other["patients"])


@pytest.mark.slides
def test_a_shipped_classifier_is_measured_on_the_sheets_it_was_made_for(data: Path) -> None:
    folder = data / "patches" / "idc"
    found = evaluate_classification(folder, folder / "index.csv", bundle="idc-hybrid", device="cpu")
    assert (found["totals"]["patches"], found["totals"]["patients"]) == (7510, 206)
    assert found["skipped"] == []
    held_out = {one["patient"] for one in found["patients"]} - set(found["patients_trained_on"])
    test = [one for one in found["images"] if one["patient"] in held_out]
    right = np.mean([one["probabilities"][1] > 0.5 for one in test if one["label"] == "IDC"])
    wrong = np.mean([one["probabilities"][1] > 0.5 for one in test if one["label"] == "non-IDC"])
    assert (right + 1 - wrong) / 2 > 0.8  # balanced accuracy


def test_a_table_that_cannot_be_written_is_named(tmp_path: Path, patches: Path) -> None:
    arguments = ["classification", "--bundle", bundle(tmp_path, card(SMALL_HYBRID)), "--images", str(patches)]
    arguments += ["--index", str(patches / "index.csv"), "--by-patch", str(tmp_path)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert f"{tmp_path}: cannot be written" in result.output


def test_answers_from_elsewhere_are_measured(patches: Path, tmp_path: Path) -> None:
    idc = [0.1, 0.9, 0.8, 0.2, 0.3, 0.4]
    answers = tmp_path / "p.parquet"
    files = [f"{place}.png" for place in range(6)]
    pq.write_table(pa.table({"file": files, "p_non-IDC": [1 - one for one in idc], "p_IDC": idc}), answers)
    result = evaluate_classification(patches, patches / "index.csv", predictions=answers)
    assert result["bundle"] is None
    assert result["predictions"]["name"] == "p.parquet"
    assert result["totals"]["confusion"] == [[3, 0], [1, 2]]
    assert result["totals"]["auc"] == 1
    named = evaluate_classification(
        patches, patches / "index.csv", predictions=answers, bundle=bundle(tmp_path, card(SMALL_HYBRID))
    )
    assert named["totals"] == result["totals"]


def test_neither_network_nor_answers_is_refused(patches: Path) -> None:
    with pytest.raises(ModelError) as error:
        evaluate_classification(patches, patches / "index.csv")
    refused(error, "--bundle")


def test_answers_for_other_files_are_refused(patches: Path, tmp_path: Path) -> None:
    answers = tmp_path / "p.parquet"
    pq.write_table(pa.table({"file": ["x.png"], "p_non-IDC": [0.5], "p_IDC": [0.5]}), answers)
    with pytest.raises(ModelError) as error:
        evaluate_classification(patches, patches / "index.csv", predictions=answers)
    refused(error, "x.png")
