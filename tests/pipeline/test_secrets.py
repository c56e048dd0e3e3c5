import json
from pathlib import Path

import pytest

from pipeline.errors import UnreadableSlide
from pipeline.output import SlideOutput
from pipeline.secrets import redacted

SECRET = "wJalrXUtnFEMI/K7MDENG+bPx"


@pytest.mark.parametrize(
    "text",
    [
        f"https://AKIA:{SECRET.replace('/', '')}@host/a.svs: gone",
        f"s3:/me:{SECRET.replace('/', '')}@bucket/a.svs",
        f"https://b.s3/a.svs?X-Amz-Credential=AKIA&X-Amz-Signature={SECRET}&x=1",
        f"https://a.blob/c?sv=2024&sig={SECRET}",
        f"GET https://host/a?access_token={SECRET} failed",
    ],
)
def test_credentials_in_addresses_are_hidden(text: str) -> None:
    assert SECRET.replace("/", "") not in redacted(text).replace("/", "")
    assert "***" in redacted(text)


def test_what_is_no_secret_stays() -> None:
    for text in (
        "https://host/a.svs",
        "/data/a@b.svs",
        "slide.svs: 3 of 5 tiles",
        "mail a@b.c about s3://bucket/key=1/a",
    ):
        assert redacted(text) == text


def test_values_of_secret_variables_reach_neither_messages_nor_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    error = UnreadableSlide(f"a.svs: the server said: bad key {SECRET}", f"Do not show {SECRET}.")
    assert SECRET not in str(error)
    assert SECRET not in repr(error)
    output = SlideOutput(tmp_path, "a")
    output.fail(Path(f"/data/{SECRET}/a.svs"), error)
    assert SECRET not in json.loads((output.partial / "failed.json").read_text()).__repr__()


def test_a_secret_that_begins_with_a_slash_is_hidden_and_a_file_that_holds_one_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = tmp_path / "key.json"
    key.write_text("{}")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "/bPxRfiCYEXAMPLEKEY")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(key))
    assert redacted(f"/bPxRfiCYEXAMPLEKEY in {key}") == f"*** in {key}"
