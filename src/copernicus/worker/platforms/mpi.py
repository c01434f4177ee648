"""The hosts of an allocation: programs are started by mpirun, srun, or whatever the site has, with a process on each core."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from copernicus.config.places import settings_home
from copernicus.errors import UsageError
from copernicus.worker.hosts import Hosts, at_most, hosts_of_allocation, read_host_file
from copernicus.worker.partition import pick
from copernicus.worker.platforms.smp import Smp, usable_cores
from copernicus.worker.processes import THREADS, CannotStart, Launch, Process

FILE_NAME = "mpi.toml"
_APART = 1_000_000
"""So far apart are the numbers of the cores of two hosts: they are no neighbours."""


@dataclass(frozen=True)
class Launcher:
    """How a parallel program is started: what stands before its command line, and a line of the host file.

    In `argv` `{cores}` stands for how many processes, `{hostfile}` for a file of hosts, `{nodes}` for how many these are,
    `{hosts}` for their names, separated by commas; in `line` `{host}` and `{cores}` for a host and how many of its cores.
    """

    argv: tuple[str, ...]
    line: str = "{host} slots={cores}"


class Mpi(Smp):
    """Cores of several hosts: those of `hostfile`, else of the allocation, else of this host. `cores`: use so many of them.

    Raises `UsageError`. The work folder must be on a file system that all of them share.
    """

    name = "mpi"

    def __init__(
        self, cores: int | None = None, hostfile: Path | None = None, cores_per_host: int | None = None,
        environment: Mapping[str, str] = os.environ,
    ) -> None:  # fmt: skip
        super().__init__()
        if hostfile is not None:
            hosts = read_host_file(hostfile, cores_per_host)
        elif cores_per_host is not None:
            raise UsageError("-cph goes with a host file.", "Give it with -hf.")
        else:
            hosts = hosts_of_allocation(environment) or {"localhost": cores or len(usable_cores())}
        hosts = hosts if cores is None else at_most(hosts, cores)
        self.hosts = hosts
        self.cores = sum(hosts.values())
        self._launcher = find_launcher(environment)
        self._program = shutil.which(self._launcher.argv[0], path=environment.get("PATH"))
        if self._program is None:
            raise UsageError(f"There is no program {self._launcher.argv[0]} on the PATH.")
        self._names = list(hosts)
        self._free = frozenset(number * _APART + core for number, host in enumerate(hosts) for core in range(hosts[host]))
        self._files: dict[int, str] = {}

    def claim(self, cores: int) -> frozenset[int] | None:
        """Take cores, of one host where there is one with so many (see `Platform`)."""
        with self._lock:
            taken = pick(self._free, cores)
            self._free -= taken
        return taken

    def start(self, launch: Launch) -> Process:
        """Start a program on the cores that were claimed for it (see `Platform`)."""
        on = self.placed(launch.cpus or frozenset())
        path = self._host_file(on)
        words = {"cores": str(launch.cores), "hostfile": path, "hosts": ",".join(on), "nodes": str(len(on))}
        argv = (self._program or "", *filled(self._launcher.argv[1:], words), *launch.argv)
        each = {name: "1" if launch.environment.get(name) == str(launch.cores) else launch.environment[name]
                for name in THREADS if name in launch.environment}  # fmt: skip
        try:
            process = super().start(
                replace(launch, argv=argv, cpus=None, warm="", environment={**launch.environment, **each})
            )  # fmt: skip
        except CannotStart:
            os.unlink(path)
            raise
        self._files[process.pid] = path
        return process

    def end(self, pid: int, tag: str) -> bool:
        """End all that is left of a program (see `Platform`); what runs on other hosts ends with its launcher."""
        with contextlib.suppress(KeyError, OSError):
            os.unlink(self._files.pop(pid))
        return super().end(pid, tag)

    def placed(self, cores: frozenset[int]) -> Hosts:
        """Return on which hosts claimed cores are, and how many."""
        return dict(Counter(self._names[core // _APART] for core in sorted(cores)))

    def _host_file(self, on: Hosts) -> str:
        descriptor, path = tempfile.mkstemp(prefix="cpc-hosts-")
        lines = [self._launcher.line.format_map({"host": host, "cores": count}) for host, count in on.items()]
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write("".join(f"{line}\n" for line in lines))
        return path


def find_launcher(environment: Mapping[str, str]) -> Launcher:
    """Return how programs are started here: as `mpi.toml` of the settings home says, else by mpirun, else srun; or raise."""
    file = settings_home(environment) / FILE_NAME
    if file.exists():
        return read_launcher(file)
    if shutil.which("mpirun", path=environment.get("PATH")):
        return Launcher(("mpirun", "-np", "{cores}", "--hostfile", "{hostfile}"))
    if shutil.which("srun", path=environment.get("PATH")):
        # Without --nodes it would go to as many hosts as the whole allocation has.
        shape = ("--nodes={nodes}", "--nodelist={hosts}", "--ntasks={cores}", "--cpus-per-task=1")
        return Launcher(("srun", "--exact", *shape))
    raise UsageError(
        "There is neither mpirun nor srun on the PATH.", f"Say what starts parallel programs: launcher = […] in {file}."
    )


def read_launcher(file: Path) -> Launcher:
    """Return what `file` says: `launcher = ["mpiexec", "-n", "{cores}", "-f", "{hostfile}"]`, `line = "{host}:{cores}"`."""
    try:
        data = tomllib.loads(file.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{file}: {error}") from None
    argv, line = data.pop("launcher", None), data.pop("line", Launcher.line)
    is_list = isinstance(argv, list) and argv and all(isinstance(word, str) for word in argv)
    if data or not is_list or not isinstance(line, str) or "{host}" not in line:
        raise UsageError(
            f"{file}: it says launcher, a list of texts, and if need be line, a text with {{host}} in it; no more."
        )
    try:
        line.format_map({"host": "", "cores": 1})
    except (KeyError, ValueError, IndexError):
        raise UsageError(f"{file}: in line only {{host}} and {{cores}} stand for something.") from None
    return Launcher(tuple(argv), line)


def filled(words: Sequence[str], values: Mapping[str, str]) -> list[str]:
    """Return the arguments with what they stand for."""
    given = []
    for word in words:
        for name, value in values.items():
            word = word.replace(f"{{{name}}}", value)
        given.append(word)
    return given
