"""B2: a chain of dependent jobs of `true` through the dataflow: what one link costs, from first input to last output."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from pathlib import Path

import psutil

from benchmarks.bag import cpu_s
from benchmarks.lane import run
from benchmarks.row import Row
from copernicus.client import Project
from copernicus.testing.system import System

LINKS, TRIES = 200, 3
GOAL_MS = 3.0
DEADLINE_S = 300.0


def measure() -> list[Row]:
    """Return the time of one link of a chain of jobs, one server and one worker with one core, in milliseconds."""
    with tempfile.TemporaryDirectory(prefix="cpc-bench-") as folder, System(Path(folder)) as system:
        start_ms, fsync_ms = _start_ms(), _fsync_ms(Path(folder))
        system.setup()
        system.start()
        worker = system.worker("-n", "1")
        links_ms, cpu_ms = _links_ms(system, worker.pid)
    details = {"min": min(links_ms), "max": max(links_ms), "tries": float(TRIES), "links": float(LINKS), **cpu_ms}
    limit = f"a start {start_ms:.2f} ms, an fsync {fsync_ms:.2f} ms, one after the other"
    what = f"chain of {LINKS} dependent jobs of true through the dataflow, per link"
    return [Row("B2", what, statistics.median(links_ms), "ms", limit, GOAL_MS, details=details)]


def _links_ms(system: System, worker_pid: int) -> tuple[list[float], dict[str, float]]:
    """Return the times of a link, one for each try, and the processor time of a link, of server and of worker with jobs."""
    with system.client() as client:
        project = client.start_project("chain")
        with project.transaction() as change:
            change.import_module("benchmark")
            for number in range(LINKS):
                change.instance("benchmark::link", f"link_{number}")
            for number in range(1, LINKS):
                change.connect(f"link_{number - 1}:out.next", f"link_{number}:in.index")
            change.activate()
        system.until(client.workers, what="the worker has announced itself")
        _run(project, 0)  # the first one loads the module and opens connections
        server = system.server_process()
        measured = {
            "server CPU": [server, *server.children(recursive=True)] if server else [],
            "worker CPU": [psutil.Process(worker_pid)],
        }
        before = {name: cpu_s(processes) for name, processes in measured.items()}
        links_ms = [1000 * _run(project, 1000 * attempt) / LINKS for attempt in range(1, TRIES + 1)]
        spent = {name: cpu_s(processes) - before[name] for name, processes in measured.items()}
    return links_ms, {name: 1000 * seconds / LINKS / TRIES for name, seconds in spent.items()}


def _run(project: Project, first: int) -> float:
    """Give the first link a number; return the seconds until the last one has given its own."""
    began = time.perf_counter()
    project.set("link_0:in.index", first)
    while project.get(f"link_{LINKS - 1}:out.next") != first + LINKS:
        if time.perf_counter() > began + DEADLINE_S:
            raise TimeoutError(f"{project.status().jobs} after {DEADLINE_S:g} s")
        time.sleep(0.05)  # asked for rarely, so that asking costs little
    return time.perf_counter() - began


def _start_ms(count: int = 500) -> float:
    """Starting `true` and waiting for it, one after the other."""
    run(20)
    return 1000 * run(count) / count


def _fsync_ms(folder: Path, count: int = 200) -> float:
    """Appending a page to a file and syncing it."""
    descriptor = os.open(folder / "page", os.O_CREAT | os.O_WRONLY, 0o600)
    try:
        began = time.perf_counter()
        for _ in range(count):
            os.write(descriptor, bytes(4096))
            os.fdatasync(descriptor)
        return 1000 * (time.perf_counter() - began) / count
    finally:
        os.close(descriptor)
