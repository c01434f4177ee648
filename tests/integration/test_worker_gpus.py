"""GPUs of a worker, with a library in the place of NVML that knows as many as a test wants."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner
from tests.integration.slot import SHELL, Bench, a_bench

from copernicus.model.gpus import Gpu, describe_gpus
from copernicus.model.jobs import Resources
from copernicus.worker.cli import command
from copernicus.worker.gpus import Gpus, NoGpu, find_gpus

A100, L4 = Gpu("NVIDIA A100-SXM4-80GB", 85_899_345_920), Gpu("NVIDIA L4", 24_152_899_584)
SHOW = 'echo "[$CUDA_VISIBLE_DEVICES] [$NVIDIA_VISIBLE_DEVICES]"'


class Nvml(SimpleNamespace):
    """As much of `pynvml` as is used; `is_old` answers bytes."""

    def __init__(self, *gpus: Gpu, error: str = "", is_old: bool = False) -> None:
        self.open = 0

        def start() -> None:
            if error:
                raise RuntimeError(error)
            self.open += 1

        def by_name(uuid: str) -> int:
            if uuid != "MIG-5":
                raise RuntimeError("Not Found")
            return len(gpus)

        def text(words: str) -> str | bytes:
            return words.encode() if is_old else words

        super().__init__(
            nvmlInit=start,
            nvmlShutdown=lambda: setattr(self, "open", self.open - 1),
            nvmlDeviceGetCount=lambda: len(gpus),
            nvmlDeviceGetHandleByIndex=int,
            nvmlDeviceGetHandleByUUID=by_name,
            nvmlDeviceGetName=lambda at: text(gpus[at].name if at < len(gpus) else "NVIDIA A100 MIG 1g.10gb"),
            nvmlDeviceGetUUID=lambda at: text(f"GPU-{at}a" if at < len(gpus) else "MIG-5"),
            nvmlDeviceGetMemoryInfo=lambda at: SimpleNamespace(total=gpus[at].memory_bytes if at < len(gpus) else 10**10),
        )


def here(monkeypatch: pytest.MonkeyPatch, nvml: Any, visible: str | None = None) -> Gpus:
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    found = find_gpus({} if visible is None else {"CUDA_VISIBLE_DEVICES": visible})
    assert nvml is None or nvml.open == 0, "the library was left open"
    return found


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with a_bench(tmp_path) as bench:
        yield bench


@pytest.mark.parametrize("is_old", [False, True])
def test_gpus_are_found_with_name_and_memory(monkeypatch: pytest.MonkeyPatch, is_old: bool) -> None:
    found = here(monkeypatch, Nvml(A100, A100, L4, is_old=is_old))
    assert found.offered == (A100, A100, L4)
    assert [device.identity for device in found.devices] == ["GPU-0a", "GPU-1a", "GPU-2a"]
    assert describe_gpus(found.offered) == "2 × NVIDIA A100-SXM4-80GB (85.9 GB), 1 × NVIDIA L4 (24.2 GB)"


@pytest.mark.parametrize(
    ("visible", "identities"),
    [
        ("1", ["GPU-1a"]), ("2,0", ["GPU-2a", "GPU-0a"]), ("GPU-1", ["GPU-1a"]), ("0,7,1", ["GPU-0a"]), ("0,0", ["GPU-0a"]),
        ("MIG-5, 0", ["MIG-5", "GPU-0a"]), ("-1", []), ("", []), ("NoDevFiles", []),
    ],
)  # fmt: skip
def test_only_those_that_the_worker_may_use(monkeypatch: pytest.MonkeyPatch, visible: str, identities: list[str]) -> None:
    found = here(monkeypatch, Nvml(A100, A100, L4), visible)
    assert [device.identity for device in found.devices] == identities
    assert found.why == ("" if identities else "CUDA_VISIBLE_DEVICES names none")


@pytest.mark.parametrize(
    ("nvml", "why"),
    [
        (None, "the Python package nvidia-ml-py is not installed"),
        (Nvml(error="NVML Shared Library Not Found"), "the NVIDIA driver cannot be asked: NVML Shared Library Not Found"),
        (Nvml(), "the driver has none"),
    ],
)
def test_a_host_without_gpus_says_why(monkeypatch: pytest.MonkeyPatch, nvml: Nvml | None, why: str) -> None:
    found = here(monkeypatch, nvml)
    assert found.offered == ()
    assert found.why.startswith(why)


def test_check_shows_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CPC_CONF_HOME", str(tmp_path))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setitem(sys.modules, "pynvml", Nvml(L4))
    assert "\nGPUs: 1 × NVIDIA L4 (24.2 GB)\n" in CliRunner().invoke(command, ["check"]).output
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert "\nGPUs: none (the Python package nvidia-ml-py is not" in CliRunner().invoke(command, ["check"]).output


def test_a_job_sees_the_gpus_that_it_was_given_and_no_other(monkeypatch: pytest.MonkeyPatch, bench: Bench) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2")
    gpus = here(monkeypatch, Nvml(A100, A100, L4))
    bench.tools = dataclasses.replace(bench.tools, gpus=gpus)
    two = bench.run(SHOW, resources=Resources(gpus=2)).report
    assert (two.stdout_tail, two.execution.gpus) == ("[GPU-0a,GPU-1a] [GPU-0a,GPU-1a]", (A100.name,) * 2)
    kind = bench.run(SHOW, resources=Resources(gpus=1, gpu_kind="l4"), environment={"CUDA_VISIBLE_DEVICES": "0"}).report
    assert (kind.stdout_tail, kind.execution.gpus) == ("[GPU-2a] [GPU-2a]", (L4.name,))
    assert bench.run(SHOW).report.stdout_tail == "[] []", "one that asks for none must not disturb the others"
    held = gpus.claim(1, "L4")
    none_left = bench.run(SHOW, resources=Resources(gpus=1, gpu_kind="l4")).report
    assert (none_left.outcome, none_left.is_workers_fault) == ("failed", True)
    assert "0 GPUs are free, 1 of kind l4 needed" in none_left.error
    gpus.release(held)
    assert gpus.claim(3), "all were given back"
    with pytest.raises(NoGpu):
        gpus.claim(1)


def test_without_gpus_of_its_own_a_worker_leaves_the_variables_alone(bench: Bench) -> None:
    own = {**bench.tools.environment, "CUDA_VISIBLE_DEVICES": "1"}
    bench.tools = dataclasses.replace(bench.tools, environment=own)
    assert bench.run(SHOW, SHELL).report.stdout_tail == "[1] []"
