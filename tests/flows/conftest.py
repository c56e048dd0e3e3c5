"""One Prefect server and worker for all tests of a session that ask for them: each takes half a minute to start."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pipeline.synthetic import write_synthetic_slide
from tests.chromium import open_chromium
from tests.flows.prefect_server import Prefect, running_server
from tests.flows.viewed import Viewed, serving, viewed

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture(scope="session")
def prefect_on_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prefect]:
    """A server on SQLite, a worker of the pool `local`, and everything of prefect.yaml deployed."""
    with running_server(tmp_path_factory.mktemp("prefect")) as server, server.worker("first"):
        server.deploy()
        yield server


@pytest.fixture(scope="session")
def prefect(prefect_on_sqlite: Prefect) -> Prefect:
    """The same, where the database does not matter."""
    return prefect_on_sqlite


@pytest.fixture(scope="session")
def good_slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real slide where there is one, else a synthetic one."""
    real = Path(os.environ.get("HISTOLOOM_DATA", ""), "wsi", "CMU-1-Small-Region.svs")
    if os.environ.get("HISTOLOOM_DATA") and real.is_file():
        return real
    path = tmp_path_factory.mktemp("slides") / "good.svs"
    write_synthetic_slide(path, 600, 800, 0.5)
    return path


@pytest.fixture(scope="session")
def region(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small slide with tissue all over, cut from a real one."""
    from tests.flows.killed_runs import REGION, cut_region

    path = tmp_path_factory.mktemp("region") / "region.tif"
    return cut_region(data / "wsi" / "CMU-1-Small-Region.svs", REGION, path)


@pytest.fixture(scope="session")
def results(tissue_crop: NDArray[np.uint8], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a run leaves of two slides: `tissue`, super-resolved, segmented and classified, and one that failed."""
    from typer.testing import CliRunner

    from flows.cli import app

    folder = tmp_path_factory.mktemp("viewed")
    (folder / "slides").mkdir()
    Image.fromarray(tissue_crop[100:400, 100:380]).save(folder / "slides" / "tissue.png")
    (folder / "slides" / "broken.svs").write_bytes(b"no slide")
    options = ["--mpp", "0.5", "--tissue", "all", "--core-px", "256", "--device", "cpu", "--precision", "fp32"]
    done = CliRunner().invoke(
        app, ["run", str(folder / "slides"), "--out", str(folder / "results"), *options], catch_exceptions=False
    )
    assert done.exit_code == 3, done.output
    return folder / "results"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A real browser, open for one module."""
    with open_chromium() as browser:
        yield browser


@pytest.fixture(scope="session")
def viewer_url(results: Path) -> Iterator[str]:
    """`histoloom view` on that run."""
    with serving(results) as url:
        yield url


@pytest.fixture
def viewer(chromium: Browser, viewer_url: str) -> Iterator[Viewed]:
    """A page on that server; whatever a test does, the browser has nothing to complain of."""
    with viewed(chromium, viewer_url) as page:
        yield page
        page.assert_quiet()
