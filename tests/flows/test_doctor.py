"""The doctor tries things for real, survives whatever is broken, and never leaves without a cure."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.doctor import Check, Finding, bundle_checks, examine, print_findings
from models.errors import BundleError


def test_this_machine_reads_slides_stores_pixels_and_computes() -> None:
    findings = {finding.name: finding for finding in examine()}
    for name in ("python", "packages", "openslide", "tiffslide", "zarr", "torch", "prefect"):
        assert findings[name].fine, findings[name]
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
