"""Which places words name, and which words are refused."""

from pathlib import Path

import pytest

from pipeline.errors import ConfigError
from pipeline.object_url import ObjectUrl, parse_place


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("slides/a.svs", Path("slides/a.svs")),
        ("file:///data/a%20b.svs", Path("/data/a b.svs")),
        ("s3://bucket/slides/a b+c%20.svs", ObjectUrl("s3", "bucket", "slides/a b+c%20.svs")),
        ("S3://bucket/prefix/", ObjectUrl("s3", "bucket", "prefix")),
        ("gs://bucket", ObjectUrl("gs", "bucket", "")),
        ("az://container/**/*.sv?", ObjectUrl("az", "container", "**/*.sv?")),
    ],
)
def test_paths_and_urls_name_places(text: str, place: Path | ObjectUrl) -> None:
    assert parse_place(text) == place


def test_a_url_is_written_as_it_is_read() -> None:
    url = ObjectUrl("s3", "bucket", "results") / "slide-1" / "run.json"
    assert str(url) == "s3://bucket/results/slide-1/run.json"
    assert parse_place(str(url)) == url
    assert (url.name, url.suffix, url.prefix) == ("run.json", ".json", "results/slide-1/run.json/")
    assert str(ObjectUrl("s3", "bucket", "")) == "s3://bucket"


@pytest.mark.parametrize(
    "text",
    ["s3://AKIA:tops3cret@bucket/a.svs", "az://box/a.svs?sv=2024&sig=tops3cret", "https://u:tops3cret@host/a.svs"],
)
def test_credentials_in_a_url_are_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_place(text)
    assert "tops3cret" not in str(caught.value)
    assert len(str(caught.value).splitlines()) == 2


def test_a_url_without_a_bucket_is_refused() -> None:
    with pytest.raises(ConfigError, match="names no bucket"):
        parse_place("s3:///a.svs")
