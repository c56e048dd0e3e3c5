"""The doctor tries things for real, survives whatever is broken, and never leaves without a cure."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.doctor import bundle_checks, examine, print_findings
from flows.doctor_machine import TooFewFiles, TooManyThreads, judge_open_files, judge_threads, try_disk
from flows.doctor_places import place_checks
from flows.finding import Advice, Check, Finding
from models.errors import BundleError
from models.shelf import SHIPPED, read_card
from pipeline.bucket import Bucket
from pipeline.object_url import ObjectUrl
from pipeline.synthetic import write_synthetic_slide
from tests.s3_server import S3Server


def test_this_machine_reads_slides_stores_pixels_and_computes() -> None:
    findings = {finding.name: finding for finding in examine()}
    for name in (
        "python",
        "packages",
        "openslide",
        "tiffslide",
        "zarr",
        "torch",
        "prefect",
        "temporary files",
        "browser",
    ):
        assert findings[name].fine, findings[name]
    for folder in SHIPPED.iterdir():
        if folder.is_dir():
            assert read_card(folder).sha256[:12] in findings[f"bundle {folder.name}"].what
    assert "reads" in findings["tiffslide"].what
    assert all(finding.fine or finding.cure for finding in findings.values())


def test_a_trial_that_raises_becomes_a_finding_with_the_checks_cure() -> None:
    def broken() -> str:
        msg = "libfoo.so: cannot\nopen"
        raise ImportError(msg)

    finding = Check("foo", broken, "Install libfoo.").look()
    assert finding == Finding("foo", False, "ImportError: libfoo.so: cannot open", "Install libfoo.")


def test_an_error_that_knows_its_cure_is_believed() -> None:
    def broken() -> str:
        raise BundleError.about("card.json", "unreadable", "Copy it again.")

    finding = Check("bundle", broken, "Install again.").look()
    assert (finding.what, finding.cure) == ("card.json: unreadable", "Copy it again.")


def test_a_bundle_whose_card_is_no_card_is_named_and_hides_no_other(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "card.json").write_text("{}")
    findings = [check.look() for check in bundle_checks(tmp_path)]
    assert [finding.name for finding in findings] == ["bundle a", "bundle b"]
    assert all(not finding.fine and finding.cure and "card.json" in finding.what for finding in findings)


def test_an_installation_without_bundles_is_not_fine(tmp_path: Path) -> None:
    (finding,) = [check.look() for check in bundle_checks(tmp_path)]
    assert not finding.fine
    assert str(tmp_path) in finding.what


def test_the_cure_is_printed_for_what_is_not_fine_alone(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    print_findings([Finding("disk", True, "80 GB"), Finding("torch", False, "[gone]", "Install it.")])
    fine, broken, cure = capsys.readouterr().out.splitlines()
    assert fine.split() == ["fine", "disk", "80", "GB"]
    assert "not fine" in broken
    assert "[gone]" in broken
    assert "Install it." in cure


def test_advice_is_given_though_all_is_fine(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    finding = Check("browser", lambda: Advice("none", "Look from elsewhere.")).look()
    assert finding == Finding("browser", True, "none", "Look from elsewhere.")
    print_findings([finding])
    assert [line.rstrip() for line in capsys.readouterr().out.splitlines()] == [
        "fine  browser",
        "  none",
        "  -> Look from elsewhere.",
    ]


def test_too_many_threads_and_too_few_files_are_told_with_the_number_that_would_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    with pytest.raises(TooManyThreads) as many:
        judge_threads(64, 2)
    assert many.value.cure == "export OMP_NUM_THREADS=2"
    assert isinstance(judge_threads(2, 8), Advice)
    assert judge_threads(8, 8) == "8 threads of a network on 8 cores"
    with pytest.raises(TooFewFiles) as few:
        judge_open_files(256, 2048)
    assert few.value.cure == "Allow more in this shell: ulimit -n 2048"
    with pytest.raises(TooFewFiles) as none:
        judge_open_files(256, 512)
    assert "whoever runs the machine" in none.value.cure
    assert judge_open_files(-1, -1)


def test_places_are_tried_and_left_as_they_were(tmp_path: Path, s3: S3Server) -> None:
    write_synthetic_slide(tmp_path / "a.svs", 512, 600, 0.5)
    bucket = ObjectUrl("s3", s3.new_bucket(), "")
    Bucket(bucket).put("slides/a.svs", (tmp_path / "a.svs").read_bytes())
    here = [check.look() for check in place_checks(str(tmp_path / "new" / "results"), str(tmp_path))]
    there = [check.look() for check in place_checks(str(bucket / "results"), str(bucket / "slides"))]
    assert all(finding.fine for finding in (*here, *there)), (here, there)
    assert "a.svs opens: 600 x 512 px at 0.5 um/px" in here[1].what
    assert [path.name for path in tmp_path.iterdir()] == ["a.svs"]
    assert [facts.key for facts in Bucket(bucket).list_under("")] == ["slides/a.svs"]
    gone = ObjectUrl("s3", "no-such-bucket-of-ours", "")
    (refused,) = [check.look() for check in place_checks(str(gone), None)]
    assert not refused.fine
    assert refused.cure
    assert "no-such-bucket-of-ours" in refused.what


def test_a_folder_that_cannot_be_written_to_is_not_fine(tmp_path: Path) -> None:
    finding = Check("results", lambda: try_disk(Path("/proc")), "Give another --out.").look()
    assert (finding.fine, finding.cure) == (False, "Give another --out.")


@pytest.mark.parametrize("below", [(), ("results",)])
def test_a_file_where_results_would_go_is_not_fine(tmp_path: Path, below: tuple[str, ...]) -> None:
    (tmp_path / "file").touch()
    (finding,) = [check.look() for check in place_checks(str(tmp_path.joinpath("file", *below)), None)]
    assert (finding.fine, finding.what) == (False, f"{tmp_path / 'file'} is a file")
    assert finding.cure
