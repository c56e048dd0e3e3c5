"""The command, as a person or a script calls it: in a process of its own, on files."""

import json
import os
import signal
import subprocess
import sys
import time
from hashlib import sha256
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from PIL import Image

from pipeline.synthetic import SyntheticTruth

HISTOLOOM = [sys.executable, "-c", "from flows.cli import main; main()"]


def histoloom(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*HISTOLOOM, *map(str, arguments)], capture_output=True, text=True, timeout=300, check=False, env=os.environ
    )


def snapshot(folder: Path) -> dict[str, tuple[str, int]]:
    """Hash and time of every file."""
    return {
        str(path.relative_to(folder)): (sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """Stroma with some twenty nuclei, as at 0.25 um/px."""
    truth = SyntheticTruth(400, 420, 0.25, nuclei_per_mm2=3000, tissue_share=1.0)
    path = tmp_path / "tissue.png"
    Image.fromarray(truth.render(truth.frame.box)).save(path)
    return path


def test_help_answers_without_loading_what_it_does_not_need() -> None:
    heavy = "torch", "dask", "prefect", "zarr", "numpy", "numba"
    code = f"import sys, flows.cli; print([name for name in {heavy} if name in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert loaded.strip() == "[]"
    shown = histoloom("--help")
    assert shown.returncode == 0
    assert all(command in shown.stdout for command in ("run", "status", "report", "models", "sample", "doctor"))


def test_a_plain_image_gives_nuclei_and_a_second_call_changes_nothing(picture: Path, tmp_path: Path) -> None:
    out = tmp_path / "results"
    command = ("run", picture, "--mpp", "0.25", "--sr", "none", "--classifier", "none", "--out", out)
    first = histoloom(*command)
    assert first.returncode == 0, first.stderr
    assert first.stdout.splitlines() == [str(out / "tissue"), str(out / "report.html")]
    assert {path.name for path in (out / "tissue").iterdir()} == {
        "tissue.ome.zarr", "nuclei.parquet", "nuclei.geojson.gz", "preview.png", "thumbnail.jpg", "report.html",
        "run.json",
    }  # fmt: skip
    assert not (out / ".partial").exists()
    assert pq.read_table(out / "tissue" / "nuclei.parquet").num_rows > 0
    before = snapshot(out)
    second = histoloom(*command)
    assert second.returncode == 0, second.stderr
    assert snapshot(out) == before


def test_bad_slides_are_rows_with_a_cure_and_the_others_go_on(picture: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.svs").write_bytes(b"no slide at all")
    nameless = tmp_path / "no-mpp.png"
    nameless.write_bytes(picture.read_bytes())
    settings = tmp_path / "cohort.toml"
    settings.write_text('sr = "none"\nnuclei = "none"\nclassifiers = []\n[slide.tissue]\nmpp = 0.25\n')
    out = tmp_path / "results"
    slides = (tmp_path / "*.svs", picture, nameless, tmp_path / "gone.svs")
    done = histoloom("run", *slides, "--config", settings, "--out", out)
    assert done.returncode == 3
    rows = {row["slide"]: row for row in pq.read_table(out / "cohort.parquet").to_pylist()}
    assert {name: row["status"] for name, row in rows.items()} == {
        "broken": "failed", "no-mpp": "failed", "gone": "failed", "tissue": "done",
    }  # fmt: skip
    assert "--mpp" in rows["no-mpp"]["cure"]
    assert "gone.svs" in rows["gone"]["reason"]
    assert "Traceback" not in done.stderr
    assert sorted(path.name for path in out.iterdir() if path.is_dir()) == [".partial", "tissue"]
    states = {entry["slide"]: entry["state"] for entry in json.loads(histoloom("status", out, "--json").stdout)}
    assert states == {"broken": "failed", "no-mpp": "failed", "gone": "failed", "tissue": "done"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--core-px", "1000"), "core_px = 1000"),
        (("--mpp", "0.0001"), "mpp = 0.0001"),
        (("--nuclei", "no-such-bundle"), "no-such-bundle"),
        (("--nuclei", "sr-x2"), "a network for superresolution"),
        (("--config", "/no/such.toml"), "/no/such.toml"),
        (("--sr", "no-such-bundle"), "no-such-bundle"),
        (("--sr", "nuclei-unet"), "a network for nuclei"),
        (("--device", "cuda:63"), "cuda:63"),
    ],
)
def test_wrong_arguments_are_refused_in_two_lines(
    picture: Path, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    refused = histoloom("run", picture, "--out", tmp_path / "results", *arguments)
    assert refused.returncode == 2
    assert said in refused.stderr
    assert len(refused.stderr.strip().splitlines()) == 2


def test_other_settings_are_refused_for_finished_results(picture: Path, tmp_path: Path) -> None:
    command = ("run", picture, "--mpp", "0.25", "--sr", "none", "--nuclei", "none", "--classifier", "none")
    out = tmp_path / "results"
    assert histoloom(*command, "--out", out).returncode == 0
    before = snapshot(out / "tissue")
    other = histoloom(*command, "--core-px", "512", "--out", out)
    assert other.returncode == 3
    assert "core_px was 1024, now 512" in other.stderr
    assert snapshot(out / "tissue") == before
    forced = histoloom(*command, "--core-px", "512", "--force", "--out", out)
    assert forced.returncode == 0, forced.stderr


def test_a_killed_run_goes_on_and_ends_as_an_uninterrupted_one(picture: Path, tmp_path: Path) -> None:
    def arguments(out: Path) -> tuple[str | Path, ...]:
        return ("run", picture, "--mpp", "0.5", "--classifier", "none", "--core-px", "256", "--out", out)

    straight, killed = tmp_path / "straight", tmp_path / "killed"
    assert histoloom(*arguments(straight)).returncode == 0
    process = subprocess.Popen(
        [*HISTOLOOM, *map(str, arguments(killed))], stderr=subprocess.DEVNULL, start_new_session=True
    )
    ledger = killed / ".partial" / "tissue" / "ledger"
    while not list(ledger.glob("super-resolution/*.parquet")):
        assert process.poll() is None, "the run was over before it could be killed"
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (killed / "tissue").exists()
    resumed = histoloom(*arguments(killed))
    assert resumed.returncode == 0, resumed.stderr
    skipped = {"run.json", "report.html"}  # they tell of times

    def digests(out: Path) -> dict[str, str]:
        return {name: digest for name, (digest, _) in snapshot(out / "tissue").items() if name not in skipped}

    assert digests(killed) == digests(straight)
