import subprocess
import sys
from pathlib import Path

import pytest
import torch

from models.device import choose_device, cpu_computes_bf16, resolve_device
from models.machine import computes_bf16, has_amx, lacks_gpus

NEW, OLD = "6.1.0-13-amd64", "4.18.0-553.el8_10.x86_64"
AVX512 = "fpu sse2 avx2 avx512f avx512dq avx512cd avx512bw avx512vl"


def cpuinfo(folder: Path, flags: str, name: str = "flags") -> Path:
    file = folder / "cpuinfo"
    file.write_text(f"processor\t: 0\nvendor_id\t: GenuineIntel\n{name}\t\t: {flags}\nbugs\t\t: none\n\n")
    return file


@pytest.fixture(autouse=True)
def all_instructions(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"):
        monkeypatch.delenv(name, raising=False)


def test_torch_says_the_same_of_this_cpu() -> None:
    assert computes_bf16() in (None, cpu_computes_bf16())


def test_where_gpus_are_said_to_lack_torch_finds_none() -> None:
    assert not (lacks_gpus() and torch.cuda.is_available())


def test_what_is_planned_is_what_a_network_gets() -> None:
    assert resolve_device()[0] == str(choose_device("auto"))
    if choose_device("auto").type == "cpu":
        assert resolve_device()[1] == ("bf16" if cpu_computes_bf16() else "fp32")


@pytest.mark.parametrize(("flags", "linux", "answer"), [
    (f"{AVX512} avx512_vnni avx512_bf16", NEW, True),  # Cooper Lake, Zen 4
    (f"{AVX512} avx512_bf16 amx_bf16 amx_tile", NEW, True),  # Sapphire Rapids
    (f"{AVX512} avx512_vnni", NEW, False),  # Ice Lake
    (f"{AVX512} avx512_vnni", OLD, None),  # Ice Lake, or a newer one
    (f"{AVX512} amx_tile", OLD, True),
    (f"{AVX512} avx512_vnni", "of its own kind", None),
    ("fpu sse2 avx2 fma", OLD, False),  # Haswell, Zen 2
    ("fpu sse2 avx512f avx512_bf16", NEW, False),  # no CPU, but a virtual machine may say so
])  # fmt: skip
def test_flags_tell_of_bf16_where_the_kernel_knows_them(
    tmp_path: Path, flags: str, linux: str, answer: bool | None
) -> None:
    assert computes_bf16(cpuinfo(tmp_path, flags), linux) is answer


def test_amx_is_there_with_all_that_onednn_wants_beside_it(tmp_path: Path) -> None:
    assert has_amx(cpuinfo(tmp_path, f"{AVX512} avx512_bf16 amx_tile amx_bf16"))
    assert not has_amx(cpuinfo(tmp_path, f"{AVX512} avx512_bf16"))
    assert not has_amx(cpuinfo(tmp_path, "amx_tile amx_bf16"))


def test_other_cpus_and_other_systems_leave_bf16_to_torch(tmp_path: Path) -> None:
    assert computes_bf16(cpuinfo(tmp_path, "fp asimd bf16", name="Features"), NEW) is None
    assert computes_bf16(tmp_path / "none", NEW) is None


@pytest.mark.parametrize("name", ["ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"])
def test_where_onednn_is_kept_from_instructions_torch_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "AVX2")
    assert computes_bf16(cpuinfo(tmp_path, f"{AVX512} avx512_bf16"), NEW) is None


@pytest.mark.parametrize("device", ["nvidia0", "nvidiactl", "kfd", "dxg", "nvhost-gpu"])
def test_any_device_that_may_be_a_gpu_leaves_gpus_to_torch(tmp_path: Path, device: str) -> None:
    (tmp_path / "null").touch()
    (tmp_path / device).touch()
    assert not lacks_gpus(tmp_path)


def test_without_a_list_of_devices_gpus_are_left_to_torch(tmp_path: Path) -> None:
    assert not lacks_gpus(tmp_path / "none")


@pytest.mark.skipif(not lacks_gpus() or computes_bf16() is None, reason="torch has to be asked here")
def test_where_the_machine_says_it_itself_torch_is_not_imported() -> None:
    code = "import sys, models.device; models.device.resolve_device(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
