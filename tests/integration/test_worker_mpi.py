"""The platform mpi: programs on several hosts, started by mpirun where there is one, else by something like it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from tests.integration.slot import Bench, a_bench, is_alive, until

from copernicus.errors import UsageError
from copernicus.plugin.executables import Executable
from copernicus.plugin.registry import Found
from copernicus.worker.hosts import read_host_file
from copernicus.worker.platforms.mpi import Mpi

SHELL = Found(Executable("sh", ("/bin/sh", "-c"), platform="mpi"), "1", "test")
# Says what it was told, and is the program itself.
TELLING = r"""
launcher = ["sh", "-c", "echo $0 $1 $2; cat $1; shift 2; exec \"$@\"", "{cores}", "{hostfile}", "{nodes}:{hosts}"]
line = "{host}:{cores}"
"""


def platform_of(folder: Path, text: str, hosts: str, cores: int | None = None, per_host: int | None = None) -> Mpi:
    (folder / "mpi.toml").write_text(text)
    (folder / "hosts").write_text(hosts)
    return Mpi(cores, folder / "hosts", per_host, {"CPC_CONF_HOME": str(folder), "PATH": os.environ["PATH"]})


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with a_bench(tmp_path) as bench:
        yield bench


def use(bench: Bench, platform: Mpi) -> None:
    bench.platform.close()
    bench.platform = platform
    bench.tools = type(bench.tools)(bench.tools.worker, platform, bench.tools.shelf, grace_s=0.3)


def test_a_program_is_started_on_the_hosts_that_have_its_cores(bench: Bench, tmp_path: Path) -> None:
    platform = platform_of(tmp_path, TELLING, "n1:2  # the first\n\nn2 slots=4\nn1\n")
    assert (platform.hosts, platform.cores) == ({"n1": 3, "n2": 4}, 7)
    use(bench, platform)
    narrow = bench.run('echo "$OMP_NUM_THREADS $SEED"', SHELL, cores=3, environment={"SEED": "5"}).report
    said = narrow.stdout_tail.splitlines()
    assert (said[0].split()[::2], said[1:]) == (["3", "1:n1"], ["n1:3", "1 5"]), (
        "the tightest host, and one thread for each process"
    )
    assert not Path(said[0].split()[1]).exists(), "the host file has gone"
    wide = bench.run("true", SHELL, cores=5).report
    assert wide.stdout_tail.splitlines()[0].endswith(" 2:n1,n2")
    assert wide.stdout_tail.splitlines()[1:] == ["n1:1", "n2:4"]
    held = platform.claim(6)
    assert platform.placed(held or frozenset()) == {"n1": 2, "n2": 4}
    platform.release(held, 6)
    assert platform.placed(platform.claim(7) or frozenset()) == {"n1": 3, "n2": 4}


def test_only_as_many_cores_as_wanted(tmp_path: Path) -> None:
    assert platform_of(tmp_path, TELLING, "n1:8\nn2:8\n", cores=10).hosts == {"n1": 8, "n2": 2}
    assert platform_of(tmp_path, TELLING, "n1\nn1\nn2\n", per_host=3).hosts == {"n1": 3, "n2": 3}


@pytest.mark.parametrize(
    ("text", "hosts", "why"),
    [
        (TELLING, "", "names no host"), (TELLING, "n1:0", "is no host"),
        (TELLING, "n1\nn2 cores=3\n", "hosts:2: 'n2 cores=3' is no host"),
        ("launcher = []", "n1", "a list of texts"), ("launcher = 3", "n1", "a list of texts"),
        ("what", "n1", "mpi.toml: Expected"), ('launcher = ["no-such"]', "n1", "no program no-such on the PATH"),
        ('launcher = ["m"]\nline = "{host} {x}"', "n1", "only {host} and {cores}"),
        ('launcher = ["m"]\nmore = 1', "n1", "no more"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused(tmp_path: Path, text: str, hosts: str, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        platform_of(tmp_path, text, hosts)
    with pytest.raises(UsageError, match="cannot be read"):
        read_host_file(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="goes with a host file"):
        Mpi(None, None, 2, {"CPC_CONF_HOME": str(tmp_path / "empty"), "PATH": ""})
    with pytest.raises(UsageError, match="neither mpirun nor srun"):
        Mpi(1, None, None, {"CPC_CONF_HOME": str(tmp_path / "empty"), "PATH": ""})


@pytest.mark.skipif(shutil.which("mpirun") is None, reason="there is no mpirun here")
def test_real_processes_run_on_each_core_and_end_with_their_job(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMPI_ALLOW_RUN_AS_ROOT", "1")
    monkeypatch.setenv("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1")
    (tmp_path / "hosts").write_text("localhost:2\n")
    use(bench, Mpi(None, tmp_path / "hosts"))
    rank = "$OMPI_COMM_WORLD_RANK$PMI_RANK"
    report = bench.run(f"echo rank {rank} of 2", SHELL, cores=2).report
    assert report.outcome == "finished", report
    assert sorted(report.stdout_tail.splitlines()) == ["rank 0 of 2", "rank 1 of 2"]
    attempt = bench.attempt(f"echo $$ > {tmp_path}/pid{rank}; exec sleep 1000", SHELL, cores=2)
    wait = bench.begin(attempt)
    pids = [tmp_path / "pid0", tmp_path / "pid1"]
    until(lambda: all(pid.exists() and pid.read_text() and is_alive(pid) for pid in pids))
    attempt.stop("unwanted", 0.0)
    assert wait().report.outcome == "interrupted"
    assert not [pid for pid in pids if is_alive(pid)]
    assert not [child for child in psutil.Process().children(recursive=True) if "mpirun" in child.name()]
