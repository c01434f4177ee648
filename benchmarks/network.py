"""B4: a network of 100,000 instances and 1,000,000 values in one server: built, held in memory, changed, read again."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

import psutil

from benchmarks.row import Row
from copernicus.client import Project
from copernicus.testing.system import System

TERMS = 9
"""Values set at each instance; its sum is the tenth."""
TOGETHER = 1000
"""Instances made by one transaction."""
DECADES = (1_000, 10_000, 100_000)
TRIES = 40
GOAL_BUILD_S, GOAL_RSS_GB, GOAL_SET_MS, GOAL_START_S = 60.0, 1.5, 5.0, 10.0


def measure(instances: int = DECADES[-1]) -> list[Row]:
    """Return build time, memory, the time of one `set` and of a start after `kill -9`, with the curve over three decades."""
    with tempfile.TemporaryDirectory(prefix="cpc-bench-") as folder, System(Path(folder)) as system:
        system.setup()
        system.start()
        sets_ms: dict[str, float] = {}
        with system.client() as client:
            project = client.start_project("network")
            project.import_module("benchmark")
            build_s, made = 0.0, 0
            for size in (*(size for size in DECADES if size < instances), instances):
                build_s += _grow(system, project, made, size)
                made = size
                sets_ms[f"set at {size}"] = statistics.median(_set_ms(project, size) for _ in range(TRIES))
        rss_gb = _server(system).memory_info().rss / 1e9
        system.kill_server()
        start_s = _start_s(system)
    set_ms = sets_ms[f"set at {instances}"]
    values = instances * (TERMS + 1)
    network, bare_s = f"{instances} instances, {values} values", _bare_s(instances)
    return [
        Row("B4 build", f"{network}, each sum made", build_s, "s", f"as bare dicts {bare_s:.2f} s", GOAL_BUILD_S),
        Row("B4 RSS", f"{network}: the server's memory", rss_gb, "GB", f"bare floats {values * 24 / 1e9:.3f} GB", GOAL_RSS_GB),
        Row("B4 set", "one input set, acknowledged", set_ms, "ms", "an fsync 0.2, a trip 0.1 ms", GOAL_SET_MS, details=sets_ms),
        Row("B4 start", "after kill -9: from start to answer", start_s, "s", f"bare dicts {bare_s:.2f} s", GOAL_START_S),
    ]  # fmt: skip


def _grow(system: System, project: Project, before: int, size: int) -> float:
    """Let the network grow; return the seconds until all that is new has its sum."""
    began = time.monotonic()
    for first in range(before, size, TOGETHER):
        with project.transaction() as change:
            for number in range(first, min(first + TOGETHER, size)):
                change.instance("benchmark::multi_add", f"add_{number}")
                change.set(f"add_{number}:in.terms", [float(number + term) for term in range(TERMS)])
                change.activate(f"add_{number}")
    last = f"add_{size - 1}:out.sum"
    system.until(lambda: project.get(last) is not None, deadline_s=600, what=f"{last} is there")
    system.until(lambda: project.status().states.get("idle") == size, deadline_s=600, what=f"{size} instances are idle")
    return time.monotonic() - began


def _set_ms(project: Project, size: int) -> float:
    began = time.perf_counter()
    project.set(f"add_{size // 2}:in.terms[3]", time.time())
    return 1000 * (time.perf_counter() - began)


def _start_s(system: System) -> float:
    """Start the server that was killed; return the seconds until it answers for the project."""
    began = time.monotonic()
    system.start()
    with system.client() as client:
        system.until(lambda: client.project("network").get("add_0:out.sum") is not None, deadline_s=600, what="a value")
    return time.monotonic() - began


def _server(system: System) -> psutil.Process:
    process = system.server_process()
    assert process is not None, "the server runs"
    return process


def _bare_s(instances: int) -> float:
    began = time.perf_counter()
    kept = [{"in": {"terms": [float(n + term) for term in range(TERMS)]}, "out": {"sum": float(n)}} for n in range(instances)]
    return time.perf_counter() - began + 0 * len(kept)
