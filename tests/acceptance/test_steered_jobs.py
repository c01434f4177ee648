"""Jobs as people steer them, with a real program that counts: longer, held, stopped, begun afresh, declared lost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from copernicus.testing.system import System

FUNCTIONS = """
[count]
run = "counting/count"
argv = ["{limit}", "{trip}"]
until = ["{to}"]
in = { to = "int", limit = "string", trip = "int = 0" }
out = { counted = "file: counted.txt" }
checkpoint = ["state"]
watch = ["counted.txt"]
"""
EXECUTABLES = """
[[executable]]
name = "counting/count"
version = "1"
argv = ["{python}", "{folder}/count.py"]
"""
# It says where it begins, and waits before it goes beyond the number in the file `limit`; with `trip` it falls at that
# number, unless it began there.
COUNT = """
import sys, time
from pathlib import Path

limit, trip, to = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
state = Path("state")
start = int(state.read_text()) if state.exists() else 0
with open("counted.txt", "r+" if start else "w") as counted:
    lines = [line for line in counted.read().splitlines() if line.isdigit() and int(line) <= start] if start else []
    counted.seek(0)
    counted.truncate()
    counted.write("".join(f"{line}\\n" for line in lines))
    print("began at", start, flush=True)
    for number in range(start + 1, to + 1):
        while number > int(limit.read_text() or 0):
            time.sleep(0.02)
        counted.write(f"{number}\\n")
        counted.flush()
        fresh = Path("state.new")
        fresh.write_text(str(number))
        fresh.replace(state)
        print("at", number, flush=True)
        if trip == number:
            sys.exit(1)
"""


@pytest.fixture
def counting(system: System) -> System:
    """A server with the module, one worker, and a project in which nothing runs yet."""
    folder = system.home / "modules" / "counting"
    folder.mkdir(parents=True)
    for name, text in (("functions.toml", FUNCTIONS), ("executables.toml", EXECUTABLES), ("count.py", COUNT)):
        (folder / name).write_text(text)
    system.setup(heartbeat_s=3)
    system.start()
    system.worker("-n", "2")
    for line in ("start first", "import counting", "instance counting::count c"):
        system.cpcc(*line.split())
    return system


def limit(system: System, number: int) -> str:
    """Let the program count up to a number; return the file that says so."""
    fresh = system.folder / "limit.new"
    fresh.write_text(str(number))
    return str(fresh.replace(system.folder / "limit"))


def go(system: System, up_to: int = 10**6, **inputs: Any) -> None:
    for name, value in {"limit": limit(system, up_to), **inputs}.items():
        system.cpcc("set", f"c:in.{name}", str(value))
    system.cpcc("activate")


def jobs(system: System, *flags: str) -> list[dict[str, Any]]:
    """All jobs, the oldest first."""
    return list(reversed(system.ask("jobs", *flags)))


def until(system: System, condition: Callable[[], bool], what: str) -> None:
    system.until(condition, what=what)


def until_at(system: System, number: int) -> None:
    """Let the newest job count up to a number, and wait until it is there."""
    limit(system, number)

    def is_there() -> bool:
        newest = jobs(system)[-1:]
        return newest != [] and (newest[0]["state"], newest[0]["why"]) == ("leased", f"at {number}")

    until(system, is_there, f"it has counted to {number}")


def until_state(system: System, state: str, job: int = -1) -> dict[str, Any]:
    until(system, lambda: jobs(system)[job:][:1] != [] and jobs(system)[job]["state"] == state, f"the job is {state}")
    return jobs(system)[job]


def counted(system: System, tmp_path: Path) -> list[int]:
    target = tmp_path / "counted.txt"
    system.cpcc("getf", "-f", str(target), "c:out.counted")
    return [int(line) for line in target.read_text().split()]


def starts(system: System, job: int) -> list[int]:
    """Where the attempts at a job began, of those that said so."""
    log = system.cpcc("log", str(job)).stdout
    return [int(line.split()[-1]) for line in log.splitlines() if line.strip(" │").startswith("began at")]


def test_a_longer_count_goes_on_from_a_shorter_one_that_is_done_and_from_one_that_runs(
    counting: System, tmp_path: Path
) -> None:
    go(counting, to=5, up_to=5)
    first = until_state(counting, "done")
    assert counted(counting, tmp_path) == list(range(1, 6))
    counting.cpcc("set", "c:in.to", "100")
    until_at(counting, 7)
    counting.cpcc("set", "c:in.to", "101")
    until_state(counting, "cancelled", 1)
    until_at(counting, 9)
    second, third = jobs(counting)[1:]
    assert (second["state"], third["state"]) == ("cancelled", "leased")
    assert f"goes on from job {first['job']}" in counting.cpcc("log", str(second["job"])).stdout
    assert starts(counting, second["job"]) == [5]
    assert f"goes on from job {second['job']}" in counting.cpcc("log", str(third["job"])).stdout
    counting.cpcc("set", "c:in.to", "8")
    until_state(counting, "cancelled", 2)
    assert starts(counting, third["job"]) == [7]
    last = until_state(counting, "done")
    assert starts(counting, last["job"]) == [5], "of what is longer nothing is taken"
    assert counted(counting, tmp_path) == list(range(1, 9))
    counting.cpcc("set", "c:in.to", "5")
    assert counted(counting, tmp_path) == list(range(1, 6)), "a length that was there comes back at once"
    assert len(jobs(counting)) == 4
    counting.cpcc("force-rerun", "c")
    again = until_state(counting, "done")
    assert starts(counting, again["job"]) == [0]


def test_held_now_stopped_declared_lost_and_gone_on_each_time(counting: System, tmp_path: Path) -> None:
    go(counting, to=20, up_to=0)
    until_at(counting, 3)
    counting.cpcc("deactivate", "--now")
    held = until_state(counting, "blocked")
    assert counting.ask("ls")["instances"][0]["state"] == "held"
    counting.cpcc("activate")
    until_at(counting, 6)
    number = str(held["job"])
    (worker,) = counting.ask("heartbeats")
    assert [job["job"] for job in worker["jobs"]] == [held["job"]]
    assert "asked to stop" in counting.cpcc("stop", number).stdout
    stopped = until_state(counting, "failed")
    assert stopped["why"].startswith("stopped by ")
    (instance,) = counting.ask("ls")["instances"]
    assert (instance["state"], instance["why"]) == ("error", stopped["why"])
    assert "fresh budget" in counting.cpcc("rerun", number).stdout
    until_at(counting, 9)
    attempt = jobs(counting)[0]["attempt"]
    assert f"Attempt {attempt} at job {number} counts as lost" in counting.cpcc("command-failed", number).stdout
    limit(counting, 20)
    done = until_state(counting, "done")
    assert done["attempt"] == attempt + 1
    assert starts(counting, held["job"]) == [0, 3, 6], "the lost attempt left nothing, so it is not known of"
    assert counted(counting, tmp_path) == list(range(1, 21)), "no gap, nothing twice"
    assert [row["state"] for row in jobs(counting, "--state", "done")] == ["done"]
    assert jobs(counting, "--state", "queued") == []


def test_a_cleared_error_goes_on_from_the_checkpoint_and_a_forced_rerun_from_nothing(counting: System, tmp_path: Path) -> None:
    go(counting, trip=4, to=7)
    failed = until_state(counting, "failed")
    assert counting.ask("ls")["instances"][0]["state"] == "error"
    counting.cpcc("clear-error")
    until_state(counting, "done")
    assert starts(counting, failed["job"]) == [0, 4]
    assert counted(counting, tmp_path) == list(range(1, 8))
    counting.cpcc("force-rerun", "c")
    again = until_state(counting, "failed")
    assert again["job"] != failed["job"]
    assert starts(counting, again["job"]) == [0]
    assert counted(counting, tmp_path) == list(range(1, 8)), "the old result stands until there is a new one"
