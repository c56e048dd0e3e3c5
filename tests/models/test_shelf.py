"""Bundles are found by shipped name or by path."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from models.errors import BundleError, UnknownBundle
from models.shelf import SHIPPED, find_bundle, list_bundles, read_card
from tests.models.examples import SMALL_SR, card

SHIPPED_NAMES = sorted(path.parent.name for path in SHIPPED.glob("*/card.json"))


@pytest.fixture
def shelved(tmp_path: Path) -> Path:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "card.json").write_text(card(SMALL_SR, sha256="0" * 64).to_json())
    return folder


def test_a_path_finds_the_users_own(shelved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_bundle(shelved) == shelved
    assert find_bundle(str(shelved)) == shelved
    monkeypatch.chdir(shelved.parent)
    assert find_bundle("mine") == Path("mine")


def test_an_unknown_name_tells_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(UnknownBundle, match="histoloom models") as caught:
        find_bundle(tmp_path / "nothing")
    assert len(str(caught.value).splitlines()) == 2
    assert all(name in str(caught.value) for name in SHIPPED_NAMES)


def test_a_card_is_read_without_its_weights(shelved: Path) -> None:
    assert read_card(shelved).name == "small-sr"


def test_a_card_that_is_no_text_or_too_long_is_refused(shelved: Path) -> None:
    path = shelved / "card.json"
    for content in (b"\xff\xfe\x00", b"\x80\x04\x95", b" " * 2**20 + b"{}"):
        path.write_bytes(content)
        with pytest.raises(BundleError) as caught:
            read_card(shelved)
        assert str(caught.value).startswith(f"{path}: ")
        assert len(str(caught.value).splitlines()) == 2


def test_shipped_bundles_have_good_cards_and_their_folders_names() -> None:
    assert [one.name for one in list_bundles()] == SHIPPED_NAMES


def test_looking_along_the_shelf_does_not_load_torch() -> None:
    code = "import sys, models.shelf; models.shelf.list_bundles(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
