from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from models import checkpoint
from models.bundle import load_network, read_card
from models.checkpoint import Progress
from models.errors import BundleError, TrainingError
from models.learning_rate import rate, share_done
from models.predict import load_predictor
from models.tasks import build_task
from models.train import main, train
from models.train_bundle import write_trained
from models.train_config import ScheduleConfig, SourceConfig, TrainConfig
from models.training import Training, draw_batches, update_mean
from tests.models.examples import tissue
from tests.models.test_instances import discs

NETWORKS: dict[str, tuple[str, dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "superresolution": (
        "srresnet",
        {"scale": 2, "blocks": 1, "channels": 8, "norm": "none", "residual": "bicubic", "head_kernel": 3},
        {"crop_px": 32},
        {"kind": "images", "path": "images"},
    ),
    "nuclei": ("unet", {"base": 4, "depth": 2}, {"crop_px": 32}, {"kind": "instances", "path": "."}),
    "classification": (
        "hybrid_resnet",
        {"depths_a": (1, 1, 1, 1), "depths_b": (1, 1, 1, 1), "width": 4, "embed": 8, "hidden": 8, "stem": "small"},
        {"classes": ("pale", "dark"), "field_px": 32},
        {"kind": "files", "path": "patches"},
    ),
}
TASKS = list(NETWORKS)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five patients: an image with instance labels, and eight patches, each."""
    root = tmp_path_factory.mktemp("data")
    for name in ("images", "labels", "patches"):
        (root / name).mkdir()
    labels, rows = discs(), ["file,patient,label"]
    for patient in range(5):
        image = tissue(80 + patient, 100)[patient:]
        image[labels > 0] = image[labels > 0] // 2
        Image.fromarray(image).save(root / f"images/p{patient}.png")
        Image.fromarray(labels.astype(np.uint16)).save(root / f"labels/p{patient}.png")
        for place in range(8):
            patch = tissue(32, 32 * (place + 1))[:, 32 * place :] // (1 + place % 2)
            Image.fromarray(patch).save(root / f"patches/{patient}-{place}.png")
            rows.append(f"{patient}-{place}.png,p{patient},{('pale', 'dark')[place % 2]}")
    (root / "patches/index.csv").write_text("\n".join(rows))
    return root


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def config(task: str, data: Path, **schedule: Any) -> TrainConfig:
    architecture, network, options, source = NETWORKS[task]
    return TrainConfig(
        name=f"small-{task}",
        task=task,  # type: ignore[arg-type]
        architecture=architecture,
        mpp=0.5,
        licence="none",
        limits="A test's.",
        network=network,
        options=options,
        sources=(SourceConfig(name="set", licence="none", validation=("p1",), test=("p0",), **source),),
        schedule=ScheduleConfig(**{"iterations": 6, "batch": 2, "warmup": 1, "validate_every": 3} | schedule),
        data_root=str(data),
    )


def trained_state(work: Path) -> dict[str, torch.Tensor]:
    found = checkpoint.load(work)
    assert found is not None
    return found.tensors


@pytest.mark.parametrize("task", TASKS)
def test_a_training_ends_in_a_bundle_that_predicts(task: str, data: Path, tmp_path: Path) -> None:
    card = train(config(task, data), tmp_path / "bundle")
    assert read_card(tmp_path / "bundle").sha256 == card.sha256
    assert card.training["iterations"] in (3, 6)
    assert any("p0" in patient for patient in card.training["test_patients"])
    assert not any("p0" in patient for patient in card.training["train_patients"])
    by_class = {"by_class", "operating_point"} if task == "classification" else set()
    assert set(card.metrics) == {"protocol", "test", "baseline"} | by_class
    output = load_predictor(tmp_path / "bundle", precision="fp32")(tissue(32, 32)[None])
    assert np.isfinite(output).all()
    assert (tmp_path / "bundle.training/log.csv").is_file()
    assert (tmp_path / "bundle.training/curves.png").is_file()


@pytest.mark.parametrize("task", TASKS)
def test_stopping_and_resuming_is_training_straight_through(task: str, data: Path, tmp_path: Path) -> None:
    full = config(task, data, workers=0)
    straight = Training(full, build_task(full), _folder(tmp_path / "straight"))
    straight.run()
    stopped = Training(full, build_task(full), _folder(tmp_path / "stopped"))
    for iteration in range(3):
        stopped.step(draw_batches(stopped.task, full, iteration))
        stopped.progress = stopped.progress.after(0.1)
    stopped.save()
    resumed = Training(full, build_task(full), tmp_path / "stopped")
    assert resumed.progress.iteration == 3
    resumed.run()
    for part in (straight, resumed):
        part.save()
    one, other = (trained_state(tmp_path / name) for name in ("straight", "stopped"))
    parts = ("network.", "mean.", "optimiser.")
    assert {key for key in one if key.startswith(parts)} == {key for key in other if key.startswith(parts)}
    assert all(torch.equal(one[key], other[key]) for key in other if key.startswith(parts))


def test_threads_that_draw_ahead_change_nothing(data: Path, tmp_path: Path) -> None:
    for workers in (0, 2):
        settings = config("superresolution", data, workers=workers)
        Training(settings, build_task(settings), _folder(tmp_path / str(workers))).run()
    one, other = (trained_state(tmp_path / name) for name in ("0", "2"))
    assert all(torch.equal(one[key], other[key]) for key in one)


def test_training_makes_the_loss_smaller(data: Path, tmp_path: Path) -> None:
    settings = config("nuclei", data, iterations=24, learning_rate=0.01, validate_every=6)
    training = Training(settings, build_task(settings), _folder(tmp_path / "t"))
    training.run()
    losses = [row["loss"] for row in training.log.rows]
    assert losses[-1] < 0.9 * losses[0]


def test_a_checkpoint_of_other_settings_is_refused(data: Path, tmp_path: Path) -> None:
    first = config("superresolution", data, iterations=1)
    Training(first, build_task(first), _folder(tmp_path / "t")).run()
    other = replace(first, seed=first.seed + 1)
    with pytest.raises(TrainingError, match="other settings"):
        Training(other, build_task(other), tmp_path / "t")


def test_a_training_that_ended_can_be_made_longer(data: Path, tmp_path: Path) -> None:
    short = config("superresolution", data, iterations=2)
    Training(short, build_task(short), _folder(tmp_path / "t")).run()
    longer = config("superresolution", data, iterations=3)
    training = Training(longer, build_task(longer), tmp_path / "t")
    assert training.progress.iteration == 2
    training.run()
    assert training.progress.iteration == 3


def test_where_data_are_kept_and_what_only_measures_may_change(data: Path, tmp_path: Path) -> None:
    first = config("superresolution", data, iterations=1)
    Training(first, build_task(first), _folder(tmp_path / "t")).run()
    source = first.sources[0]
    measured = replace(source, name="more", share=0.0, degradation="box_jpeg")
    other = replace(first, name="renamed", sources=(replace(source, cache_mib=1), measured))
    other = replace(other, options={**other.options, "judge": "none"}, limits="Others.")
    assert Training(other, build_task(other), tmp_path / "t").progress.iteration == 1
    card = write_trained(other, tmp_path / "b", tmp_path / "t")
    assert card.name == "renamed"


def test_weights_of_another_training_are_not_written_as_this_ones(data: Path, tmp_path: Path) -> None:
    first = config("superresolution", data, iterations=1)
    Training(first, build_task(first), _folder(tmp_path / "t")).run()
    source = replace(first.sources[0], test=("p3",))
    with pytest.raises(TrainingError, match=r"other settings \(.*train_patients"):
        write_trained(replace(first, sources=(source,)), tmp_path / "b", tmp_path / "t")


def test_without_a_checkpoint_there_is_no_bundle_to_write(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no checkpoint"):
        write_trained(config("nuclei", tmp_path), tmp_path / "b", _folder(tmp_path / "empty"))


def test_a_loss_that_is_no_number_stops_the_training(data: Path, tmp_path: Path) -> None:
    settings = config("superresolution", data)
    training = Training(settings, build_task(settings), _folder(tmp_path / "t"))
    with torch.no_grad():
        next(training.network.parameters()).fill_(torch.nan)
    with pytest.raises(TrainingError, match="loss is nan at iteration 0"):
        training.run()


def test_an_architecture_that_does_not_do_the_task_is_refused(data: Path, tmp_path: Path) -> None:
    wrong = replace(config("nuclei", data), architecture="srresnet")
    with pytest.raises(TrainingError, match="does not do nuclei"):
        Training(wrong, build_task(wrong), tmp_path)
    with pytest.raises(TrainingError, match="unknown key crop"):
        build_task(replace(config("nuclei", data), options={"crop": 3}))
    with pytest.raises(TrainingError, match="no task"):
        build_task(replace(config("nuclei", data), task="painting"))  # type: ignore[arg-type]


@pytest.mark.parametrize("task", TASKS)
def test_a_card_that_would_be_refused_is_refused_before_the_training(task: str, data: Path, tmp_path: Path) -> None:
    wrong = replace(config(task, data), name="Capital")
    with pytest.raises(BundleError, match="name is 'Capital'"):
        train(wrong, tmp_path / "bundle")
    assert not list(tmp_path.glob("bundle*/*"))


def test_the_learning_rate_warms_up_and_ends_at_nothing() -> None:
    schedule = ScheduleConfig(iterations=100, batch=1, warmup=10)
    rates = [rate(schedule, Progress(iteration=iteration)) for iteration in range(101)]
    assert rates[0] < 0.1
    assert max(rates) == max(rates[8:13])
    assert rates[-1] == 0
    assert all(one > two for one, two in pairwise(rates[12:]))


def test_minutes_end_a_training_that_has_iterations_left() -> None:
    schedule = ScheduleConfig(iterations=100, batch=1, minutes=2)
    assert share_done(schedule, Progress(iteration=10, seconds=60)) == 0.5
    assert share_done(schedule, Progress(iteration=90, seconds=60)) == 0.9
    assert rate(schedule, Progress(iteration=10, seconds=120)) == 0


def test_the_running_mean_forgets_its_random_start() -> None:
    mean, network = torch.nn.Linear(1, 1), torch.nn.Linear(1, 1)
    with torch.no_grad():
        mean.weight.fill_(100.0)
        network.weight.fill_(1.0)
    for iteration in range(200):
        update_mean(mean, network, 0.999, iteration)
    assert mean.weight.item() == pytest.approx(1, abs=0.01)


def test_the_command_line_trains_and_keeps_the_settings_beside_the_bundle(data: Path, tmp_path: Path) -> None:
    text = f"""
name = "small"
task = "superresolution"
architecture = "srresnet"
mpp = 0.5
licence = "none"
limits = "none"
data_root = "{data}"
network = {{ scale = 2, blocks = 1, channels = 4 }}
options = {{ crop_px = 16 }}
schedule = {{ iterations = 1, batch = 1 }}
sources = [{{ name = "s", licence = "none", kind = "images", path = "images", test = ["p0"] }}]
"""
    (tmp_path / "train.toml").write_text(text)
    main(["--config", str(tmp_path / "train.toml"), "--out", str(tmp_path / "bundle")])
    assert (tmp_path / "bundle/train.toml").read_text() == text
    assert load_network(tmp_path / "bundle") is not None


def _folder(path: Path) -> Path:
    path.mkdir()
    return path
