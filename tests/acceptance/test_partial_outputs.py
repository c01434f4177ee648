"""Files of a job that runs: what it has so far is fetched and shown, and marked as what it is."""

from __future__ import annotations

import pytest
from tests.acceptance.counting import FUNCTIONS, Counting

from copernicus.testing.system import System

PARTIAL = FUNCTIONS.replace('numbers = "file: numbers.txt"', 'numbers = { is = "file: numbers.txt", partial = true }')


@pytest.fixture
def counting(system: System) -> Counting:
    return Counting(system, PARTIAL)


def test_a_file_of_a_running_job_is_fetched_as_it_is_now(counting: Counting) -> None:
    system = counting.system
    counting.count(3)
    counting.worker("--checkpoint-every", "0")
    for target, last in (("c:out.numbers", "3"), ("c/count.log", "logged 3"), ("1/stdout", "counted 3")):
        system.until(lambda t=target, w=last: fetched(system, t).splitlines()[-1:] == [w], what=f"{target} is as it is now")
    refused = system.cpcc("getf", "--partial", "c/nope", is_checked=False)
    assert "nothing matches nope" in refused.stderr
    assert "There is no file" in system.cpcc("getf", "c:out.numbers", is_checked=False).stderr
    counting.count(4, is_end=True)
    system.until(lambda: not counting.running(), what="the job has ended")
    assert fetched(system, "c:out.numbers", "getf").split() == ["1", "2", "3", "4"]
    ended = system.cpcc("getf", "--partial", "c:out.numbers", is_checked=False)
    assert "no job under way" in ended.stderr


def test_what_came_with_a_checkpoint_is_shown_as_provisional_until_the_job_ends(counting: Counting) -> None:
    system = counting.system
    counting.count(2)
    first = counting.worker("--checkpoint-every", "0.05")
    system.until(lambda: system.ask("get", "-v", "c:out.numbers")["provisional"], what="a checkpoint has come over")
    system.until(lambda: "counted 2" in system.cpcc("get", "c:out.numbers").stdout, what="one with the progress")
    shown = system.cpcc("get", "c:out.numbers").stdout
    assert shown.startswith("c:out.numbers: absent\n  provisional (job 1, attempt 1, ")
    assert "numbers.txt (4 B)" in shown
    assert system.ask("get", "c:out.numbers") is None
    (place,) = [row for row in system.ask("ls", "c")["places"] if row["path"] == "c:out.numbers"]
    assert (place["is_set"], place["provisional"]["attempt"]) == (False, 1)
    assert "provisional (job 1, attempt 1" in system.cpcc("ls", "c").stdout

    first.terminate()
    system.until(lambda: not counting.running(), what="nobody has the job")
    assert fetched(system, "c:out.numbers") == "1\n2\n", "the last one that came"
    counting.count(3, is_end=True)
    counting.system.worker("-n", "1")
    system.until(lambda: system.ask("get", "c:out.numbers"), what="the job has ended")
    assert "provisional" not in system.cpcc("get", "c:out.numbers").stdout


def fetched(system: System, target: str, *words: str) -> str:
    return system.cpcc(*(words or ("getf", "--partial")), "-f", "-", target).stdout


CONTROLLER = '''
"""A controller that follows its counter."""

from __future__ import annotations

from dataclasses import dataclass

from copernicus.plugin.functions import Call, File, Job, Module, file

module = Module("following", "A controller that follows its counter.")


@dataclass(frozen=True)
class Counted:
    numbers: File | None = None


@dataclass
class Out:
    so_far: File | None = None
    sum_so_far: int = 0
    numbers: File | None = None


@module.command
def count(folder: str) -> Job[Counted]:
    """Counts."""
    return Job("counting/count", [folder], Counted(file("numbers.txt", partial=True)), checkpoint=["state.txt"])


@module.controller
def watch(call: Call[Out, None], *, folder: str) -> None:
    """Adds up what its counter has so far, and stops to look at seven numbers."""
    child = call.start("counter", count, folder=folder)
    child.follow(call.out.sum_so_far < 28)
    for one in call.glimpsed(count):
        found = one.partial.numbers
        if found is not None:
            call.out.so_far, call.out.sum_so_far = found, sum(map(int, found.read_text().split()))
    for one in call.ended(count):
        call.out.numbers = one.out.numbers
'''


def test_a_controller_sees_what_its_followed_child_has_so_far(counting: Counting) -> None:
    system = counting.system
    (system.home / "modules" / "following").mkdir(mode=0o700)
    (system.home / "modules" / "following" / "functions.py").write_text(CONTROLLER)
    system.stop()
    system.start()
    system.cpcc("rm-instance", "c")
    system.cpcc("import", "following")
    system.cpcc("instance", "following::watch", "w")
    system.cpcc("set", "w:in.folder", str(system.folder))
    system.cpcc("activate", "w")
    counting.count(3)
    counting.worker("--checkpoint-every", "0.02")
    system.until(lambda: system.ask("get", "w:out.sum_so_far") == 6, what="the controller has seen three numbers")
    counting.count(7)
    system.until(lambda: system.ask("get", "w:out.sum_so_far") == 28, what="the controller has seen seven numbers")
    counting.count(9, is_end=True)
    system.until(lambda: system.ask("get", "w:out.numbers"), what="the counter has ended")
    assert fetched(system, "w:out.so_far", "getf").split() == [str(n) for n in range(1, 8)], "what was used stays"
    assert fetched(system, "w:out.numbers", "getf").split() == [str(n) for n in range(1, 10)]
