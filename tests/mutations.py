"""Hostile input: files that were good, changed at random in the ways that break parsers."""

from __future__ import annotations

import random
import string
import struct
from collections.abc import Callable

_LARGE = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 2_000_000)
_TOKENS = (
    "null", "true", "-1", "0", "1e308", "1e999", "NaN", "inf", "nan", "Infinity", "9" * 400, "1979-05-27",
    "[]", "{}", "[" * 3000, '{"a":' * 3000, '""', '"\\u0000"', '"' + "A" * 5000 + '"', "\'\'\'", '"""', "\\", "\ud7ff",
    "../../etc/passwd", "(" * 200 + "a+" + ")+" * 200,
)  # fmt: skip


def mutate_text(text: str, rng: random.Random) -> str:
    """A text with one to four changes: values exchanged, keys broken, parts cut, doubled, nested without end."""
    for _ in range(rng.randint(1, 4)):
        text = rng.choice(_TEXT_CHANGES)(text, rng)
    return text


def mutate_bytes(content: bytes, rng: random.Random, head: int = 4096) -> bytes:
    """Bytes with one to eight changes, most of them near the start and the end, where headers and tables lie."""
    changed = bytearray(content)
    for _ in range(rng.randint(1, 8)):
        if not changed:
            break
        at = rng.choice((rng.randrange(min(len(changed), head)), rng.randrange(len(changed)),
                         max(0, len(changed) - 1 - rng.randrange(head))))  # fmt: skip
        rng.choice(_BYTE_CHANGES)(changed, at, rng)
    return bytes(changed)


def _exchange_value(text: str, rng: random.Random) -> str:
    places = [at for at, char in enumerate(text) if char in ":="]
    if not places:
        return rng.choice(_TOKENS)
    at = rng.choice(places) + 1
    end = min((found for found in (text.find(mark, at) for mark in ",\n}") if found >= 0), default=len(text))
    return f"{text[:at]} {rng.choice(_TOKENS)}{text[end:]}"


def _cut(text: str, rng: random.Random) -> str:
    at = rng.randrange(len(text) + 1)
    return text[:at] + text[min(len(text), at + rng.choice((1, 10, len(text)))) :]


def _double(text: str, rng: random.Random) -> str:
    at = rng.randrange(len(text) + 1)
    return text[:at] + text[at : at + rng.randint(1, 60)] * rng.choice((2, 2, 50)) + text[at:]


def _sprinkle(text: str, rng: random.Random) -> str:
    at = rng.randrange(len(text) + 1)
    char = rng.choice((rng.choice(string.printable), chr(rng.randrange(0xD7FF)), "\0", "\ufeff"))
    return text[:at] + char + text[at + 1 :]


def _insert(text: str, rng: random.Random) -> str:
    at = rng.randrange(len(text) + 1)
    return text[:at] + rng.choice(_TOKENS) + text[at:]


_TEXT_CHANGES: tuple[Callable[[str, random.Random], str], ...] = (
    _exchange_value, _exchange_value, _exchange_value, _cut, _double, _sprinkle, _insert,
)  # fmt: skip


def _flip(content: bytearray, at: int, rng: random.Random) -> None:
    content[at] ^= 1 << rng.randrange(8)


def _set(content: bytearray, at: int, rng: random.Random) -> None:
    form = rng.choice(("<H", "<I", ">H", ">I", "<Q"))
    value = struct.pack(form, rng.choice(_LARGE) % 2 ** (8 * struct.calcsize(form)))
    content[at : at + len(value)] = value


def _noise(content: bytearray, at: int, rng: random.Random) -> None:
    content[at : at + 8] = rng.randbytes(len(content[at : at + 8]))


def _truncate(content: bytearray, at: int, rng: random.Random) -> None:
    if rng.random() < 0.3:
        del content[at:]


def _copy(content: bytearray, at: int, rng: random.Random) -> None:
    there = rng.randrange(len(content))
    content[at : at + 12] = content[there : there + 12]  # an entry of a table of tags is 12 bytes


_BYTE_CHANGES: tuple[Callable[[bytearray, int, random.Random], None], ...] = (
    _flip, _flip, _set, _set, _set, _noise, _truncate, _copy,
)  # fmt: skip
