"""B1: a bag of independent jobs of `true`, submitted through the public client, with files, TLS and fsync as in real use."""

from __future__ import annotations

import contextlib
import tempfile
import time
from pathlib import Path

import psutil

from benchmarks.limit import LANES, starts_per_second
from benchmarks.row import Row
from copernicus.testing.system import System

GOAL = 0.30
DEADLINE_S = 600.0


def measure(jobs: int = 1000) -> Row:
    """Return the rate of `jobs` jobs on a worker with two cores, as a fraction of L, which is measured before and after."""
    before = starts_per_second()
    with tempfile.TemporaryDirectory(prefix="cpc-bench-") as folder, System(Path(folder)) as system:
        system.setup()
        system.start()
        worker = system.worker("-n", str(LANES))
        seconds, cpu_s = _run(system, jobs, worker.pid)
    after = starts_per_second()
    limit = (before + after) / 2
    return Row(
        name="B1",
        what=f"{jobs} jobs of true, two slots, durable, TLS, own folder, captured output",
        value=jobs / seconds / limit,
        unit="L",
        limit=f"L = {limit:.0f} starts/s ({before:.0f} before, {after:.0f} after)",
        goal=GOAL,
        is_rate=True,
        details={"jobs_per_s": jobs / seconds, "seconds": seconds, "cpu_ms_per_job": 1000 * cpu_s / jobs, "L": limit},
    )


def _run(system: System, jobs: int, worker_pid: int) -> tuple[float, float]:
    """Return the seconds from submission to the last result, and the CPU seconds of server, worker and jobs."""
    with system.client() as client:
        project = client.start_project("bag")
        with project.transaction() as change:
            change.import_module("benchmark")
            change.instance("benchmark::noops", "noops")
            change.activate()
        system.until(client.workers, what="the worker has announced itself")
        server = system.server_process()
        measured = [psutil.Process(worker_pid), *([server, *server.children(recursive=True)] if server else [])]
        cpu_before = cpu_s(measured)
        started_at = time.perf_counter()
        project.set("noops:in.index", list(range(jobs)))
        ends_at = started_at + DEADLINE_S
        while project.status().jobs.get("done", 0) < jobs:
            if time.perf_counter() > ends_at:
                raise TimeoutError(f"{project.status().jobs} after {DEADLINE_S:g} s:\n{system.evidence()}")
            time.sleep(0.02)
        seconds = time.perf_counter() - started_at
        return seconds, cpu_s(measured) - cpu_before


def cpu_s(processes: list[psutil.Process]) -> float:
    """Return the CPU seconds of the processes and of those of their children that have ended and been waited for."""
    total = 0.0
    for process in processes:
        with contextlib.suppress(psutil.Error):
            times = process.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total
