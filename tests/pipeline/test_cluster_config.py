from pathlib import Path

import pytest

from pipeline.cluster_config import KubernetesPods, LocalProcesses, SlurmJobs
from pipeline.config import CohortConfig, read_config
from pipeline.errors import ConfigError
from pipeline.schedule import Workforce


def cohort(folder: Path, text: str) -> CohortConfig:
    path = folder / "cohort.toml"
    path.write_text(text)
    return read_config(path)


def test_a_cluster_stands_beside_the_settings_of_slides(tmp_path: Path) -> None:
    config = cohort(
        tmp_path, 'sr = "none"\n[cluster]\nkind = "local"\nworkers = 3\npatience_s = 5\n[slide.a]\nmpp = 1.0\n'
    )
    assert config.cluster == LocalProcesses(workers=3, patience_s=5.0)
    assert config.changed({"mpp": 0.5}).cluster == config.cluster
    assert config.of("a").mpp == 1.0


def test_lists_and_tables_are_taken_as_texts(tmp_path: Path) -> None:
    slurm = cohort(tmp_path, '[cluster]\nkind = "slurm"\ndirectives = ["--gres=gpu:1"]\nworkers = 100\n').cluster
    assert slurm == SlurmJobs(workers=100, directives=("--gres=gpu:1",))
    pods = cohort(tmp_path, '[cluster]\nkind = "kubernetes"\nimage = "h:1"\nvolumes = {slides = "/data"}\n').cluster
    assert pods == KubernetesPods(image="h:1", volumes={"slides": "/data"})


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ('kind = "mesos"', "one of local, cuda, slurm, kubernetes"),
        ("workers = 3", "one of local, cuda, slurm, kubernetes"),
        ('kind = "local"\nqueue = "gpu"', "no such setting: queue"),
        ('kind = "slurm"\nworker = 3', "no such setting: worker"),
        ('kind = "slurm"\nworkers = "3"', "workers = '3'"),
        ('kind = "slurm"\nworkers = true', "workers = True"),
        ('kind = "slurm"\nthreads = 0', "threads = 0"),
        ('kind = "slurm"\ndirectives = "--gres=gpu:1"', "a list of texts"),
        ('kind = "slurm"\npatience_s = -1', "patience_s = -1"),
        ('kind = "slurm"\npatience_s = inf', "patience_s = inf"),
        ('kind = "slurm"\nqueue = ""', "queue = ''"),
        ('kind = "kubernetes"', "lacks image"),
        ('kind = "kubernetes"\nimage = "h"\nenv = {A = 1}', "a table of texts"),
    ],
)
def test_a_wrong_cluster_is_refused_with_the_file_and_the_key(tmp_path: Path, text: str, what: str) -> None:
    with pytest.raises(ConfigError, match=what) as refusal:
        cohort(tmp_path, f"[cluster]\n{text}\n")
    assert "cohort.toml" in refusal.value.what
    assert len(str(refusal.value).splitlines()) == 2


def test_a_cluster_is_a_table(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cluster"):
        cohort(tmp_path, 'cluster = "slurm"')


def test_the_command_line_goes_before_the_file() -> None:
    slurm = SlurmJobs(workers=4)
    assert Workforce.choose(None, None, slurm) == Workforce(cluster=slurm, patience_s=slurm.patience_s)
    assert Workforce.choose(2, None, slurm) == Workforce(processes=2)
    assert Workforce.choose(None, "tcp://a:1", slurm) == Workforce(scheduler="tcp://a:1")
    assert Workforce.choose(None, None, None) == Workforce(processes=1)
    with pytest.raises(ConfigError, match="--workers 2 and --scheduler"):
        Workforce.choose(2, "tcp://a:1", None)
