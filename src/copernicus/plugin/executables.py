"""The worker's side of a module: which programs its jobs run. Imports nothing of the engine."""

from __future__ import annotations

import importlib.metadata
import re
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from copernicus.plugin.containers import Berth, Container, end_container, filled
from copernicus.plugin.probing import Answer, Unanswered, ask


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
    without that, and both must do the same. With `container` it runs in an image, and never warm.
    """

    name: str
    argv: tuple[str, ...]
    version: str = ""
    probe: Callable[[], str] | None = None
    platform: str = "smp"
    environment: dict[str, str] = field(default_factory=dict)
    warm: str = ""
    container: Container | None = None

    @property
    def command(self) -> tuple[str, ...]:
        """What is started, with all that stands for something in it."""
        return (*(self.container.prefix if self.container else ()), *self.argv)


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


def _ask(argv: tuple[str, ...], container: Container | None) -> Answer:
    if container is None:
        return ask(argv)
    with tempfile.TemporaryDirectory(prefix="cpc-probe-") as folder:
        berth = Berth(folder, Path(folder).name)
        try:
            return ask((*filled(container.prefix, berth), *argv))
        except Unanswered:
            end_container(container, berth)
            raise


def probe_program(argv: Sequence[str], regex: str, container: Container | None = None) -> Callable[[], str]:
    """Return a probe that runs `argv` and answers the first group of `regex` in what it prints (stdout, then stderr).

    With `container` it runs there, in an empty folder.
    """
    pattern = re.compile(regex, re.MULTILINE)

    def probe() -> str:
        try:
            answer = _ask(tuple(argv), container)
        except Unanswered as error:
            raise NotHere(str(error)) from None
        text = f"{answer.stdout}\n{answer.stderr}"
        match = pattern.search(text)
        if match is None:
            last = text.strip().splitlines()[-1:] or ["it printed nothing"]
            raise NotHere(f"{' '.join(argv)} (exit status {answer.status}) says no version: {last[0][:200]}")
        return match.group(1)

    return probe
