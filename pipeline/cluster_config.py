"""`[cluster]` in a cohort's TOML: where workers run and what each has. Plain values; no dask here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, ClassVar, get_type_hints

from pipeline.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Cluster:
    """What all kinds of clusters have."""

    kind: ClassVar[str]
    workers: int = 1
    """Worker processes: on this machine, one a GPU, one a SLURM job, one a pod."""
    threads: int = 2
    """Batches that a worker does at the same time; while one computes, another reads or writes."""
    patience_s: float = 60.0
    """How long to wait for a worker when there is none."""


@dataclass(frozen=True, slots=True)
class LocalProcesses(Cluster):
    """Processes on this machine."""

    kind = "local"


@dataclass(frozen=True, slots=True)
class CudaProcesses(Cluster):
    """One process a GPU of this machine, by dask-cuda."""

    kind = "cuda"
    workers: int = 0
    """0: as many as there are GPUs, or as `devices` names."""
    devices: tuple[str, ...] = ()
    """Indices or UUIDs of GPUs; all that are visible when empty."""
    threads: int = 4


@dataclass(frozen=True, slots=True)
class SlurmJobs(Cluster):
    """One SLURM job a worker, by dask-jobqueue; the scheduler runs where the command does."""

    kind = "slurm"
    memory: str = "16GiB"
    """Of a job."""
    cores: int = 4
    """Of a job."""
    queue: str | None = None
    """The partition."""
    account: str | None = None
    """Who pays."""
    walltime: str = "24:00:00"
    """After which SLURM ends a job."""
    directives: tuple[str, ...] = ()
    """More lines for `#SBATCH`: ["--gres=gpu:1"]."""
    prologue: tuple[str, ...] = ()
    """Shell lines that run before the worker: ["module load cuda"]."""
    interface: str | None = None
    """Network interface that workers reach the scheduler by: "ib0"."""
    log_directory: str | None = None
    """Where jobs write what they say."""
    patience_s: float = 86_400.0
    """Jobs wait in a queue."""


@dataclass(frozen=True, slots=True)
class KubernetesPods(Cluster):
    """One pod a worker, by dask-kubernetes and its operator, which the cluster must have."""

    kind = "kubernetes"
    image: str = field(kw_only=True)
    """With this very version of histoloom in it."""
    name: str = "histoloom"
    """Of the cluster; its pods are called after it."""
    namespace: str = "default"
    """Where the pods start."""
    cores: int = 4
    """Of a pod."""
    memory: str = "16Gi"
    """Of a pod, as Kubernetes writes it."""
    gpus: int = 0
    """Of a pod."""
    env: Mapping[str, str] = field(default_factory=dict)
    """Environment variables of the pods."""
    volumes: Mapping[str, str] = field(default_factory=dict)
    """Persistent volume claim to the folder that it is mounted at, the same as where the command runs."""
    patience_s: float = 1_800.0
    """Nodes are started, images fetched."""


KINDS: Mapping[str, type[Cluster]] = {
    kind.kind: kind for kind in (LocalProcesses, CudaProcesses, SlurmJobs, KubernetesPods)
}


def read_cluster(table: object, where: str) -> Cluster:
    """Check a `[cluster]` table; `where` names the file in errors.

    Raises
    ------
    ConfigError
        if the kind or a key is unknown, or a value will not do
    """
    if not isinstance(table, dict):
        msg = f"{where}: `cluster` holds the settings of a cluster"
        raise ConfigError(msg, 'Write them as a table: [cluster], kind = "local"')
    kind = KINDS.get(str(table.get("kind")))
    if kind is None:
        msg = f"{where}: [cluster] kind = {table.get('kind')!r} will not do"
        raise ConfigError(msg, f"Wanted: one of {', '.join(KINDS)}.")
    given = {name: value for name, value in table.items() if name != "kind"}
    known = {entry.name: entry for entry in fields(kind)}
    unknown = sorted(given.keys() - known.keys())
    if unknown:
        msg = f"{where}: [cluster] of kind {kind.kind} has no such setting: {', '.join(unknown)}"
        raise ConfigError(msg, f"Settings are: {', '.join(sorted(known))}.")
    missing = [
        name
        for name, entry in known.items()
        if entry.default is MISSING and entry.default_factory is MISSING and name not in given
    ]
    if missing:
        msg = f"{where}: [cluster] of kind {kind.kind} lacks {', '.join(missing)}"
        raise ConfigError(msg, f"Settings are: {', '.join(sorted(known))}.")
    hints = get_type_hints(kind)
    return kind(**{name: _checked(kind, name, value, hints[name], where) for name, value in given.items()})


def _checked(kind: type[Cluster], name: str, value: Any, hint: Any, where: str) -> Any:
    """A TOML value as the field wants it."""
    texts = tuple[str, ...]
    if hint == texts and isinstance(value, list) and all(isinstance(entry, (str, int)) for entry in value):
        return tuple(map(str, value))
    if hint == Mapping[str, str] and isinstance(value, dict) and all(isinstance(to, str) for to in value.values()):
        return dict(value)
    least = 0 if name == "gpus" or (name == "workers" and kind is CudaProcesses) else 1
    if hint is int and type(value) is int and value >= least:
        return value
    if hint is float and type(value) in (int, float) and 0 < value < float("inf"):
        return float(value)
    if hint in (str, str | None) and isinstance(value, str) and value:
        return value
    wanted = {int: f"a whole number from {least} on", float: "seconds, above 0", texts: "a list of texts"}
    msg = f"{where}: [cluster] {name} = {value!r} will not do"
    raise ConfigError(msg, f"Wanted: {wanted.get(hint, 'a table of texts' if 'Mapping' in str(hint) else 'a text')}.")
