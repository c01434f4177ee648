"""What a program finds in its environment: an allow-list of the worker's own, threads by cores, what the job adds."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from copernicus.worker.processes import THREADS as THREADS

_NAMES = frozenset(
    {
        *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TERM", "XDG_CACHE_HOME"),
        *("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "PYTHONPATH", "VIRTUAL_ENV", "CONDA_PREFIX", "MODULEPATH", "LOADEDMODULES"),
        *("SSL_CERT_FILE", "SSL_CERT_DIR"),
    }
)
_MPI = ("OMPI_MCA_", "OMPI_ALLOW_RUN_AS_ROOT", "PRTE_MCA_", "MPICH_", "HYDRA_")
_PREFIXES = (
    "LC_",
    "GMX",
    "GROMACS",
    "OPENMM_",
    "PLUMED_",
    "CUDA_",
    "NVIDIA_",
    "ROCR_",
    "HIP_",
    "OCL_",
    "SLURM_",
    "I_MPI_",
    *_MPI,
)
_HEEDED = ("GMX", "GROMACS", "OPENMM_", "PLUMED_", "CUDA_", "NVIDIA_", "ROCR_", "HIP_", "OCL_")
_JOB_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# A job says what its program should know, not which code the program loads.
_REFUSED = re.compile(r"LD_.*|DYLD_.*|PATH|PYTHON.*|PERL5.*|RUBY.*|NODE_.*|BASH_.*|ENV|IFS|HOME|SHELL|CPC_.*|GCONV_PATH")


def own_environment(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the part of the worker's environment that programs see."""
    return {name: value for name, value in environment.items() if name in _NAMES or name.startswith(_PREFIXES)}


def program_environment(own: Mapping[str, str], executable: Mapping[str, str], cores: int) -> dict[str, str]:
    """Return what every job of an executable with that many cores gets; the executable's own settings come last."""
    return {**own, **dict.fromkeys(THREADS, str(cores)), **executable}


def heeded_environment(own: Mapping[str, str], executable: Mapping[str, str]) -> dict[str, str]:
    """Return what of a program's environment may change its results: what the executable adds, and settings of its kind."""
    return {name: value for name, value in {**own, **executable}.items() if name in executable or name.startswith(_HEEDED)}


def check_job_environment(asked: Mapping[str, str]) -> None:
    """Raise `ValueError` when a job wants to set what it may not."""
    for name, value in asked.items():
        if not _JOB_NAME.fullmatch(name) or _REFUSED.fullmatch(name) or "\0" in value:
            raise ValueError(f"a job may not set the environment variable {name!r}")
