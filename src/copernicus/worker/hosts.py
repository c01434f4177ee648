"""Which hosts a worker has cores on: from a host file, or from what a batch system says. Pure but for reading the file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from copernicus.errors import UsageError

MOST_HOSTS = 100_000
Hosts = dict[str, int]
"""Cores by host, in order."""
_LINE = re.compile(r"(?P<host>[^\s:=#]+)(?::(?P<colon>\d+)|\s+slots\s*=\s*(?P<slots>\d+))?(?:\s+max_slots\s*=\s*\d+)?")
_GROUP = re.compile(r"([^,\[]+(?:\[[^\]]*\])?[^,\[]*)(?:,|$)")


def read_host_file(path: Path, cores_per_host: int | None = None) -> Hosts:
    """Return the hosts of a file with a host in each line: `node1`, `node1:8` or `node1 slots=8`; # begins a comment.

    A host that stands there again has so many cores more. `cores_per_host` takes the place of the numbers in the file.
    Raises `UsageError` with file and line.
    """
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"The host file {path} cannot be read: {getattr(error, 'strerror', None) or error}.") from None
    hosts: Hosts = {}
    for number, line in enumerate(lines, 1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        match = _LINE.fullmatch(text)
        cores = int(match["colon"] or match["slots"] or 1) if match else 0
        if match is None or not cores:
            raise UsageError(f"{path}:{number}: {text!r} is no host.", "Write node1, node1:8 or node1 slots=8.")
        hosts[match["host"]] = hosts.get(match["host"], 0) + cores
    if not hosts:
        raise UsageError(f"The host file {path} names no host.")
    return dict.fromkeys(hosts, cores_per_host) if cores_per_host else hosts


def hosts_of_allocation(environment: Mapping[str, str]) -> Hosts:
    """Return the hosts of the allocation of Slurm, PBS or LSF in which this process runs; none where it says none."""
    if names := environment.get("SLURM_JOB_NODELIST"):
        hosts = expanded(names)
        counts = _repeated(environment.get("SLURM_JOB_CPUS_PER_NODE", ""))
        return dict(zip(hosts, counts, strict=True)) if len(hosts) == len(counts) else {}
    if file := environment.get("PBS_NODEFILE"):
        return read_host_file(Path(file))
    words = environment.get("LSB_MCPU_HOSTS", "").split()
    return {host: int(count) for host, count in zip(words[::2], words[1::2], strict=False) if count.isdecimal() and int(count)}


def expanded(names: str) -> list[str]:
    """Return the hosts of a list as Slurm writes it: `n[1-3,07],login` is n1, n2, n3, n07, login."""
    hosts: list[str] = []
    for group in _GROUP.findall(names):
        before, bracket, rest = group.partition("[")
        inside, _, after = rest.partition("]")
        for span in inside.split(",") if bracket else [""]:
            first, _, last = span.partition("-")
            if last and first.isdecimal() and last.isdecimal() and int(last) - int(first) < MOST_HOSTS:
                hosts += [f"{before}{number:0{len(first)}}{after}" for number in range(int(first), int(last) + 1)]
            else:
                hosts.append(f"{before}{span}{after}")
    return hosts


def _repeated(counts: str) -> list[int]:
    """`8(x2),4` is 8, 8, 4; nothing where it cannot be read."""
    found: list[int] = []
    for word in counts.split(","):
        match = re.fullmatch(r"(\d{1,6})(?:\(x(\d{1,5})\))?", word.strip())
        if match is None:
            return []
        found += [int(match[1])] * int(match[2] or 1)
    return found


def at_most(hosts: Hosts, cores: int) -> Hosts:
    """Return the first so many cores of hosts; raise `UsageError` when there are fewer."""
    taken: Hosts = {}
    for host, count in hosts.items():
        if (left := cores - sum(taken.values())) > 0:
            taken[host] = min(count, left)
    if sum(taken.values()) < cores:
        raise UsageError(f"There are {sum(hosts.values())} cores on {len(hosts)} hosts, not {cores}.", "Give -n less.")
    return taken
