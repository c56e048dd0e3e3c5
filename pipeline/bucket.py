"""A bucket of an object store (S3, Google, Azure), through obstore: the one place that talks to the network.

Requests that the store or the network drops are made again (obstore: waits that double, up to `Patience`). What is left
after that is an error of two lines. The library's own words are never repeated: they may hold request headers or signed
URLs; of an answer only its status and its code are shown.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from pipeline.errors import ConfigError, HistoloomError, ResourceLost, StorageRefused
from pipeline.object_url import ObjectUrl

_MIB = 2**20
# An upload is cut into parts from here on; S3 takes 10,000 parts, so that a file may have 156 GiB.
_PART_BYTES = 16 * _MIB
_PARTS_AT_ONCE = 4
_LISTINGS = 3

_STATUS = re.compile(r"status code: (\d{3})")
_CODE = re.compile(r"<Code>(\w{1,60})</Code>")
_HOW_TO = "docs/how-to/object-storage.md"


Listed = TypeVar("Listed")


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a request is waited for and how often it is made again."""

    timeout_s: float = 120.0
    """One request, with its body."""
    connect_s: float = 10.0
    retries: int = 10
    retry_s: float = 180.0
    """All tries together."""


PATIENT = Patience()


@dataclass(frozen=True, slots=True)
class ObjectFacts:
    """What a store says about an object without handing it out."""

    key: str
    bytes: int
    etag: str
    """Changes whenever the content does."""
    modified: datetime


class Bucket:
    """One bucket. Safe to share between threads; not to send to other processes."""

    def __init__(self, url: ObjectUrl, patience: Patience = PATIENT) -> None:
        self._obstore = _library(url)
        self._root = ObjectUrl(url.scheme, url.bucket, "")
        with self._speaking("", "opening it"):
            self._store = _open(url, patience)

    def head(self, key: str) -> ObjectFacts | None:
        """What is known about an object; None where there is none."""
        try:
            with self._speaking(key, "looking it up"):
                return _facts(self._obstore.head(self._store, key))
        except FileNotFoundError:
            return None

    def read(self, key: str) -> tuple[bytes, ObjectFacts] | None:
        """A small object whole; None where there is none."""
        try:
            with self._speaking(key, "reading it"):
                answer = self._obstore.get(self._store, key)
                content, facts = bytes(answer.bytes()), _facts(answer.meta)
        except FileNotFoundError:
            return None
        self._refuse_cut_short(key, len(content), facts.bytes)
        return content, facts

    def read_range(self, facts: ObjectFacts, offset: int, count: int) -> bytes:
        """Bytes `offset` to `offset + count` of an object that is still the one that `facts` tell of.

        Raises `ResourceLost` where it is another by now, is gone, or comes cut short.
        """
        options = {"if_match": facts.etag, "range": (offset, offset + count)}
        try:
            with self._speaking(facts.key, "reading it"):
                content = bytes(self._obstore.get(self._store, facts.key, options=options).bytes())
        except (FileNotFoundError, self._obstore.exceptions.PreconditionError):
            msg = f"{self._root / facts.key}: changed while it was read"
            raise ResourceLost(msg, "Run the same command again once nobody writes to it.") from None
        self._refuse_cut_short(facts.key, len(content), count)
        return content

    def list_under(self, prefix: str) -> list[ObjectFacts]:
        """Every object whose key begins with a prefix that ends with a slash (or is empty)."""

        def once() -> list[ObjectFacts]:
            return [_facts(entry) for batch in self._obstore.list(self._store, prefix or None) for entry in batch]

        return self._listed(prefix, once)

    def list_folder(self, prefix: str) -> tuple[list[str], list[ObjectFacts]]:
        """The names of the prefixes just below a prefix, and the objects there."""
        found = self._listed(prefix, lambda: self._obstore.list_with_delimiter(self._store, prefix or None))
        folders = [folder.rstrip("/").rpartition("/")[2] for folder in found["common_prefixes"]]
        return folders, [_facts(entry) for entry in found["objects"]]

    def _listed(self, prefix: str, once: Callable[[], Listed]) -> Listed:
        """List again what came cut short: obstore makes a request again, but not for an answer that ends too early."""
        for _ in range(_LISTINGS - 1):
            with suppress(ResourceLost), self._speaking(prefix, "listing it"):
                return once()
        with self._speaking(prefix, "listing it"):
            return once()

    def put(self, key: str, content: bytes | Path, media_type: str = "application/octet-stream") -> str:
        """Write an object, whatever was there; large files in parts. Returns its ETag. No reader ever sees a half."""
        with self._speaking(key, "writing it"):
            answer = self._obstore.put(
                self._store,
                key,
                content,
                attributes={"Content-Type": media_type},
                chunk_size=_PART_BYTES,
                max_concurrency=_PARTS_AT_ONCE,
            )
        return answer["e_tag"] or ""

    def create(self, key: str, content: bytes) -> str | None:
        """Write a JSON object where there is none; None, and nothing is written, where there is one."""
        return self._put_if(key, content, "create")

    def replace(self, key: str, content: bytes, etag: str) -> str | None:
        """Write a JSON object in place of the one with that ETag; None, and nothing written, where another is there."""
        return self._put_if(key, content, {"e_tag": etag})

    def _put_if(self, key: str, content: bytes, mode: Any) -> str | None:
        errors = self._obstore.exceptions
        try:
            with self._speaking(key, "writing it"):
                attributes = {"Content-Type": "application/json"}
                return self._obstore.put(self._store, key, content, mode=mode, attributes=attributes)["e_tag"] or ""
        except FileNotFoundError:  # what was to be replaced is gone
            return None
        except (errors.AlreadyExistsError, errors.PreconditionError):
            # The answer to an earlier try may have been lost on the way: then what is there is what was sent.
            there = self.read(key)
            return there[1].etag if there is not None and there[0] == content else None

    def delete(self, keys: Iterable[str]) -> None:
        """Remove objects; one that is not there is no matter."""
        for key in keys:
            with suppress(FileNotFoundError), self._speaking(key, "deleting it"):
                self._obstore.delete(self._store, key)

    def _refuse_cut_short(self, key: str, got: int, wanted: int) -> None:
        if got != wanted:
            msg = f"{self._root / key}: came cut short: {got} of {wanted} bytes"
            raise ResourceLost(msg, "Run the same command again.")

    @contextmanager
    def _speaking(self, key: str, deed: str) -> Iterator[None]:
        """Turn the library's errors into ours; what callers decide by (no such object, not as expected) passes."""
        errors = self._obstore.exceptions
        try:
            yield
        except (HistoloomError, errors.AlreadyExistsError, errors.PreconditionError):
            raise
        except FileNotFoundError as error:
            if _CODE.search(str(error)) is None or "NoSuchKey" in str(error):
                raise
            raise _translated(error, self._root / key, deed) from None
        except (errors.BaseError, ValueError, OSError) as error:
            raise _translated(error, self._root / key, deed) from None


# obstore's, of credentials that cannot be had any more, or are not enough; they may come without a status.
_NOT_LET_IN = {"UnauthenticatedError", "PermissionDeniedError"}


def _translated(error: Exception, url: ObjectUrl, deed: str) -> HistoloomError:
    status, code = (found[1] if found else "" for found in (_STATUS.search(str(error)), _CODE.search(str(error))))
    answer = " ".join(part for part in (status, code) if part)
    if code in {"NoSuchBucket", "ContainerNotFound"}:
        return StorageRefused(
            f"{url}: there is no bucket {url.bucket}", f"Check its name; for other stores than AWS's, see {_HOW_TO}."
        )
    if status in {"401", "403"} or code == "InvalidAccessKeyId" or type(error).__name__ in _NOT_LET_IN:
        return StorageRefused(
            f"{url}: refused ({answer}) when {deed}", f"Check the credentials and what they allow; see {_HOW_TO}."
        )
    if status[:1] in {"3", "4"} and status not in {"408", "429"}:
        return StorageRefused(
            f"{url}: refused ({answer}) when {deed}", f"Check the bucket's region and endpoint; see {_HOW_TO}."
        )
    if isinstance(error, ValueError):
        return StorageRefused(f"{url}: not a name that can be read", "Rename it: no empty parts, no '..', no '.'.")
    reason = answer or ("it takes too long" if "imeout" in str(error) else "no whole answer comes")
    return ResourceLost(
        f"{url}: the store gave way when {deed} ({reason}), after several tries",
        "Check network and store, then run the same command again; it goes on where it stopped.",
    )


def _facts(meta: Any) -> ObjectFacts:
    return ObjectFacts(meta["path"], meta["size"], meta["e_tag"] or "", meta["last_modified"])


def _library(url: ObjectUrl) -> Any:
    try:
        import obstore
        import obstore.exceptions
        import obstore.store
    except ImportError as error:
        msg = f"{url}: object storage needs a package that is not installed ({error.name})"
        raise ConfigError(msg, "Install it: pip install 'histoloom[cloud]'.") from error
    return obstore


def _open(url: ObjectUrl, patience: Patience) -> Any:
    from obstore.store import from_url

    settings: dict[str, Any] = {
        "retry_config": {
            "max_retries": patience.retries,
            "retry_timeout": timedelta(seconds=patience.retry_s),
            "backoff": {"init_backoff": timedelta(milliseconds=100), "max_backoff": timedelta(seconds=15), "base": 2},
        }
    }
    client: dict[str, Any] = {
        "timeout": timedelta(seconds=patience.timeout_s),
        "connect_timeout": timedelta(seconds=patience.connect_s),
    }
    if url.scheme == "s3":
        settings |= _s3_settings(url)
    if str(settings.get("endpoint", "")).startswith("http://"):
        client["allow_http"] = True  # only where the user named such an endpoint
    return from_url(f"{url.scheme}://{url.bucket}", client_options=client, **settings)


def _s3_settings(url: ObjectUrl) -> dict[str, Any]:
    """Endpoint, region and credentials, found where the `aws` command finds them."""
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3", os.environ.get("AWS_ENDPOINT_URL"))
    if endpoint is not None and not re.match(r"https?://[^/@]+", endpoint):  # obstore would panic
        msg = f"{url}: AWS_ENDPOINT_URL is set to no URL"
        raise StorageRefused(msg, "Write it as https://HOST[:PORT], or unset it for AWS's own store.")
    found: dict[str, Any] = {"endpoint": endpoint} if endpoint else {}
    if os.environ.get("AWS_SKIP_SIGNATURE", "").lower() in {"1", "true"}:
        return found
    session, credentials = _session(url)
    if credentials is None:
        msg = f"{url}: no credentials for S3 found"
        raise StorageRefused(msg, f"Set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; see {_HOW_TO}.")
    from obstore.auth.boto3 import Boto3CredentialProvider

    region = session.region_name or os.environ.get("AWS_REGION") or "us-east-1"
    return found | {"credential_provider": Boto3CredentialProvider(session), "region": region}


def _session(url: ObjectUrl) -> tuple[Any, Any]:
    try:
        import boto3
        from botocore.exceptions import BotoCoreError
    except ImportError as error:
        msg = f"{url}: credentials for S3 need a package that is not installed ({error.name})"
        raise ConfigError(msg, "Install it: pip install 'histoloom[cloud]'.") from error
    try:
        session = boto3.Session()
        return session, session.get_credentials()
    except BotoCoreError as error:  # half of a pair of keys, a profile that is not there, a file that cannot be read
        msg = f"{url}: the AWS settings cannot be used ({type(error).__name__})"
        raise StorageRefused(msg, "Check AWS_PROFILE and ~/.aws; `aws sts get-caller-identity` tells more.") from None
