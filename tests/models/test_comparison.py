"""A comparison trains every cell once, goes on where it stopped, and its page says what the cards say."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.comparison import cells, finished, main, read_comparison, train_cell
from models.errors import TrainingError
from models.shelf import CARD_FILE, read_card
from tests.models.test_train import data, one_thread  # noqa: F401 (fixtures)

FILE = """
title = "Two ways"
section = "two-ways"
seeds = [0]
judge = "none"
text = "Words."
crop_px = { 2 = 32 }
schedule = { iterations = 2, batch = 1, validate_every = 1 }
adversarial_schedule = { iterations = 1, batch = 1 }

[[sets]]
name = "H&E"
mpp = 0.25
scales = [2]
sources = [{ name = "s", licence = "none", kind = "images", path = "images", test = ["p0", "p1"] }]

[[methods]]
name = "plain"
architecture = "srresnet"
network = { blocks = 1, channels = 4, norm = "none", residual = "bicubic" }

[[methods]]
name = "against"
architecture = "srresnet"
network = { blocks = 1, channels = 4, norm = "none", residual = "bicubic" }
losses = { l1 = 1.0, adversarial = 0.1 }
adversary = { network = "unet_sn", width = 4 }
published = { "H&E x2" = "99 dB" }
"""
PAGE = "# Results\n\n<!-- begin two-ways -->\nold\n<!-- end two-ways -->\n\n## Afterwards\n"


def test_a_comparison_trains_what_is_missing_and_writes_its_section(data: Path, tmp_path: Path) -> None:  # noqa: F811
    file, page, work = tmp_path / "c.toml", tmp_path / "results.md", tmp_path / "work"
    file.write_text(FILE)
    page.write_text(PAGE)
    work.mkdir()
    given = ["--config", str(file), "--data", str(data), "--work", str(work), "--page", str(page)]
    main([*given, "--only", "plain"])
    comparison = read_comparison(file)
    assert [cell.method.name for cell, _ in finished(comparison, work)] == ["plain"]
    first = (work / "h-e-x2-plain-s0" / CARD_FILE).stat().st_mtime_ns
    main(given)
    assert (work / "h-e-x2-plain-s0" / CARD_FILE).stat().st_mtime_ns == first
    text = page.read_text()
    assert text.startswith("# Results\n")
    assert text.endswith("## Afterwards\n")
    assert "old" not in text
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert [row.split(" | ")[0] for row in rows[2:]] == [
        "| bicubic",
        "| plain, pixel loss",
        "| against, pixel loss",
        "| against, adversary",
    ]
    assert "99 dB" in rows[-1]
    assert "2 + 1" in rows[-1]
    gan = read_card(work / "h-e-x2-against-s0").gan
    assert gan is not None
    assert f"{gan['metrics']['test']['s']['psnr_rgb']['mean']:.2f}" in rows[-1]


def test_beyond_the_largest_scale_for_adversaries_the_pixel_loss_is_all(data: Path, tmp_path: Path) -> None:  # noqa: F811
    file = tmp_path / "c.toml"
    file.write_text(FILE.replace("seeds = [0]", "seeds = [0]\nadversarial_up_to = 1"))
    comparison = read_comparison(file)
    (cell,) = (one for one in cells(comparison) if one.method.adversary)
    assert train_cell(comparison, cell, data, tmp_path).gan is None


def test_a_comparison_lists_every_method_at_every_scale_and_seed(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text(FILE.replace("seeds = [0]", "seeds = [0, 1]").replace("scales = [2]", "scales = [2, 4]"))
    found = list(cells(read_comparison(file)))
    assert len({cell.folder for cell in found}) == len(found) == 8


def test_an_unknown_key_and_a_page_without_marks_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text(FILE + "colour = 3\n")
    with pytest.raises(TrainingError, match="unknown key colour for a Method"):
        read_comparison(file)
    file.write_text(FILE)
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    given = ["--config", str(file), "--data", ".", "--work", str(tmp_path), "--page", str(page), "--no-training"]
    with pytest.raises(TrainingError, match="holds no bundle"):
        main(given)
