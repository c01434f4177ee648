"""The worker's side of a module: which programs its jobs run. Imports nothing of the engine."""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

PROBE_LIMIT_S = 60.0


class NotHere(Exception):
    """Raised by a probe: this program cannot be run on this machine; the text says why."""


@dataclass(frozen=True)
class Executable:
    """A program that jobs name.

    `name` is what job descriptions say ("gromacs/mdrun"); `argv` how the program is started, the job's own arguments
    come after it. The version is fixed (`version`) or found by `probe`, which raises `NotHere` with the reason when the
    program is not on this machine. `environment` is added to the job's.

    `warm` names a Python module with `main(argv: list[str]) -> int`. Where it is given, the worker may keep one process
    that has imported the module and fork it for each job, so that a job does not pay for the import; `argv` is the way
    without that, and both must do the same.
    """

    name: str
    argv: tuple[str, ...]
    version: str = ""
    probe: Callable[[], str] | None = None
    platform: str = "smp"
    environment: dict[str, str] = field(default_factory=dict)
    warm: str = ""


def python_program(
    name: str,
    module: str,
    *,
    version: str = "",
    distribution: str = "",
    probe: Callable[[], str] | None = None,
    is_warm: bool = False,
    environment: Mapping[str, str] | None = None,
) -> Executable:
    """Return the executable `name` that runs the Python module `module` with the worker's own interpreter.

    The version is `version`, or what `probe` finds, or that of the installed `distribution` (not installed: `NotHere`).
    `is_warm` allows the worker to import the module once and fork it for each job; it must then have
    `main(argv: list[str]) -> int`.
    """
    if probe is None and distribution:
        probe = installed(distribution)
    # -P: the job's own folder must not shadow installed packages.
    argv = (sys.executable, "-P", "-m", module)
    return Executable(name, argv, version, probe, environment=dict(environment or {}), warm=module if is_warm else "")


def installed(distribution: str) -> Callable[[], str]:
    """Return a probe that answers the version of an installed Python distribution."""

    def probe() -> str:
        try:
            return importlib.metadata.version(distribution)
        except importlib.metadata.PackageNotFoundError:
            raise NotHere(f"the Python package {distribution} is not installed") from None

    return probe


def probe_program(argv: Sequence[str], regex: str) -> Callable[[], str]:
    """Return a probe that runs `argv` and answers the first group of `regex` in what it prints (stdout, then stderr)."""
    pattern = re.compile(regex, re.MULTILINE)

    def probe() -> str:
        try:
            done = subprocess.run(list(argv), stdin=subprocess.DEVNULL, capture_output=True, timeout=PROBE_LIMIT_S, check=False)
        except FileNotFoundError:
            raise NotHere(f"there is no program {argv[0]} on the PATH") from None
        except PermissionError:
            raise NotHere(f"{argv[0]} may not be executed") from None
        except subprocess.TimeoutExpired:
            raise NotHere(f"{' '.join(argv)} did not end within {PROBE_LIMIT_S:g} s") from None
        except OSError as error:
            raise NotHere(f"{argv[0]} cannot be started: {error.strerror}") from None
        text = (done.stdout + b"\n" + done.stderr).decode("utf-8", "replace")
        match = pattern.search(text)
        if match is None:
            last = text.strip().splitlines()[-1:] or ["it printed nothing"]
            raise NotHere(f"{' '.join(argv)} (exit status {done.returncode}) says no version: {last[0][:200]}")
        return match.group(1)

    return probe
