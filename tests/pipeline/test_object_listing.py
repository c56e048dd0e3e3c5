"""Slides found in a real S3 bucket by prefix and glob."""

import pytest

from pipeline.bucket import Bucket
from pipeline.object_listing import find_objects
from pipeline.object_url import ObjectUrl
from tests.s3_server import S3Server

KEYS = ("a.svs", "b.SVS", "notes.txt", "2024/c.svs", "2024/deep/d.svs", "2024/deep/e1.tif", "2024x/f[1].svs")


@pytest.fixture(scope="module")
def bucket_name(s3_server: S3Server) -> str:
    name = s3_server.new_bucket()
    with pytest.MonkeyPatch.context() as patch:
        for variable, value in s3_server.environment().items():
            patch.setenv(variable, value)
        bucket = Bucket(ObjectUrl("s3", name, ""))
        for key in KEYS:
            bucket.put(f"slides/{key}", b"slide")
    return name


@pytest.mark.parametrize(
    ("glob", "found"),
    [
        ("slides", ["a.svs", "b.SVS"]),
        ("slides/2024/deep", ["2024/deep/d.svs", "2024/deep/e1.tif"]),
        ("slides/a.svs", ["a.svs"]),
        ("slides/gone.svs", ["gone.svs"]),
        ("slides/*.svs", ["a.svs"]),
        ("slides/*", ["a.svs", "b.SVS", "notes.txt"]),
        ("slides/**/*.svs", ["2024/c.svs", "2024/deep/d.svs", "2024x/f[1].svs", "a.svs"]),
        ("slides/2024*/?.svs", ["2024/c.svs"]),
        ("slides/**/[!c-e]*.svs", ["2024x/f[1].svs", "a.svs"]),
        ("slides/*/f[[]1].svs", ["2024x/f[1].svs"]),
        ("nothing", []),
    ],
)
def test_prefixes_and_globs_find_the_slides_that_they_name(
    s3: S3Server, bucket_name: str, glob: str, found: list[str]
) -> None:
    urls = find_objects(ObjectUrl("s3", bucket_name, glob), lambda name: name.lower().endswith((".svs", ".tif")))
    assert [url.key.removeprefix("slides/") for url in urls] == found
