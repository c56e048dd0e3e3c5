from __future__ import annotations

from pathlib import Path

import pytest

from models.errors import TrainingError
from models.train_config import ScheduleConfig, read_config

BUNDLES = Path(__file__).parents[2] / "models/bundles"
MINIMAL = """
name = "t"
task = "nuclei"
architecture = "unet"
mpp = 0.25
licence = "none"
limits = "none"
[schedule]
iterations = 10
batch = 2
[[sources]]
name = "s"
licence = "none"
kind = "instances"
path = "nuclei"
test = ["a", "b"]
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "train.toml"
    path.write_text(text)
    return path


def test_a_training_file_is_read_and_its_data_lie_beside_it(tmp_path: Path) -> None:
    config = read_config(write(tmp_path, MINIMAL))
    assert config.schedule == ScheduleConfig(iterations=10, batch=2)
    assert config.sources[0].test == ("a", "b")
    assert Path(config.data_root) == tmp_path
    assert config.at("/data").data_root == "/data"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('name = "t"', 'nmae = "t"', "unknown key nmae"),
        ("batch = 2", "", "missing key batch"),
        ("batch = 2", "batch = 0", "batch=0"),
        ("batch = 2", "batch = 2\nlearning_rate = -1.0", "learning_rate"),
        ('kind = "instances"', 'kind = "instances"\nmirror = true', "unknown key mirror"),
        (
            'kind = "instances"',
            'kind = "slide"\ndegradation = "nearest"',
            "the source s cannot have degradation='nearest'",
        ),
        ('kind = "instances"', 'kind = "slide"\ntrain_width = 75', "train_width=75"),
        ('kind = "instances"', 'kind = "slide"\nmpp = 0.0\nsharpest_db = -1', r"mpp=0\.0, sharpest_db=-1"),
        ("[schedule]", "[schedule", "cannot be read"),
    ],
)
def test_a_wrong_training_file_is_named_with_what_is_wrong(tmp_path: Path, old: str, new: str, said: str) -> None:
    with pytest.raises(TrainingError, match=said) as caught:
        read_config(write(tmp_path, MINIMAL.replace(old, new)))
    assert "train.toml" in caught.value.what


@pytest.mark.parametrize("path", sorted(BUNDLES.glob("*/train.toml")), ids=lambda path: path.parent.name)
def test_the_shipped_training_files_are_valid_and_bear_their_bundles_name(path: Path) -> None:
    assert read_config(path).name == path.parent.name
