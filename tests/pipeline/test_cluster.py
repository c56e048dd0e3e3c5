"""Clusters as far as this machine goes: local ones run; of the others, what their libraries would submit."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec

import pytest

from pipeline.cluster import kubernetes_spec, slurm_options, start_cluster
from pipeline.cluster_config import CudaProcesses, KubernetesPods, LocalProcesses, SlurmJobs
from pipeline.errors import WorkersLost


def needs(module: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(find_spec(module) is None, reason=f"{module} is not installed")


def test_a_local_cluster_has_the_workers_and_threads_that_were_asked_for() -> None:
    from distributed import Client

    with (
        start_cluster(LocalProcesses(workers=2, threads=3)) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        client.wait_for_workers(2, timeout=60)
        assert sorted(client.nthreads().values()) == [3, 3]


@needs("dask_jobqueue")
def test_a_slurm_job_asks_for_what_the_table_says() -> None:
    from dask_jobqueue import SLURMCluster

    asked = SlurmJobs(
        workers=4, threads=2, cores=8, memory="32GiB", queue="gpu", account="lab", walltime="12:00:00",
        directives=("--gres=gpu:1",), prologue=("module load cuda",),
    )  # fmt: skip
    with SLURMCluster(**slurm_options(asked)) as cluster:
        script = cluster.job_script()
    lines = script.splitlines()
    for line in ("-J histoloom", "-p gpu", "-A lab", "--cpus-per-task=8", "--mem=32G", "-t 12:00:00", "--gres=gpu:1"):
        assert f"#SBATCH {line}" in lines
    assert lines.index("export OMP_NUM_THREADS=8") < lines.index("module load cuda")
    assert "export MALLOC_ARENA_MAX=1" in lines
    worker = lines[-1]
    assert sys.executable in worker
    assert worker.rindex("--nthreads 2") > worker.rindex("--nthreads 8")
    assert worker.endswith("--memory-limit 0")


@needs("dask_jobqueue")
def test_without_slurm_it_is_said_what_is_missing() -> None:
    with pytest.raises(WorkersLost, match="sbatch") as lost:
        start_cluster(SlurmJobs())
    assert len(str(lost.value).splitlines()) == 2


@needs("dask_kubernetes")
def test_a_pod_asks_for_what_the_table_says() -> None:
    asked = KubernetesPods(
        workers=3, threads=2, image="histoloom:1", cores=8, memory="32Gi", gpus=1, env={"A": "b"},
        volumes={"slides": "/data"},
    )  # fmt: skip
    spec = kubernetes_spec(asked)["spec"]
    worker, scheduler = (spec[part]["spec"]["containers"][0] for part in ("worker", "scheduler"))
    assert spec["worker"]["replicas"] == 3
    assert worker["image"] == scheduler["image"] == "histoloom:1"
    assert worker["resources"]["limits"] == {"cpu": "8", "memory": "32Gi", "nvidia.com/gpu": "1"}
    assert "resources" not in scheduler or not scheduler["resources"]
    assert {"name": "A", "value": "b"} in worker["env"]
    assert worker["args"][:4] == ["dask", "worker", "--nthreads", "2"]
    assert worker["volumeMounts"] == [{"name": "slides", "mountPath": "/data"}]
    assert spec["worker"]["spec"]["volumes"][0]["persistentVolumeClaim"] == {"claimName": "slides"}


@needs("dask_cuda")
def test_without_a_gpu_it_is_said_what_is_missing() -> None:
    with pytest.raises(WorkersLost, match="NVML") as lost:
        start_cluster(CudaProcesses())
    assert len(str(lost.value).splitlines()) == 2


@pytest.mark.parametrize(
    ("made", "library"),
    [
        ("SlurmJobs()", "dask-jobqueue"),
        ("CudaProcesses()", "dask-cuda"),
        ("KubernetesPods(image='h:1')", "dask-kubernetes"),
    ],
)
def test_a_missing_library_is_named_with_the_way_to_get_it(made: str, library: str) -> None:
    module = library.replace("-", "_")
    code = (
        f"import sys; sys.modules[{module!r}] = None\n"
        "from pipeline.cluster import start_cluster; from pipeline.cluster_config import *\n"
        "from pipeline.errors import ConfigError\n"
        f"try: start_cluster({made})\n"
        "except ConfigError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    what, cure = done.stdout.splitlines()
    assert library in what
    assert "pip install 'histoloom[" in cure


def test_only_the_kind_that_is_asked_for_is_imported() -> None:
    code = (
        "import sys, pipeline.cluster, pipeline.schedule\n"
        "print(*[name for name in ('dask', 'distributed', 'dask_cuda', 'dask_jobqueue', 'dask_kubernetes')"
        " if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
