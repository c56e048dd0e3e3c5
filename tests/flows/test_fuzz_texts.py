"""Cards and settings come from anyone: whatever is in them, they are read, or refused in words, quickly and in little
memory."""

import os
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from models.card import Card
from models.errors import ModelError
from models.shelf import SHIPPED
from models.train_config import read_config as read_training
from pipeline.config import read_config
from pipeline.errors import HistoloomError
from tests.memory import most_growth_below
from tests.mutations import mutate_text

COUNT = int(os.environ.get("HISTOLOOM_MUTANTS", "400"))
LONGEST_S = 10.0
BUDGET_BYTES = 300 * 2**20

CARDS = tuple(path.read_text() for path in sorted(SHIPPED.glob("*/card.json")))
TRAININGS = tuple(path.read_text() for path in sorted(SHIPPED.glob("*/train.toml")))
SETTINGS = (
    """
mpp = 0.25
target_mpp = 0.5
sr = "none"
nuclei = "nuclei-unet"
classifiers = ["idc-hybrid"]
stride_share = 0.5
tissue = "auto"
core_px = 512

[slide."a b"]
mpp = 0.5
reader = "openslide"
""",
)


def read_card(path: Path) -> None:
    Card.from_json(path.read_text(encoding="utf-8"), path)


def read_settings(path: Path) -> None:
    config = read_config(path)
    for name in config.overrides:
        config.of(name)


def read_training_file(path: Path) -> None:
    read_training(path)


READERS = [
    pytest.param(read_card, CARDS, id="cards"),
    pytest.param(read_settings, SETTINGS, id="settings"),
    pytest.param(read_training_file, TRAININGS, id="training files"),
]


def refused(read: Callable[[Path], None], texts: tuple[str, ...], count: int, path: Path) -> tuple[int, float]:
    """How many of `count` mutants were refused, and the longest time one took; any other error goes through."""
    refusals, longest_s = 0, 0.0
    for seed in range(count):
        rng = random.Random(seed)
        path.write_text(mutate_text(rng.choice(texts), rng), encoding="utf-8", errors="replace")
        began = time.process_time()
        try:
            read(path)
        except (HistoloomError, ModelError) as error:
            refusals += 1
            if not (error.what and error.cure):
                pytest.fail(f"seed {seed}: says no way out: {error}")
        except Exception as error:
            pytest.fail(f"seed {seed}: {type(error).__name__}: {error}")
        longest_s = max(longest_s, time.process_time() - began)
    return refusals, longest_s


@pytest.mark.parametrize(("read", "texts"), READERS)
def test_a_mutated_text_is_read_or_refused_in_words(
    read: Callable[[Path], None], texts: tuple[str, ...], tmp_path: Path
) -> None:
    with most_growth_below(BUDGET_BYTES):
        refusals, longest_s = refused(read, texts, COUNT, tmp_path / "mutant")
    print(f"{COUNT} mutants, {refusals} refused, longest {longest_s * 1000:.0f} ms")
    assert COUNT / 4 < refusals < COUNT
    assert longest_s < LONGEST_S


@pytest.mark.slow
@pytest.mark.parametrize(("read", "texts"), READERS)
def test_ten_thousand_mutated_texts_are_read_or_refused_in_words(
    read: Callable[[Path], None], texts: tuple[str, ...], tmp_path: Path
) -> None:
    with most_growth_below(BUDGET_BYTES):
        _, longest_s = refused(read, texts, 10_000, tmp_path / "mutant")
    assert longest_s < LONGEST_S
