"""The loop with rivals, parts of batches, and weights to begin with; the plain tasks are in `test_train`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from models import checkpoint
from models.batches import Batch
from models.bundle import load_network, read_card
from models.card import Card
from models.comparison_nuclei_measure import seen_patients
from models.errors import ModelError, TrainingError
from models.predict import load_predictor
from models.tasks import build_task
from models.train import train
from models.train_config import TrainConfig
from models.training import Training, draw_batches
from models.turns import NETWORK
from tests.models.examples import tissue
from tests.models.test_train import config, data, one_thread  # noqa: F401 (fixtures)

LOSSES = ("bce", "lsgan", "ragan", "wgan_gp")


def adversarial(root: Path, **adversary: Any) -> TrainConfig:
    plain = config("superresolution", root, iterations=4, validate_every=2)
    table = {"network": "unet_sn", "width": 4, "loss": "ragan"} | adversary
    losses = {"l1": 1.0, "adversarial": 0.05}
    return replace(plain, options={**plain.options, "losses": losses, "adversary": table, "judge": "none"})


def weights(network: torch.nn.Module) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in network.parameters()]).clone()


def start(settings: TrainConfig, folder: Path) -> Training:
    folder.mkdir(exist_ok=True)
    return Training(settings, build_task(settings), folder)


def batches_of(training: Training) -> list[Batch]:
    return draw_batches(training.task, training.config, 1)


@pytest.mark.parametrize("loss", LOSSES)
def test_both_players_learn_and_the_critic_as_often_as_told(loss: str, data: Path, tmp_path: Path) -> None:  # noqa: F811
    training = start(adversarial(data, loss=loss, network="wa_critic", turns=2), tmp_path / "t")
    before = {name: weights(network) for name, network in training.networks.items()}
    losses = training.step(batches_of(training))
    assert set(losses) == {"loss", "loss_critic"}
    assert all(not torch.equal(before[name], weights(network)) for name, network in training.networks.items())
    steps = [one.optimiser.state_dict()["state"][0]["step"].item() for one in training.players.values()]
    assert steps == [1, 2]


def test_a_critic_alone_moves_the_network(data: Path, tmp_path: Path) -> None:  # noqa: F811
    settings = adversarial(data)
    settings = replace(settings, options={**settings.options, "losses": {"adversarial": 1.0}})
    training = start(settings, tmp_path / "t")
    before = weights(training.network)
    training.step(batches_of(training))
    assert not torch.equal(before, weights(training.network))


@pytest.mark.parametrize(
    ("critic", "loss", "turns", "norm"),
    [("wa_critic", "wgan_gp", 2, "none"), ("unet_sn", "ragan", 1, "none"), ("srgan", "bce", 1, "bn")],
)
def test_a_rival_resumes_as_if_it_had_never_stopped(
    critic: str,
    loss: str,
    turns: int,
    norm: str,
    data: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    settings = adversarial(data, loss=loss, network=critic, turns=turns)
    settings = replace(settings, network={**settings.network, "norm": norm})
    straight = start(settings, tmp_path / "straight")
    straight.run()
    stopped = start(settings, tmp_path / "stopped")
    for iteration in range(2):
        stopped.step(draw_batches(stopped.task, settings, iteration))
        stopped.progress = stopped.progress.after(0.1)
    stopped.save()
    start(settings, tmp_path / "stopped").run()
    one, other = (checkpoint.load(tmp_path / name) for name in ("straight", "stopped"))
    assert one is not None
    assert other is not None
    assert set(one.tensors) == set(other.tensors)
    assert all(torch.equal(one.tensors[name], other.tensors[name]) for name in one.tensors)


def test_a_batch_in_parts_teaches_what_the_whole_does(data: Path, tmp_path: Path) -> None:  # noqa: F811
    whole = replace(config("superresolution", data), precision="fp32")
    whole = replace(whole, schedule=replace(whole.schedule, batch=4))
    parts = replace(whole, schedule=replace(whole.schedule, accumulate=3))  # parts of 2, 1 and 1
    found = []
    for settings in (whole, parts):
        training = start(settings, tmp_path / str(settings.schedule.accumulate))
        loss = training.step(batches_of(training))["loss"]
        found.append((loss, weights(training.network)))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-5)
    torch.testing.assert_close(found[0][1], found[1][1], rtol=1e-4, atol=1e-6)


def test_an_adversary_that_does_not_exist_or_weighs_nothing_is_refused(data: Path) -> None:  # noqa: F811
    for wrong in ({"network": "judge"}, {"loss": "hinge"}, {"network": "srgan", "loss": "wgan_gp"}, {"turns": 0}):
        with pytest.raises(TrainingError, match=r"adversary cannot have|mixes images"):
            build_task(adversarial(data, **wrong))
    settings = adversarial(data)
    with pytest.raises(TrainingError, match="without an adversary"):
        build_task(replace(settings, options={"crop_px": 32, "losses": {"l1": 1.0, "adversarial": 0.1}}))
    with pytest.raises(TrainingError, match="weighs nothing"):
        build_task(replace(settings, options={**settings.options, "losses": {"l1": 1.0}}))
    with pytest.raises(TrainingError, match="weigh"):
        build_task(replace(settings, options={**settings.options, "losses": {"l1": -1.0}}))


def test_the_second_weights_join_the_bundle_and_mix_with_its_own(data: Path, tmp_path: Path) -> None:  # noqa: F811
    bundle = tmp_path / "bundle"
    first = train(config("superresolution", data), bundle)
    against = replace(adversarial(data), begin=str(bundle), weights="gan")
    card = train(against, bundle, tmp_path / "gan.training")
    assert card.sha256 == first.sha256
    assert card.gan is not None
    assert card.gan["training"]["begun_with"] == bundle.name
    assert read_card(bundle).gan == card.gan
    own, second, half = (weights(load_network(bundle, blend)) for blend in (0.0, 1.0, 0.5))
    assert not torch.equal(own, second)
    torch.testing.assert_close(half, (own + second) / 2)
    tile = tissue(24, 24)[None]
    assert load_predictor(bundle, precision="fp32", blend=0.5)(tile).shape == (1, 48, 48, 3)


def test_weights_to_begin_with_are_where_the_training_starts(data: Path, tmp_path: Path) -> None:  # noqa: F811
    bundle = tmp_path / "bundle"
    train(config("superresolution", data), bundle)
    settings = replace(config("superresolution", data), begin=str(bundle))
    assert torch.equal(weights(start(settings, tmp_path / "t").networks[NETWORK]), weights(load_network(bundle)))
    wider = replace(settings, network={**settings.network, "channels": 16})
    with pytest.raises(TrainingError, match="another network's weights"):
        start(wider, tmp_path / "w")


def test_a_card_names_all_that_its_weights_have_seen_however_long_ago(data: Path, tmp_path: Path) -> None:  # noqa: F811
    """The third training names patients of the first, whom neither the second nor the third learned from."""
    settings = config("nuclei", data, iterations=1, validate_every=1)
    (source,) = settings.sources
    cards: list[Card] = []
    for name, held_out in (("first", ("p1", "p2")), ("second", ("p3", "p4")), ("third", ("p3",))):
        own = replace(source, name=name, validation=held_out)
        begin = str(tmp_path / cards[-1].name) if cards else ""
        cards.append(train(replace(settings, name=name, begin=begin, sources=(own,)), tmp_path / name))
    first, second, third = (card.training["train_patients"] for card in cards)
    assert first == ["first: p3", "first: p4"]
    assert second == ["second: p1", "second: p2", *first]
    assert third == ["third: p1", "third: p2", "third: p4", *second]
    assert [one["name"] for one in cards[-1].training["data"]] == ["third", "second", "first"]
    assert seen_patients(cards[-1], "first") == {"p3", "p4"}


def test_second_weights_name_whom_the_first_have_seen(data: Path, tmp_path: Path) -> None:  # noqa: F811
    bundle, settings = tmp_path / "bundle", config("superresolution", data)
    train(settings, bundle)
    against = replace(adversarial(data), begin=str(bundle), weights="gan")
    fewer = replace(against.sources[0], validation=("p1", "p4"))
    card = train(replace(against, sources=(fewer,)), bundle)
    assert card.gan is not None
    assert card.gan["training"]["train_patients"] == ["p2", "p3", "p4"] == card.training["train_patients"]


def test_a_critic_sees_other_images_at_each_of_its_turns(data: Path, tmp_path: Path) -> None:  # noqa: F811
    batches = batches_of(start(adversarial(data, turns=3), tmp_path / "t"))
    assert len(batches) == 3
    assert not any(torch.equal(batches[0]["high"], other["high"]) for other in batches[1:])


def test_training_a_bundle_again_keeps_its_second_weights(data: Path, tmp_path: Path) -> None:  # noqa: F811
    bundle, settings = tmp_path / "bundle", config("superresolution", data)
    train(settings, bundle)
    card = train(replace(adversarial(data), begin=str(bundle), weights="gan"), bundle)
    assert (tmp_path / "bundle.gan.training").is_dir()
    assert train(settings, bundle).gan == card.gan


def test_what_cannot_ship_is_refused_before_the_training(data: Path, tmp_path: Path) -> None:  # noqa: F811
    bundle, settings = tmp_path / "bundle", config("superresolution", data)
    against = replace(adversarial(data), begin=str(bundle), weights="gan")
    train(settings, bundle)

    def refused(wrong: TrainConfig, match: str, out: Path = bundle) -> None:
        with pytest.raises(ModelError, match=match):
            train(wrong, out, tmp_path / "refused")
        assert checkpoint.load(tmp_path / "refused") is None

    refused(against, "neither a shipped bundle", tmp_path / "nowhere")
    refused(replace(settings, name="Not A Name"), "name is 'Not A Name'")
    refused(replace(settings, options={**settings.options, "judge": "nobody"}), "nobody")
    other = replace(settings.sources[0], test=("p3",))
    refused(replace(settings, begin=str(bundle), sources=(other,)), "share 1 patients")
    wide = {"scale": 2, "blocks": 1, "channels": 4, "attention": "global"}
    refused(replace(settings, architecture="wide_activation", network=wide), "everywhere")
    with pytest.raises(ValueError, match="second weights"):
        replace(settings, weights="gan")
    with pytest.raises(ValueError, match="precision is 'fp16'"):
        replace(settings, precision="fp16")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("architecture", "network", "fixed"),
    [
        ("edsr_ise", {"blocks": 1, "channels": 16}, {"gates": "frozen"}),
        (
            "wide_activation",
            {"blocks": 1, "channels": 8, "attention": "anchor", "anchor_side": 4},
            {"anchors": "fixed"},
        ),
    ],
)
def test_a_network_that_looks_at_whole_images_ships_with_constants_in_their_place(
    architecture: str,
    network: dict[str, Any],
    fixed: dict[str, str],
    data: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    plain = config("superresolution", data)
    card = train(replace(plain, architecture=architecture, network={"scale": 2, **network}), tmp_path / "bundle")
    assert fixed.items() <= card.parameters.items()
    assert card.receptive_radius_px is not None
    assert card.receptive_radius_px < 32
    assert load_predictor(tmp_path / "bundle", precision="fp32")(tissue(24, 24)[None]).shape == (1, 48, 48, 3)
