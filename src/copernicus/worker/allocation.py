"""What a batch system has given: read from the environment that it gives to the script of a job."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from copernicus.model.counts import counted, gigabytes

MIB = 1024**2


@dataclass(frozen=True)
class Allocation:
    """A job of a batch system. `cores` and `memory_bytes` are of this host; None: it does not say.

    `hosts` is how many there are; `left_s` how many seconds are left, as the worker starts.
    """

    scheduler: str
    job: str
    hosts: int = 1
    cores: int | None = None
    memory_bytes: int | None = None
    left_s: float | None = None

    def describe(self) -> str:
        """Return it in words."""
        parts = [
            "" if self.cores is None else counted(self.cores, "core"),
            "" if self.memory_bytes is None else gigabytes(self.memory_bytes),
            "" if self.left_s is None else f"{self.left_s / 60:.0f} minutes left",
        ]
        here = ", ".join(part for part in parts if part) or "it does not say of what"
        return f"{self.scheduler} job {self.job} on {counted(self.hosts, 'host')}; here {here}"


def find_allocation(environment: Mapping[str, str] = os.environ, now: float | None = None) -> Allocation | None:
    """Return the allocation in which this process runs, or None; what cannot be read counts as not said.

    `now` is the time of day, seconds since 1970: the end of a job is told so.
    """
    for variable, read in (("SLURM_JOB_ID", _slurm), ("PBS_JOBID", _pbs), ("LSB_JOBID", _lsf)):
        if environment.get(variable):
            return read(environment, environment[variable], time.time() if now is None else now)
    return None


def _slurm(environment: Mapping[str, str], job: str, now: float) -> Allocation:
    cores = _number(environment.get("SLURM_CPUS_ON_NODE"))
    memory = _number(environment.get("SLURM_MEM_PER_NODE"))
    if memory is None and cores is not None and (each := _number(environment.get("SLURM_MEM_PER_CPU"))) is not None:
        memory = cores * each
    end = _number(environment.get("SLURM_JOB_END_TIME"))
    return Allocation(
        "Slurm", job, _number(environment.get("SLURM_JOB_NUM_NODES")) or 1, cores,
        memory * MIB if memory else None,  # 0 is all that the host has
        None if end is None else max(0.0, end - now),
    )  # fmt: skip


def _pbs(environment: Mapping[str, str], job: str, now: float) -> Allocation:
    names = _lines(environment.get("PBS_NODEFILE"))
    cores = _number(environment.get("NCPUS")) or _number(environment.get("PBS_NUM_PPN"))
    left_s = _number(environment.get("PBS_WALLTIME"))
    return Allocation("PBS", job, len(set(names)) or 1, cores, left_s=None if left_s is None else float(left_s))


def _lsf(environment: Mapping[str, str], job: str, now: float) -> Allocation:
    words = environment.get("LSB_MCPU_HOSTS", "").split()  # host, slots, host, slots …
    slots = {host: _number(count) for host, count in zip(words[::2], words[1::2], strict=False)}
    here = next((count for host, count in slots.items() if _is_here(host, environment)), None)
    cores = here if here is not None else _number(environment.get("LSB_DJOB_NUMPROC")) if len(slots) <= 1 else None
    return Allocation("LSF", job, len(slots) or 1, cores)


def _is_here(host: str, environment: Mapping[str, str]) -> bool:
    return host.split(".")[0] == environment.get("HOSTNAME", "").split(".")[0]


def _number(text: str | None) -> int | None:
    """A whole number above zero, or zero; None for anything else."""
    return int(text) if text and re.fullmatch(r"\d{1,15}", text.strip()) else None


def _lines(path: str | None) -> Sequence[str]:
    if not path:
        return ()
    try:
        return Path(path).read_text().split()
    except (OSError, UnicodeDecodeError):
        return ()
