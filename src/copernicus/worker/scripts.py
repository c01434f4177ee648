"""Job scripts for batch systems: one worker for each job."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from math import ceil

HOURS_S = 3600.0
TIME_S = 4 * HOURS_S

_Header = Callable[[int | None, float], list[str]]


def _slurm(cores: int | None, time_s: float) -> list[str]:
    hours, minutes, seconds = _clock(time_s)
    wide = ["--exclusive"] if cores is None else ["--ntasks=1", f"--cpus-per-task={cores}"]
    return [
        f"#SBATCH {flag}" for flag in ("--job-name=cpc-worker", "--nodes=1", *wide, f"--time={hours}:{minutes:02}:{seconds:02}")
    ]


def _pbs(cores: int | None, time_s: float) -> list[str]:
    hours, minutes, seconds = _clock(time_s)
    wide = ["-l select=1", "-l place=excl"] if cores is None else [f"-l select=1:ncpus={cores}"]
    return [f"#PBS {flag}" for flag in ("-N cpc-worker", *wide, f"-l walltime={hours}:{minutes:02}:{seconds:02}")] + [
        'cd "${PBS_O_WORKDIR:-.}"'
    ]


def _lsf(cores: int | None, time_s: float) -> list[str]:
    wide = ["-n 1", "-x"] if cores is None else [f"-n {cores}", '-R "span[hosts=1]"']
    return [f"#BSUB {flag}" for flag in ("-J cpc-worker", *wide, f"-W {ceil(time_s / 60)}")]


HEADERS: dict[str, _Header] = {"slurm": _slurm, "pbs": _pbs, "lsf": _lsf}
SUBMIT = {"slurm": "sbatch", "pbs": "qsub", "lsf": "bsub <"}


def job_script(scheduler: str, worker: Sequence[str], cores: int | None, time_s: float) -> str:
    """Return a script for one of `HEADERS` that runs the command `worker` on one host for so many seconds.

    `cores` None: the whole host. The worker takes the place of the shell, so that the batch system's signals reach it.
    """
    lines = [
        "#!/bin/bash",
        *HEADERS[scheduler](cores, time_s),
        "# Add what your cluster wants to know: partition or queue, account, GPUs. Load the modules of your programs here.",
        f"exec {shlex.join(worker)}",
    ]
    return "\n".join(lines) + "\n"


def _clock(time_s: float) -> tuple[int, int, int]:
    minutes, seconds = divmod(ceil(time_s), 60)
    hours, minutes = divmod(minutes, 60)
    return hours, minutes, seconds
