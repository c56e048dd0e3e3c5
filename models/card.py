"""Card: what a bundle says about its network, checked field by field, since a card may come from anyone.

A card is JSON of at most 1 MiB. Unknown keys, missing keys, numbers that are not finite and values outside what a
microscope or a network can have are errors that name the file and the field.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, NoReturn

from models.errors import BundleError

CARD_FORMAT = 1
TASKS = ("superresolution", "nuclei", "classification")
LONGEST_CARD_BYTES = 2**20
DEEPEST_CARD = 12
CURE = "Repair the card, or take a bundle that `histoloom models` lists."


@dataclass(frozen=True, slots=True)
class Normalisation:
    """What is subtracted from RGB / 255 and what the rest is divided by, a number a channel."""

    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """What a bundle says about its network. `check()` holds every field; `from_json` and `write_bundle` call it."""

    name: str
    task: str
    """`superresolution`, `nuclei` or `classification`."""
    architecture: str
    """A key of `models.architectures.ARCHITECTURES`; whether it fits is seen when the network is built."""
    parameters: Mapping[str, Any]
    """Keyword arguments of the architecture's config."""
    mpp: float
    """um per px of the network's input."""
    scale: int | None = None
    """Output side over input side; super-resolution only."""
    classes: tuple[str, ...] | None = None
    """Names of the output channels; not for super-resolution."""
    field_px: int | None = None
    """Side of the square patch; classification only."""
    normalisation: Normalisation = Normalisation()
    receptive_radius_px: int | None = None
    """Input px on each side that an output px depends on; not for classification."""
    stride_px: int = 1
    """What input sides are padded to a multiple of, and tile corners lie on."""
    postprocessing: Mapping[str, Any] = field(default_factory=dict)
    sha256: str = ""
    """Of model.safetensors; empty only until the bundle is written."""
    licence: str
    """Of the weights."""
    training: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    gan: Mapping[str, Any] | None = None
    """Of gan.safetensors, the second weights of a super-resolver that has any: `sha256`, `training`, `metrics`."""
    limits: str
    """What the network is not good for, in a sentence or two."""
    format: int = CARD_FORMAT

    @property
    def halo_px(self) -> int:
        """Input px to read around a core so that tiles join without a seam: the radius, in whole strides."""
        return -(-(self.receptive_radius_px or 0) // self.stride_px) * self.stride_px

    @classmethod
    def from_json(cls, text: str, where: str | Path) -> Card:
        """Read and check a card; `where` is the file that errors name.

        Raises
        ------
        BundleError
            if the text is not JSON, a key is unknown or missing, or a value is impossible.
        """
        loaded = _load_object(text, where)
        known = [one.name for one in fields(cls)]
        for wrong, what in ((set(loaded) - set(known), "unknown"), (set(known) - set(loaded), "missing")):
            if wrong:
                _refuse(where, f"{what} key {', '.join(repr(key) for key in sorted(wrong))}")
        normalisation = loaded["normalisation"]
        if not isinstance(normalisation, dict) or set(normalisation) != {"mean", "std"}:
            _refuse(where, "normalisation must have exactly the keys mean and std")
        card = cls(
            **loaded
            | {
                "normalisation": Normalisation(_tuple(normalisation["mean"]), _tuple(normalisation["std"])),
                "classes": _tuple(loaded["classes"]),
            }
        )
        card.check(where)
        if not card.sha256:
            _refuse(where, "sha256 is empty")
        return card

    def weights_hash(self, blend: float = 0.0) -> str:
        """Return what identifies the weights where `blend` of them is the second ones."""
        return f"{self.sha256}+{blend:g}*{self.gan['sha256']}" if blend and self.gan else self.sha256

    def to_json(self) -> str:
        """Return the card as the JSON that `from_json` reads."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    def check(self, where: str | Path) -> None:
        """Raise a `BundleError` that names `where` if any field, or their combination, is impossible."""
        for name, (holds, wanted) in _RULES.items():
            value = getattr(self, name)
            if not holds(value):
                _refuse(where, f"{name} is {_short(value)} where {wanted} is wanted")
        for name, tasks in _TASK_FIELDS.items():
            given, wanted_here = getattr(self, name) is not None, self.task in tasks
            if given != wanted_here:
                _refuse(where, f"{name} must {'be given' if wanted_here else 'be null'} for the task {self.task}")
        if self.gan is not None and self.task != "superresolution":
            _refuse(where, f"gan must be null for the task {self.task}")


def join_cards(cards: Sequence[Card]) -> Card:
    """Return the card of super-resolution networks that follow each other; of a single one, its own.

    Radius and stride are in px of the first input: behind networks that enlarge by s together, a radius of r px is
    ceil(r / s) of those, and a stride of t px asks for t / gcd(t, s). The mpp is such that the last network gives what
    it was trained to give.
    """
    if len(cards) == 1:
        return cards[0]
    scale, radius_px, stride_px = 1, 0, 1
    for card in cards:
        radius_px += -(-(card.receptive_radius_px or 0) // scale)
        stride_px = math.lcm(stride_px, card.stride_px // math.gcd(card.stride_px, scale))
        scale *= card.scale or 1
    return replace(
        cards[0],
        name="+".join(card.name for card in cards),
        mpp=cards[-1].mpp * scale / (cards[-1].scale or 1),
        scale=scale,
        receptive_radius_px=radius_px,
        stride_px=stride_px,
        sha256="+".join(card.sha256 for card in cards),
    )


def _load_object(text: str, where: str | Path) -> dict[str, Any]:
    """Parse JSON strictly: an object, each key once, finite numbers only, not nested without end."""
    try:
        loaded = json.loads(text, parse_constant=_no_constant, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        _refuse(where, f"not readable as JSON ({error})")
    if not isinstance(loaded, dict):
        _refuse(where, "not a JSON object")
    if not _is_plain(loaded, DEEPEST_CARD):
        _refuse(where, f"holds a number that is not finite, or is nested deeper than {DEEPEST_CARD} levels")
    return loaded


def _no_constant(name: str) -> NoReturn:
    msg = f"{name} is no number"
    raise ValueError(msg)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    if len(set(keys)) < len(keys):
        msg = "a key is given twice"
        raise ValueError(msg)
    return dict(pairs)


def _is_plain(value: object, depth: int) -> bool:
    """Whether a value is made of JSON's types with finite numbers, at most `depth` levels deep."""
    if depth == 0:
        return False
    if isinstance(value, Mapping):
        return all(isinstance(key, str) and _is_plain(inner, depth - 1) for key, inner in value.items())
    if isinstance(value, list | tuple):
        return all(_is_plain(inner, depth - 1) for inner in value)
    return value is None or isinstance(value, str | bool) or _is_number(value, -1e300, 1e300)


def _is_number(value: object, low: float, high: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high


def _is_whole(value: object, low: int, high: int) -> bool:
    return isinstance(value, int) and _is_number(value, low, high)


def _is_text(value: object, longest: int) -> bool:
    return isinstance(value, str) and 0 < len(value.strip()) <= longest


def _is_normalisation(value: object) -> bool:
    return isinstance(value, Normalisation) and _are_numbers(value.mean, -10, 10) and _are_numbers(value.std, 1e-3, 1e3)


def _are_numbers(value: object, low: float, high: float) -> bool:
    return isinstance(value, tuple) and len(value) == 3 and all(_is_number(one, low, high) for one in value)


def _are_classes(value: object) -> bool:
    return (
        isinstance(value, tuple)
        and 2 <= len(value) <= 1000
        and all(_is_text(one, 100) for one in value)
        and len(set(value)) == len(value)
    )


def _is_plain_object(value: object) -> bool:
    return isinstance(value, Mapping) and _is_plain(value, DEEPEST_CARD)


def _is_gan(value: object) -> bool:
    return (
        isinstance(value, Mapping)
        and set(value) == {"sha256", "training", "metrics"}
        and isinstance(value["sha256"], str)
        and re.fullmatch(r"[0-9a-f]{64}", value["sha256"]) is not None
        and _is_plain_object(value["training"])
        and _is_plain_object(value["metrics"])
    )


def _or_none(holds: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda value: value is None or holds(value)


_Rule = tuple[Callable[[object], bool], str]
_OBJECT: _Rule = (_is_plain_object, "an object of plain values")

_RULES: dict[str, _Rule] = {
    "format": (lambda value: value == CARD_FORMAT and _is_whole(value, 1, 1), f"{CARD_FORMAT}"),
    "name": (
        lambda value: isinstance(value, str) and re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,63}", value) is not None,
        "a name of at most 64 lower-case letters, digits, dots and dashes",
    ),
    "task": (lambda value: value in TASKS, f"one of {', '.join(TASKS)}"),
    "architecture": (lambda value: _is_text(value, 64), "the name of an architecture"),
    "parameters": _OBJECT,
    "mpp": (lambda value: _is_number(value, 0.05, 20), "a number of um per px from 0.05 to 20"),
    "scale": (_or_none(lambda value: _is_whole(value, 2, 16) and value in (2, 4, 8, 16)), "2, 4, 8 or 16"),
    "classes": (_or_none(_are_classes), "a list of two or more different names"),
    "field_px": (_or_none(lambda value: _is_whole(value, 8, 8192)), "a whole number of px from 8 to 8192"),
    "normalisation": (_is_normalisation, "three means in -10..10 and three deviations in 0.001..1000"),
    "receptive_radius_px": (_or_none(lambda value: _is_whole(value, 0, 4096)), "a whole number of px from 0 to 4096"),
    "stride_px": (lambda value: _is_whole(value, 1, 256), "a whole number of px from 1 to 256"),
    "postprocessing": _OBJECT,
    "sha256": (
        lambda value: isinstance(value, str) and re.fullmatch(r"([0-9a-f]{64})?", value) is not None,
        "64 digits",
    ),
    "licence": (lambda value: _is_text(value, 2000), "the licence of the weights"),
    "training": _OBJECT,
    "metrics": _OBJECT,
    "gan": (_or_none(_is_gan), "an object with sha256, training and metrics"),
    "limits": (lambda value: _is_text(value, 4000), "a sentence"),
}

_TASK_FIELDS = {
    "scale": ("superresolution",),
    "classes": ("nuclei", "classification"),
    "field_px": ("classification",),
    "receptive_radius_px": ("superresolution", "nuclei"),
}


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _refuse(where: str | Path, what: str) -> NoReturn:
    raise BundleError.about(where, what, CURE)
