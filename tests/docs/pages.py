"""The pages as the tests read them: Markdown files, their fenced blocks, their links and anchors."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pymdownx.slugs import slugify

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([ROOT / "README.md", *(path for path in DOCS.rglob("*.md"))])

_FENCE = re.compile(r"^```(?P<language>\w*)[^\n]*\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?<!\\)!?\[(?:[^\[\]]|\[[^\]]*\])*\]\((?P<target>[^)\s]+)[^)]*\)")
_CODE = re.compile(r"`[^`\n]+`")
_HEADING = re.compile(r"^#{1,6} +(?P<text>.+?) *$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block."""

    page: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{name_of(self.page)}:{self.line}"


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path, *languages: str) -> list[Block]:
    """The fenced blocks of a page in their order; those of some languages where any is named."""
    text = page.read_text(encoding="utf-8")
    found = [
        Block(page, text.count("\n", 0, match.start()) + 1, match["language"], match["text"])
        for match in _FENCE.finditer(text)
    ]
    return [block for block in found if not languages or block.language in languages]


def links(page: Path) -> Iterator[str]:
    """The targets of a page's links and pictures."""
    prose = _CODE.sub("`code`", _FENCE.sub("", page.read_text(encoding="utf-8")))
    yield from (match["target"] for match in _LINK.finditer(prose))


@cache
def anchors(page: Path) -> frozenset[str]:
    """The anchors of a page's headings, as GitHub and the site make them."""
    make = slugify(case="lower")
    prose = _FENCE.sub("", page.read_text(encoding="utf-8"))
    return frozenset(make(match["text"].replace("`", ""), "-") for match in _HEADING.finditer(prose))


def commands(page: Path) -> Iterator[str]:
    """What follows `histoloom` in blocks and code spans: one call each, its lines joined."""
    text = page.read_text(encoding="utf-8")
    spans = [span.strip("`") for span in _CODE.findall(_FENCE.sub("", text))]
    shells = [block.text.replace("\\\n", " ") for block in blocks(page, "", "bash", "text")]
    for line in [*spans, *"\n".join(shells).splitlines()]:
        called = re.match(r"^(?:\$ |.*\bDEVICES=\d |.*/bin/| *|.*docker run .*)histoloom (?P<rest>[a-z-].*)", line)
        if called:
            yield called["rest"].partition(" #")[0]
