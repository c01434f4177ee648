"""R1: a server with 100,000 jobs in its book is killed and started; what runs on a worker meanwhile is not interrupted."""

from __future__ import annotations

import sqlite3
import tempfile
import time
from contextlib import closing
from pathlib import Path

from benchmarks.row import Row
from copernicus.client import Project
from copernicus.testing.system import System

JOBS, TOGETHER, TRIES = 100_000, 10_000, 3
GOAL_S = 5.0
DEADLINE_S = 600.0
LONG_JOB_S = 3600.0


def measure(jobs: int = JOBS) -> list[Row]:
    """Return the seconds from `cpc-server start` to an answer about the project, after `kill -9`: the slowest of three."""
    with tempfile.TemporaryDirectory(prefix="cpc-bench-") as folder, System(Path(folder)) as system:
        system.setup()
        system.start()
        built_s = build(system, jobs)
        starts = sorted(recover(system, jobs) for _ in range(TRIES))
        server = system.server_process()
        cpu_s = sum(server.cpu_times()[:2]) if server is not None else 0.0
        bare_s = _bare_s(system.projects / "book.sqlite")
    details = {"fastest": starts[0], "median": starts[len(starts) // 2], "processor time": cpu_s, "made in": built_s}
    what = f"{jobs} jobs in the book, one of them running: from start to answer after kill -9, slowest of {TRIES}"
    return [Row("R1", what, starts[-1], "s", f"reading the bare rows {bare_s:.2f} s", GOAL_S, details=details)]


def build(system: System, jobs: int) -> float:
    """Let so many jobs wait behind one that runs on the only worker; return the seconds that it took."""
    began = time.monotonic()
    with system.client() as client:
        project = client.start_project("many")
        with project.transaction() as change:
            change.import_module("benchmark")
            change.instance("benchmark::sleep", "long")
            change.set("long:in.sleep_time", LONG_JOB_S)
            change.instance("benchmark::noops", "noops")
            change.activate()
        system.worker("-n", "1")
        system.until(lambda: client.running("many"), what="the long job runs")
        for first in range(0, jobs, TOGETHER):
            with project.transaction() as change:
                for number in range(first, min(first + TOGETHER, jobs)):
                    change.set(f"noops:in.index[{number}]", number)
            wanted = min(first + TOGETHER, jobs)
            system.until(lambda: _waiting(project) >= wanted, deadline_s=DEADLINE_S, what="the jobs wait")  # noqa: B023
    return time.monotonic() - began


def recover(system: System, jobs: int) -> float:
    """Kill the server and start it; return the seconds until it answers for the project, with all that was there."""
    with system.client() as client:
        (before,) = client.running("many")
        system.kill_server()
        began = time.monotonic()
        system.start()
        waiting = _waiting(client.project("many"))
        seconds = time.monotonic() - began
        (after,) = client.running("many")
    if waiting < jobs or (before.job, before.attempt, before.worker) != (after.job, after.attempt, after.worker):
        raise RuntimeError(f"{waiting} of {jobs} jobs wait; {before} runs as {after}:\n{system.evidence()}")
    return seconds


def _waiting(project: Project) -> int:
    return project.status().jobs.get("queued", 0)


def _bare_s(book: Path) -> float:
    began = time.perf_counter()
    with closing(sqlite3.connect(f"file:{book}?mode=ro", uri=True)) as connection:
        for table in ("jobs", "records"):
            for _ in connection.execute(f"SELECT data FROM {table}"):
                pass
    return time.perf_counter() - began
