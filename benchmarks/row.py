"""One measured row: the figure, what it is measured against, and whether it is good enough."""

from __future__ import annotations

import os
import platform
import subprocess
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Row:
    """`value` in `unit`; the goal is to be at least `goal` (`is_rate`) or at most `goal`. `details` are further figures."""

    name: str
    what: str
    value: float
    unit: str
    limit: str
    goal: float
    is_rate: bool = False
    details: dict[str, float] = field(default_factory=dict)

    @property
    def is_met(self) -> bool:
        """Whether the goal is reached."""
        return self.value >= self.goal if self.is_rate else self.value <= self.goal

    def as_data(self) -> dict[str, Any]:
        """Return the row as plain data."""
        return asdict(self) | {"is_met": self.is_met}


def machine() -> dict[str, str]:
    """Return what the figures hold for: processor, cores, kernel, Python, commit."""
    here = Path(__file__).parent
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=here, capture_output=True, text=True, check=False)
    return {
        "processor": _processor(),
        "cores": str(len(os.sched_getaffinity(0))),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "commit": commit.stdout.strip() or "unknown",
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def percentile(values: list[float], percent: float) -> float:
    """Return the value below which `percent` of the values lie (the nearest one that was measured)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, round(percent / 100 * (len(ordered) - 1)))]
