"""What batch systems say, and the scripts that are handed to them."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from copernicus.worker.allocation import Allocation, find_allocation
from copernicus.worker.scripts import HEADERS, job_script

MIB = 1024**2
SLURM = {
    "SLURM_JOB_ID": "17", "SLURM_CPUS_ON_NODE": "8", "SLURM_JOB_NUM_NODES": "2", "SLURM_MEM_PER_CPU": "2000",
    "SLURM_JOB_END_TIME": "5000",
}  # fmt: skip


def test_without_a_batch_system_there_is_none() -> None:
    assert find_allocation({"NCPUS": "4", "SLURM_CPUS_ON_NODE": "4"}) is None


@pytest.mark.parametrize(
    ("environment", "allocation"),
    [
        (SLURM, Allocation("Slurm", "17", 2, 8, 16000 * MIB, 4000.0)),
        (SLURM | {"SLURM_MEM_PER_NODE": "64000"}, Allocation("Slurm", "17", 2, 8, 64000 * MIB, 4000.0)),
        (SLURM | {"SLURM_MEM_PER_NODE": "0"}, Allocation("Slurm", "17", 2, 8, None, 4000.0)),
        (SLURM | {"SLURM_JOB_END_TIME": "900"}, Allocation("Slurm", "17", 2, 8, 16000 * MIB, 0.0)),
        ({"SLURM_JOB_ID": "1", "SLURM_CPUS_ON_NODE": "all"}, Allocation("Slurm", "1")),
        ({"PBS_JOBID": "9.head", "NCPUS": "4", "PBS_WALLTIME": "3600"}, Allocation("PBS", "9.head", 1, 4, None, 3600.0)),
        ({"PBS_JOBID": "9", "PBS_NUM_PPN": "2", "PBS_NODEFILE": "/nowhere"}, Allocation("PBS", "9", 1, 2)),
        ({"LSB_JOBID": "3", "LSB_MCPU_HOSTS": "n1 4 n2 8", "HOSTNAME": "n2.site"}, Allocation("LSF", "3", 2, 8)),
        ({"LSB_JOBID": "3", "LSB_MCPU_HOSTS": "n1 4 n2 8"}, Allocation("LSF", "3", 2)),
        ({"LSB_JOBID": "3", "LSB_DJOB_NUMPROC": "6"}, Allocation("LSF", "3", 1, 6)),
    ],
)
def test_what_batch_systems_say(environment: dict[str, str], allocation: Allocation) -> None:
    assert find_allocation(environment, now=1000.0) == allocation


def test_the_hosts_of_pbs_are_counted_in_its_file(tmp_path: Path) -> None:
    (tmp_path / "nodes").write_text("n1\nn1\nn2\n")
    found = find_allocation({"PBS_JOBID": "1", "PBS_NODEFILE": str(tmp_path / "nodes")})
    assert found is not None
    assert (found.hosts, found.describe()) == (2, "PBS job 1 on 2 hosts; here it does not say of what")


@given(st.dictionaries(st.sampled_from([*SLURM, "PBS_JOBID", "NCPUS", "LSB_JOBID", "LSB_MCPU_HOSTS"]), st.text()))
def test_rubbish_counts_as_not_said(environment: dict[str, str]) -> None:
    found = find_allocation(environment, now=0.0)
    assert found is None or (found.hosts >= 1 and found.describe())


@pytest.mark.parametrize("scheduler", HEADERS)
@pytest.mark.parametrize("cores", [None, 4])
def test_a_job_script_is_a_script_whose_last_line_is_the_worker(scheduler: str, cores: int | None, tmp_path: Path) -> None:
    worker = ["printf", "%s|", "-c", "my file", "it's", "$HOME"]
    text = job_script(scheduler, worker, cores, 5400.5)
    head, *rest = text.splitlines()
    assert head == "#!/bin/bash"
    directives = [line for line in rest if re.match(r"#(SBATCH|PBS|BSUB) -", line)]
    assert rest[: len(directives)] == directives, "what comes after a command is not read"
    assert ("4" in " ".join(directives).replace("1:30", "")) == (cores == 4)
    assert any(time in " ".join(directives) for time in ("1:30:01", "-W 91"))
    done = subprocess.run(
        ["bash", "-c", text], capture_output=True, text=True, check=True, cwd=tmp_path, env={"PATH": "/bin:/usr/bin"}
    )
    assert done.stdout == "-c|my file|it's|$HOME|"
