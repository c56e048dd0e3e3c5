"""Where slides and results lie: a path of this machine, or the URL of an object or a prefix in a bucket."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from pipeline.errors import ConfigError

SCHEMES = {"s3": "s3", "s3a": "s3", "gs": "gs", "gcs": "gs", "az": "az", "azure": "az", "abfs": "az", "abfss": "az"}
_SIGNED = re.compile(r"(?i)[?&](x-amz-|x-goog-|awsaccesskeyid|signature|sig|se|sv|token|googleaccessid)[\w-]*=")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")


@dataclass(frozen=True, slots=True)
class ObjectUrl:
    """An object, or a prefix that plays the part of a folder. Holds no credentials, so that it may stand anywhere."""

    scheme: str
    """`s3`, `gs` or `az`."""
    bucket: str
    """What Azure calls a container."""
    key: str
    """Without a slash at its ends; empty for the bucket itself."""

    @property
    def name(self) -> str:
        """The part after the last slash."""
        return (self.key or self.bucket).rpartition("/")[2]

    @property
    def suffix(self) -> str:
        """The name's ending, with its dot; empty where it has none."""
        return Path(self.name).suffix

    @property
    def prefix(self) -> str:
        """What the keys of all objects under it begin with."""
        return f"{self.key}/" if self.key else ""

    def __truediv__(self, part: str) -> ObjectUrl:
        return ObjectUrl(self.scheme, self.bucket, f"{self.prefix}{part}")

    def __str__(self) -> str:
        return f"{self.scheme}://{self.bucket}/{self.key}".rstrip("/")


Place = Path | ObjectUrl
"""Where a file or a folder lies."""


def parse_place(text: str) -> Place:
    """Return the place that a path, a `file://` URL or the URL of an object store names.

    Raises
    ------
    ConfigError
        for a URL of another kind, without a bucket, or with credentials in it; these are not repeated
    """
    scheme = _SCHEME.match(text)
    if scheme is None:
        return Path(text).expanduser()
    kind = scheme[1].lower()
    if kind == "file":
        return Path(unquote(urlsplit(text).path))
    if kind not in SCHEMES:
        msg = f"{kind}://...: no kind of storage that histoloom reads"
        raise ConfigError(msg, f"Known are file://, {', '.join(f'{known}://' for known in ('s3', 'gs', 'az'))}.")
    bucket, _, key = text[scheme.end() :].partition("/")
    if "@" in bucket or _SIGNED.search(text):
        msg = f"{kind}://...: credentials in a URL end up in logs and reports, so none are taken from there"
        raise ConfigError(msg, "Name bucket and key alone; docs/how-to/object-storage.md says where credentials go.")
    if not bucket:
        msg = f"{text}: names no bucket"
        raise ConfigError(msg, f"Write {kind}://BUCKET/PREFIX.")
    return ObjectUrl(SCHEMES[kind], bucket, key.strip("/"))
