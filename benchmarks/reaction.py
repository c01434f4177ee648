"""B3: how long after an acknowledged `set` the program of the job runs, when the worker is idle."""

from __future__ import annotations

import os
import random
import statistics
import tempfile
import time
from pathlib import Path

from benchmarks.row import Row, percentile
from copernicus.client import Project
from copernicus.testing.system import System

GOAL_P50_MS, GOAL_P99_MS = 10.0, 50.0
# Stands in for `true` on the worker's PATH and says when it runs. The shell's own start counts as ours: about 1 ms.
CLOCK = "#!/bin/sh\nexec date +%s.%N\n"


def measure(tries: int = 50) -> list[Row]:
    """Return the median and the 99th percentile over `tries` single jobs, in milliseconds from acknowledgement to start."""
    with tempfile.TemporaryDirectory(prefix="cpc-bench-") as folder, System(Path(folder)) as system:
        system.setup()
        system.start()
        system.worker("-n", "1", environment={"PATH": f"{_clock(Path(folder))}{os.pathsep}{system.environment['PATH']}"})
        delays_ms = _delays_ms(system, tries)
    details = {"min": min(delays_ms), "mean": statistics.fmean(delays_ms), "max": max(delays_ms), "tries": float(tries)}
    what = "idle worker: from set acknowledged to the program running"
    limit = "a start 0.3 ms, an fsync 0.2 ms, a round trip 0.1 ms"
    return [
        Row("B3 p50", what, percentile(delays_ms, 50), "ms", limit, GOAL_P50_MS, details=details),
        Row("B3 p99", what, percentile(delays_ms, 99), "ms", limit, GOAL_P99_MS),
    ]


def _clock(folder: Path) -> Path:
    """Make a folder with the program that stands in for `true`; return it."""
    place = folder / "clock"
    place.mkdir()
    program = place / "true"
    program.write_text(CLOCK, encoding="utf-8")
    program.chmod(0o755)
    return place


def _delays_ms(system: System, tries: int) -> list[float]:
    chance = random.Random(3)
    delays_ms: list[float] = []
    with system.client() as client:
        project = client.start_project("reaction")
        with project.transaction() as change:
            change.import_module("benchmark")
            change.instance("benchmark::noop", "noop")
            change.activate()
        system.until(client.workers, what="the worker has announced itself")
        for number in range(tries + 1):
            project.set("noop:in.index", number)
            acknowledged_at = time.time()
            started_at = _started_at(system, project, number)
            if number:  # the first one loads the module and opens connections
                delays_ms.append(1000 * (started_at - acknowledged_at))
            time.sleep(chance.uniform(0.01, 0.1))
    return delays_ms


def _started_at(system: System, project: Project, number: int) -> float:
    """Return what the program of job `number` said, when its result is there; asked for rarely, so that asking costs little."""

    def is_there() -> bool:
        time.sleep(0.03)
        return project.get("noop:out.index") == number

    system.until(is_there, what=f"job {number} ends")
    return float(str(project.get("noop:out.said")))
