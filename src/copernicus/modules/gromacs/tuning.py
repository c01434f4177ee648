"""How many cores a simulation is worth: measured on the worker that is to run it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

PAYS = 0.7
"""A number of cores pays when each of them does at least this part of what one does in the best case."""
_SPEED = re.compile(r"^Performance:\s+(\S+)", re.MULTILINE)


def counts_up_to(cores: int) -> list[int]:
    """Return the numbers of cores that are tried: 1, 2, 4 … and all."""
    counts = [1 << power for power in range(cores.bit_length()) if 1 << power < cores]
    return [*counts, cores]


def paying(speeds: Mapping[int, float]) -> list[int]:
    """Return the numbers of cores that pay, of those of which a speed is known (in any unit, above zero)."""
    each = {cores: speed / cores for cores, speed in speeds.items()}
    best = max(each.values(), default=0.0)
    return sorted(cores for cores, speed in each.items() if speed >= PAYS * best)


def tune(gmx: Sequence[str], tpr: str, options: Sequence[str], cores: int, seconds: float) -> None:
    """Run a simulation for some seconds on each number of cores, and write `resources.json`, `speeds.json`.

    Where it runs on none the program ends. The first half of each run does not count: there GROMACS balances its load.
    """
    speeds: dict[int, float] = {}
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    for count in counts_up_to(cores):
        command = [
            *gmx, "mdrun", "-s", tpr, "-nt", str(count), "-nsteps", "-1", "-maxh", f"{seconds / 3600:.9f}", "-resethway",
            "-noconfout", "-deffnm", f"tune_{count}", *options,
        ]  # fmt: skip
        done = subprocess.run(command, stdin=subprocess.DEVNULL, check=False, env=environment)
        speed = speed_in(Path(f"tune_{count}.log")) if done.returncode == 0 else None
        if speed:  # else, for instance, the system is too small for so many
            speeds[count] = speed
        print(f"{count} cores: {f'{speed:g} ns/day' if speed else 'it does not run'}", flush=True)
    if not speeds:
        sys.exit("The simulation runs on no number of cores; see above.")
    best = paying(speeds)
    Path("resources.json").write_text(json.dumps({"cores_min": best[0], "cores_max": best[-1]}), encoding="utf-8")
    measured = [{"cores": count, "ns_per_day": speed} for count, speed in speeds.items()]
    Path("speeds.json").write_text(json.dumps(measured), encoding="utf-8")


def speed_in(log: Path) -> float | None:
    """Return the nanoseconds per day that a log of mdrun tells, None when it does not."""
    try:
        found = _SPEED.findall(log.read_text(encoding="utf-8", errors="replace"))
        return float(found[-1]) if found else None
    except (OSError, ValueError):
        return None
