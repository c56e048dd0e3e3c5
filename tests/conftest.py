"""What all tests stand on: hypothesis profiles, one thread a process, slides made and real."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

# Before anything loads a numerical library: tests share few cores, and threads that queue for one cost more than work.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("MKL_NUM_THREADS", "1")

import numpy as np
import pytest
import skimage.data
from hypothesis import HealthCheck, settings
from numpy.typing import NDArray

from pipeline.synthetic import SyntheticTruth, write_synthetic_slide
from tests.fault_proxy import FaultProxy
from tests.s3_server import S3Server, running_server
from tests.small_disk import SmallDisk

settings.register_profile("quick", max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("nightly", settings.get_profile("quick"), max_examples=1000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real slides and training data."""
    folder = os.environ.get("HISTOLOOM_DATA", "")
    if not folder:
        pytest.skip("real data: set HISTOLOOM_DATA to the folder that holds wsi/, nuclei/ and patches/")
    if not Path(folder).is_dir():
        pytest.fail(f"HISTOLOOM_DATA names no folder: {folder}")
    return Path(folder)


@pytest.fixture(scope="session")
def synthetic_slide(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, SyntheticTruth]:
    """A slide of 1,500 x 1,200 px at 0.499 um/px with three levels and some 300 nuclei, and what is on it."""
    path = tmp_path_factory.mktemp("slides") / "synthetic.svs"
    return path, write_synthetic_slide(path, 1500, 1200, 0.499)


@pytest.fixture(scope="session")
def tissue_crop() -> NDArray[np.uint8]:
    """Real tissue, (512, 512, 3) RGB: colon, DAB and haematoxylin; part of scikit-image, no download."""
    return np.asarray(skimage.data.immunohistochemistry(), np.uint8)


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """A real S3 server, one for all tests."""
    pytest.importorskip("moto", reason="object storage: pip install 'histoloom[test]'")
    pytest.importorskip("obstore")
    with running_server() as server:
        yield server


@pytest.fixture
def s3(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    """The S3 server, with this process's environment pointing at it."""
    for name, value in s3_server.environment().items():
        monkeypatch.setenv(name, value)
    return s3_server


@pytest.fixture
def proxy(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultProxy]:
    """A way to the S3 server that fails when told to, with this process's environment pointing at it."""
    with FaultProxy((s3.host, s3.port)) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        yield proxy


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """Eight pages, to be made larger."""
    disk = SmallDisk(tmp_path / "disk")
    disk.folder.mkdir()
    try:
        disk.resize(8, again=False)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("mounting a tmpfs is not permitted here")
    yield disk
    disk.unmount()
