"""Which slides a URL of an object store names: one object, those under a prefix, or those that a glob fits."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache

from pipeline.bucket import Bucket
from pipeline.object_url import ObjectUrl

_MAGIC = re.compile(r"[*?\[]")


def find_objects(url: ObjectUrl, is_slide: Callable[[str], bool]) -> list[ObjectUrl]:
    """Return the slides that a URL names, by key.

    A URL whose name is that of a slide is that slide, there or not; `*`, `?` and `[...]` fit within a folder, `**/` any
    folders; all else is a folder, of which the slides directly in it are taken.

    Parameters
    ----------
    is_slide
        tells a slide by its name
    """
    if _MAGIC.search(url.key):
        fits = _as_pattern(url.key)
        prefix = _MAGIC.split(url.key)[0].rpartition("/")[0]
        under = ObjectUrl(url.scheme, url.bucket, prefix).prefix
        keys: Iterable[str] = (facts.key for facts in Bucket(url).list_under(under) if fits.fullmatch(facts.key))
    elif is_slide(url.name):
        return [url]
    else:
        keys = (facts.key for facts in Bucket(url).list_folder(url.prefix)[1] if is_slide(facts.key))
    return [ObjectUrl(url.scheme, url.bucket, key) for key in sorted(keys)]


@lru_cache(maxsize=8)
def _as_pattern(glob: str) -> re.Pattern[str]:
    """Return a glob over keys as a regular expression; a bracket without its end stands for itself."""
    parts = re.findall(r"\*\*/|\*+|\?|\[!?[^\]/]+\]|.", glob, re.DOTALL)
    return re.compile("".join(map(_part, parts)), re.DOTALL)


def _part(part: str) -> str:
    if part == "**/":
        return "(?:.*/)?"
    if part.startswith("*"):
        return "[^/]*"
    if part == "?":
        return "[^/]"
    if part.startswith("[") and len(part) > 1:
        inside = part[1:-1].replace("\\", "\\\\").replace("[", "\\[")
        return f"[^{inside[1:]}]" if inside.startswith("!") else f"[{inside}]"
    return re.escape(part)
