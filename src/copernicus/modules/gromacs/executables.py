"""The programs behind the jobs of GROMACS: all drive the `gmx` that is on this machine."""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
import sys

from copernicus.plugin.executables import Executable, NotHere

PROBE_LIMIT_S = 60.0
OLDEST = 2019
PROGRAMS = ("grompp", "mdrun", "join", "tune")
_VERSION = re.compile(r"^GROMACS version:\s+\D*(\d+(?:\.\d+)*)", re.MULTILINE)


def executables() -> list[Executable]:
    """Return the programs with the `gmx` to use: `$GMX_PROGRAM`, or the one on the PATH."""
    gmx = os.environ.get("GMX_PROGRAM", "") or shutil.which("gmx") or "gmx"
    probe = functools.cache(lambda: probe_gmx(gmx))
    start = (sys.executable, "-P", "-m", "copernicus.modules.gromacs.program", gmx)
    return [Executable(f"gromacs/{name}", (*start, name), probe=probe) for name in PROGRAMS]


def probe_gmx(gmx: str) -> str:
    """Return the version of the program `gmx`; raise `NotHere` when it is not there, or older than 2019."""
    try:
        done = subprocess.run(
            [gmx, "--version"], capture_output=True, text=True, timeout=PROBE_LIMIT_S, check=False, stdin=subprocess.DEVNULL
        )
    except FileNotFoundError:
        raise NotHere(f"there is no program {gmx}; install GROMACS, or name it in GMX_PROGRAM") from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotHere(f"{gmx} --version: {error}") from None
    match = _VERSION.search(done.stdout)
    if match is None:
        raise NotHere(f"{gmx} --version (exit status {done.returncode}) does not say which version of GROMACS it is")
    version = match.group(1)
    if int(version.split(".")[0]) < OLDEST:
        raise NotHere(f"{gmx} is GROMACS {version}; {OLDEST} or later is needed")
    return version
