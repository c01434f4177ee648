"""Bags of jobs and an estimate, with the real programs: where people begin."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from copernicus.client.bags import BagSpec, run_bag
from copernicus.testing.system import System

PROGRAM = """
import pathlib, random, sys
temperature, seed, index = float(sys.argv[1].partition("=")[2]), int(sys.argv[2]), int(sys.argv[3])
if temperature > 310:
    sys.exit("it blew up")
random.seed(seed)
print("value:", temperature * 2)
pathlib.Path(f"out_{index}.txt").write_text(pathlib.Path("start.txt").read_text() + str(index))
pathlib.Path("run.log").write_text("all went well")
"""
AR1 = """
import random, sys
rng = random.Random(int(sys.argv[1]))
x = rng.gauss(0, 1) / 0.6
for _ in range(100):
    print(5 + x)
    x = 0.8 * x + rng.gauss(0, 1)
"""


@pytest.fixture
def running(system: System) -> System:
    """A server, a project, and a worker whose owner allows python3."""
    system.setup()
    system.start()
    system.worker("-n", "2", "--allow", "python3")
    system.until(system.workers_known, what="the worker has announced itself")
    system.cpcc("start", "first")
    return system


def test_a_sweep_runs_brings_files_back_and_tells_what_failed(running: System) -> None:
    system = running
    (system.folder / "prog.py").write_text(PROGRAM)
    (system.folder / "start.txt").write_text("it is number ")
    run = ["run", "--n", "2", "--sweep", "T=300:320:10", "--in", "prog.py", "start.txt", "--out", "out_*.txt", "*.log",
           "--extract", r"value: (\S+)", "--wait", "--", "python3", "prog.py", "--T={T}", "{seed}", "{i}"]  # fmt: skip
    ended = system.cpcc(*run, is_checked=False)
    assert ended.returncode == 1
    assert "4 of 6 jobs done, 2 failed" in ended.stdout
    assert "python3:jobs:run_2: " in ended.stdout
    assert "it blew up" in ended.stdout
    lines = [line.split() for line in ended.stdout.splitlines()[1:8]]
    assert [(line[0], line[1], *line[3:]) for line in lines[1:4]] == [
        ("0", "300", "done", "600.0"), ("1", "310", "done", "620.0"), ("2", "320", "error"),
    ]  # fmt: skip
    assert len({line[2] for line in lines[1:]}) == 6
    assert system.ask("get", "python3:out.table") is None, "it waits for all"
    assert system.cpcc("getf", "-f", "-", "python3:out.files[4][0]").stdout == "it is number 4"
    assert [file["name"] for file in system.ask("get", "python3:out.files[4]")] == ["out_4.txt", "run.log"]

    # The bag goes on living: more repeats are more jobs, and those that stand are not run again.
    system.cpcc("set", "python3:in.repeats", "3")
    system.until(lambda: system.ask("status")["jobs"] == {"done": 6, "failed": 3}, what="two more jobs done")
    system.cpcc("set", "python3:in.values", '[["300", "305"]]')
    system.until(lambda: set(system.ask("status")["states"]) == {"idle"}, what="all are done")
    rows = list(csv.DictReader(io.StringIO(system.ask("get", "python3:out.table"))))
    assert [(row["job"], row["T"], row["number"]) for row in rows][:2] == [("0", "300", "600.0"), ("1", "305", "610.0")]
    assert len(rows) == 6

    said = system.cpcc("run", "--", "no-such-program", "x")
    assert "no_such_program: 1 job of no-such-program" in said.stdout
    assert "no worker offers no-such-program" in said.stderr
    assert "--allow no-such-program" in said.stderr


def test_an_estimate_stops_by_itself_and_goes_on_when_more_is_asked(running: System) -> None:
    system = running
    (system.folder / "ar1.py").write_text(AR1)
    for line in (
        ["import", "ensemble"],
        ["instance", "ensemble::estimate", "level"],
        ["set", "level:in.command", '["python3", "ar1.py", "{seed}"]'],
        ["setf", "level:in.files[+]", "ar1.py"],
        ["set", "level:in.error", "0.15"],
        ["activate"],
    ):
        system.cpcc(*line)
    system.until(lambda: system.ask("get", "level:out.is_finished"), 180, what="the estimate stands")
    out = system.ask("get", "level:out")
    assert out["reason"] == "the error is reached"
    assert out["error"] <= 0.15
    assert abs(out["mean"] - 5) < 4 * out["error"]
    assert out["n"] == system.ask("status")["jobs"]["done"] == 16  # theory: 11, and the first batch has 16
    system.cpcc("set", "level:in.error", "0.1")
    system.until(lambda: system.ask("get", "level:out")["error"] <= 0.1, 180, what="the smaller error is reached")
    more = system.ask("get", "level:out")
    assert 16 < more["n"] < 50  # theory: 24
    assert more["history"][0]["n"] == 16
    assert "the error is reached" in system.cpcc("ls", "level").stdout


def test_a_bag_from_python(running: System) -> None:
    with running.client() as client:
        spec = BagSpec(["python3", "-c", "print({x} ** 2)"], sweep={"x": ["2", "3"]}, repeats=2, extract=r"(\d+)")
        bag = run_bag(client.project("first"), spec, "squares")
        assert bag.wait().failed == 0
        assert [(row.values["x"], row.state, row.number) for row in bag.rows()] == [("2", "idle", 4), ("3", "idle", 9)] * 2


def test_only_what_the_owner_allows_is_offered(running: System) -> None:
    (running.home / "programs.toml").write_text('allow = ["true", "no-such-program"]\n')
    worker = running.worker("-n", "1")
    running.until(lambda: "Not available" in worker.log, what="the worker has said what it has")
    offered = [line.split()[0] for line in worker.log.partition("Not available")[0].splitlines()]
    assert "true" in offered
    assert "python3" not in offered
    assert "no-such-program: there is no program no-such-program on the PATH" in worker.log
    refused = running.run(["cpc-worker", "--allow", Path("bin/sh").as_posix(), "smp"], is_checked=False)
    assert refused.returncode != 0
    assert "no name of a program" in refused.stderr
