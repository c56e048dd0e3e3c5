"""The prefix of a bucket as an inbox: an object appears in one step, so one that is listed is whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from flows.inbox import Sighting
from flows.provenance import identify
from flows.slide_names import is_slide_name
from pipeline.bucket import Bucket, ObjectFacts
from pipeline.object_url import ObjectUrl, parse_place
from pipeline.staging import Staging


@dataclass(frozen=True, slots=True)
class BucketInbox:
    """Slides under a prefix, however deep; see `flows.inbox.Inbox`."""

    url: ObjectUrl
    staging: Staging

    @property
    def address(self) -> str:
        """See `Inbox`."""
        return str(self.url)

    def look(self) -> Sequence[Sighting]:
        """See `Inbox`; raises ResourceLost or StorageRefused where the store gives no answer."""
        found = [facts for facts in Bucket(self.url).list_under(self.url.prefix) if self._is_shown(facts.key)]
        return [Sighting(str(ObjectUrl(self.url.scheme, self.url.bucket, facts.key)), _stamp(facts)) for facts in found]

    def stamp(self, source: str) -> str | None:
        """See `Inbox`."""
        url = _url(source)
        facts = Bucket(url).head(url.key)
        return _stamp(facts) if facts else None

    def is_whole(self, source: str) -> bool:
        """See `Inbox`; whether it opens, its run will find out."""
        return True

    def identify(self, source: str) -> str:
        """See `Inbox`; it is fetched for this, and kept for its run as long as there is room."""
        with self.staging.hold(_url(source)) as (path, _):
            return str(identify(path)["sha256"])

    def _is_shown(self, key: str) -> bool:
        parts = key.removeprefix(self.url.prefix).split("/")
        return is_slide_name(parts[-1]) and not any(part.startswith(".") for part in parts)


def _stamp(facts: ObjectFacts) -> str:
    return f"{facts.bytes}:{facts.etag.strip(chr(34))}"


def _url(source: str) -> ObjectUrl:
    url = parse_place(source)
    assert isinstance(url, ObjectUrl)  # sources are those of `look`
    return url
