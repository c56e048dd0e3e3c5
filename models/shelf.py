"""The shelf of bundles: find one, read its card. Nothing here needs torch, so listing and planning are quick."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path

from models.card import CURE, LONGEST_CARD_BYTES, Card
from models.errors import BundleError, UnknownBundle

CARD_FILE = "card.json"
WEIGHTS_FILE = "model.safetensors"
GAN_FILE = "gan.safetensors"
"""The second weights of a super-resolution bundle, trained against an adversary; few bundles have them."""
SHIPPED = Path(__file__).parent / "bundles"


def find_bundle(name_or_path: str | Path) -> Path:
    """Return the folder of a shipped bundle, by name, or of the user's own, by path.

    Raises
    ------
    UnknownBundle
        if there is neither.
    """
    shipped = SHIPPED / name_or_path
    if Path(name_or_path).name == str(name_or_path) and (shipped / CARD_FILE).is_file():
        return shipped
    folder = Path(name_or_path).expanduser()
    if (folder / CARD_FILE).is_file():
        return folder
    names = ", ".join(shipped_names()) or "none"
    what = f"{name_or_path}: neither a shipped bundle ({names}) nor a folder with a {CARD_FILE}"
    close = get_close_matches(str(name_or_path), shipped_names(), n=1)
    meant = f"Did you mean {close[0]}? " if close else ""
    raise UnknownBundle(what, f"{meant}Take a name that `histoloom models` lists, or the path of a bundle's folder.")


def shipped_names() -> list[str]:
    """Return the names of all shipped bundles; no card is opened."""
    return [path.name for path in _shipped_folders()]


def list_bundles() -> list[Card]:
    """Return the cards of all shipped bundles, by name."""
    return [read_card(folder) for folder in _shipped_folders()]


def read_card(name_or_path: str | Path) -> Card:
    """Return the checked card of a bundle; the weights are not opened.

    Raises
    ------
    BundleError
        if the card cannot be read or claims something impossible.
    """
    path = find_bundle(name_or_path) / CARD_FILE
    try:
        if path.stat().st_size > LONGEST_CARD_BYTES:
            raise BundleError.about(path, f"longer than {LONGEST_CARD_BYTES} bytes", CURE)
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BundleError.about(path, f"cannot be read ({error})", CURE) from error
    return Card.from_json(text, path)


def _shipped_folders() -> list[Path]:
    return sorted(path.parent for path in SHIPPED.glob(f"*/{CARD_FILE}"))
