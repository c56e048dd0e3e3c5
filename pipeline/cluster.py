"""Start the dask cluster that `[cluster]` asks for. The library of each kind is imported when that kind is."""

from __future__ import annotations

import importlib
import logging
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from shutil import which
from typing import Any

from pipeline.allocator import ENVIRONMENT, keep_freed_memory
from pipeline.cluster_config import Cluster, CudaProcesses, KubernetesPods, LocalProcesses, SlurmJobs
from pipeline.errors import ConfigError, WorkersLost

# Any free port: another run may go on on this machine.
_DASHBOARD = ":0"

# What dask sets before it starts a process. Its own has malloc give back freed memory at once, and one core a process.
_ENVIRONMENT = "distributed.nanny.pre-spawn-environ"

_LIBRARIES = {"cuda": "dask_cuda", "slurm": "dask_jobqueue", "kubernetes": "dask_kubernetes.operator"}


def start_cluster(cluster: Cluster) -> Any:
    """A dask cluster that has been asked for its workers; they may still be on their way.

    Raises
    ------
    ConfigError
        if the library for this kind is not installed
    WorkersLost
        if it is, and the machine, SLURM or Kubernetes says no
    """
    try:
        match cluster:
            case LocalProcesses():
                return _local(cluster)
            case CudaProcesses():
                return _cuda(cluster)
            case SlurmJobs():
                return _slurm(cluster)
            case KubernetesPods():
                return _kubernetes(cluster)
            case _:
                msg = f"no such kind of cluster: {cluster.kind}"
                raise TypeError(msg)
    except (ConfigError, TypeError):
        raise
    except Exception as error:
        words = " ".join(str(error).split()) or type(error).__name__
        msg = f"[cluster] of kind {cluster.kind} cannot be started: {type(error).__name__}: {words}"
        raise WorkersLost(msg, "See to that, or leave [cluster] out to work on this machine.") from error


def require_library(cluster: Cluster) -> None:
    """Raise ConfigError where the library that starts clusters of this kind is not installed."""
    library = _LIBRARIES.get(cluster.kind)
    if library is not None:
        _import(library, cluster)


def local_cluster(processes: int, threads: int) -> Any:
    """Processes of this machine, or the threads of this one where `processes` is 1."""
    import dask
    from distributed import LocalCluster

    # A machine that slept for minutes must not wake to a scheduler that takes its own workers for lost: a worker in
    # this process is never started again, and nannies see for themselves when one of the others dies.
    environment = dask.config.get(_ENVIRONMENT) | ENVIRONMENT | {"OMP_NUM_THREADS": threads}
    options = {"distributed.scheduler.worker-ttl": None, _ENVIRONMENT: environment}
    keep_freed_memory()
    with dask.config.set(options), _ctrl_c_is_for_the_driver():
        return LocalCluster(
            n_workers=processes,
            processes=processes > 1,
            threads_per_worker=threads,
            dashboard_address=_DASHBOARD,
            memory_limit=0,  # memory is bounded by the batches in flight; dask's own pausing would only stall them
            silence_logs=logging.CRITICAL,  # what a batch raises is told once, in two lines, by the run
        )


@contextmanager
def _ctrl_c_is_for_the_driver() -> Iterator[None]:
    """Let processes that are started in the block, or later by threads that are, never hear of Ctrl-C.

    A terminal sends it to all of them at once; the driver hears it and ends them. Else each would die with a traceback.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # Python's own helper process lets signals through again where it is started
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _local(cluster: LocalProcesses) -> Any:
    return local_cluster(cluster.workers, cluster.threads)


def _cuda(cluster: CudaProcesses) -> Any:
    library = _import(_LIBRARIES[cluster.kind], cluster)
    return library.LocalCUDACluster(
        CUDA_VISIBLE_DEVICES=",".join(cluster.devices) or None,
        n_workers=cluster.workers or None,
        threads_per_worker=cluster.threads,
        dashboard_address=_DASHBOARD,
        memory_limit=0,
    )


def _slurm(cluster: SlurmJobs) -> Any:
    library = _import(_LIBRARIES[cluster.kind], cluster)
    if which("sbatch") is None:  # jobs are submitted in the background, where nobody would hear of it
        msg = "there is no sbatch on this machine"
        raise FileNotFoundError(msg)
    started = library.SLURMCluster(**slurm_options(cluster))
    # Not `scale`: a job that reached its walltime would have no successor.
    started.adapt(minimum_jobs=cluster.workers, maximum_jobs=cluster.workers)
    return started


def slurm_options(cluster: SlurmJobs) -> dict[str, Any]:
    """What `dask_jobqueue.SLURMCluster` is called with."""
    return {
        "cores": cluster.cores,
        "processes": 1,
        "memory": cluster.memory,
        "queue": cluster.queue,
        "account": cluster.account,
        "walltime": cluster.walltime,
        "interface": cluster.interface,
        "log_directory": cluster.log_directory,
        "job_name": "histoloom",
        "job_extra_directives": list(cluster.directives),
        "job_script_prologue": [f"export {name}={value}" for name, value in _environment(cluster).items()]
        + list(cluster.prologue),
        # The last of an option that comes twice counts. SLURM holds the memory limit; dask would only pause before it.
        "worker_extra_args": ["--nthreads", str(cluster.threads), "--memory-limit", "0"],
        "scheduler_options": {"dashboard_address": _DASHBOARD},
    }


def _kubernetes(cluster: KubernetesPods) -> Any:
    operator = _import(_LIBRARIES[cluster.kind], cluster)
    return operator.KubeCluster(custom_cluster_spec=kubernetes_spec(cluster), namespace=cluster.namespace)


def kubernetes_spec(cluster: KubernetesPods) -> dict[str, Any]:
    """The `DaskCluster` resource that the operator makes pods of."""
    operator = _import(_LIBRARIES[cluster.kind], cluster)
    limits = {"cpu": str(cluster.cores), "memory": cluster.memory}
    if cluster.gpus:
        limits["nvidia.com/gpu"] = str(cluster.gpus)
    spec: dict[str, Any] = operator.make_cluster_spec(
        name=cluster.name,
        image=cluster.image,
        n_workers=cluster.workers,
        env=_environment(cluster) | dict(cluster.env),
        worker_command=["dask", "worker", "--nthreads", str(cluster.threads), "--memory-limit", "0"],
        scheduler_service_type="ClusterIP",
    )
    pod = spec["spec"]["worker"]["spec"]
    pod["containers"][0]["resources"] = {"requests": limits, "limits": limits}
    pod["volumes"] = [{"name": claim, "persistentVolumeClaim": {"claimName": claim}} for claim in cluster.volumes]
    pod["containers"][0]["volumeMounts"] = [
        {"name": claim, "mountPath": folder} for claim, folder in cluster.volumes.items()
    ]
    return spec


def _environment(cluster: SlurmJobs | KubernetesPods) -> dict[str, str]:
    """What a worker is started with: batches share its cores among themselves, and it keeps the memory that it has."""
    return {"OMP_NUM_THREADS": str(cluster.cores), **ENVIRONMENT}


def _import(module: str, cluster: Cluster) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        library = module.partition(".")[0].replace("_", "-")
        msg = f"[cluster] of kind {cluster.kind} wants {library}, which is not installed ({error})"
        raise ConfigError(msg, f"Install it: pip install 'histoloom[{cluster.kind}]'") from error
