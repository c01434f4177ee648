"""The worker's side of a module: which programs its jobs run. Imports nothing of the engine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field


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
