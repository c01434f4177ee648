"""Jobs that nobody wants any more end at the worker's next sign of life, and leave nothing, however hard they hold on."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from copernicus.testing.system import System, Worker
from copernicus.worker.guard import programs_of

FUNCTIONS = """
[cling]
run = "clinging/cling"
argv = ["{number}"]
in = { number = "int" }
out = { said = "file: stdout" }
"""
EXECUTABLES = """
[[executable]]
name = "clinging/cling"
version = "1"
argv = ["{python}", "{folder}/cling.py"]
"""
# It does not end when it is asked to, and neither does a grandchild in a session of its own; both write files all the time.
CLING = """
import os, pathlib, signal, sys, time

signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()
    if os.fork():
        os._exit(0)
pathlib.Path(f"up-{os.getpid()}").touch()
for number in range(10**9):
    pathlib.Path(f"{os.getpid()}-{number % 1000}").write_text("x")
    time.sleep(0.01)
"""


@pytest.fixture
def worker(system: System) -> Worker:
    """A worker that has a job which holds on to what it has."""
    folder = system.home / "modules" / "clinging"
    folder.mkdir(parents=True)
    for name, text in (("functions.toml", FUNCTIONS), ("executables.toml", EXECUTABLES), ("cling.py", CLING)):
        (folder / name).write_text(text)
    system.setup(heartbeat_s=3)
    system.start()
    worker = system.worker("-n", "1")
    for line in ("start first", "import clinging", "instance clinging::cling c", "set c:in.number 1", "activate"):
        system.cpcc(*line.split())
    system.until(lambda: len(list(place(system).rglob("up-*"))) == 2, what="the program and its grandchild run")
    assert len(programs(worker)) == 2
    return worker


def place(system: System) -> Path:
    return system.folder / "worker-0"


def programs(worker: Worker) -> list[int]:
    found = re.search(r"Worker ID: (\S+)", worker.log)
    assert found is not None
    return programs_of(found.group(1))


def newest(system: System) -> dict[str, Any]:
    jobs: list[dict[str, Any]] = system.ask("jobs")
    return jobs[0]


def until_nothing_is_left(system: System, worker: Worker, job: int) -> None:
    """Nothing of a job remains: process, file, lease."""

    def is_gone() -> bool:
        return job not in [row["job"] for row in system.ask("running")]

    system.until(is_gone, what="its lease is gone")
    assert programs(worker) == []
    assert [path for path in place(system).rglob("*-*") if path.name.startswith(("up-", "1"))] == []
    (row,) = system.ask("workers")
    assert (row["jobs"], row["cores_used"]) == (0, 0)


def test_a_job_that_is_stopped_leaves_nothing(system: System, worker: Worker) -> None:
    job = newest(system)["job"]
    system.cpcc("stop", str(job))
    until_nothing_is_left(system, worker, job)
    assert newest(system)["state"] == "failed"


def test_a_job_whose_inputs_have_changed_leaves_nothing_and_the_next_one_has_its_core(system: System, worker: Worker) -> None:
    job = newest(system)["job"]
    before = programs(worker)
    system.cpcc("set", "c:in.number", "2")
    system.until(lambda: newest(system)["job"] != job and newest(system)["state"] == "leased", what="the next job has the core")
    assert [row["state"] for row in system.ask("jobs") if row["job"] == job] == ["cancelled"]
    system.until(lambda: len(programs(worker)) == 2, what="the next program and its grandchild run")
    assert not set(before) & set(programs(worker))
    system.cpcc("rm-instance", "c")
    system.until(lambda: system.ask("running") == [], what="nobody wants it any more")
    assert programs(worker) == []
    assert list(place(system).rglob("up-*")) == []


def test_a_job_of_a_project_that_is_removed_leaves_nothing(system: System, worker: Worker) -> None:
    system.cpcc("rm", "first")
    system.until(lambda: programs(worker) == [], what="its programs have ended")
    system.until(lambda: list(place(system).rglob("up-*")) == [], what="its files are gone")
    system.until(lambda: [row["jobs"] for row in system.ask("workers")] == [0], what="its lease is gone")
