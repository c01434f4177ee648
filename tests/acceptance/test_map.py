"""Python functions on a real worker: `client.map`, the executor, what failed, what was taken back, what is found again."""

from __future__ import annotations

import concurrent.futures
import math
import struct
from pathlib import Path

import pytest

from copernicus.client import BagExecutor, BagFuture, Project, RemoteError
from copernicus.errors import UsageError, WrongType
from copernicus.testing.system import System

DEADLINE_S = 120.0
MODULE = """
import pathlib, time
from os import system

def shift(x, by=0.1):
    print("shifting", x)
    return x + by

def fail(x):
    raise ValueError(f"no value for {x}")

def wait_for(file):
    while not pathlib.Path(file).exists():
        time.sleep(0.01)
    return file

def size(things):
    return len(things)

def count(folder):
    with open(pathlib.Path(folder) / "calls", "a") as file:
        file.write("x")
    return True

def unfit():
    return {1, 2}
"""


@pytest.fixture
def project(system: System) -> Project:
    """A project on a server with one worker of two cores, whose owner allows the module `shifting`."""
    system.setup()
    system.start()
    (system.folder / "shifting.py").write_text(MODULE)
    system.worker("-n", "2", "--allow", "python:shifting", environment={"PYTHONPATH": str(system.folder)})
    system.until(system.workers_known, what="the worker has announced itself")
    return system.client().start_project("first")


def bits(number: float) -> bytes:
    """The bits of a float."""
    return struct.pack("<d", number)


def test_map_brings_results_in_order_to_the_last_bit_and_goes_on_where_it_was(system: System, project: Project) -> None:
    client = project.client
    given = [0.1, 1 / 3, 5e-324, -0.0, math.inf, 1.7976931348623157e308]
    found = list(client.map("shifting:shift", given, [0.0] * 6, project="first", name="shifted", timeout_s=DEADLINE_S))
    assert [bits(one) for one in found] == [bits(one + 0.0) for one in given]
    (nan,) = client.map("shifting:shift", [math.nan], project="first", timeout_s=DEADLINE_S)
    assert math.isnan(nan)
    assert "shifted" in system.cpcc("ls", "-p", "first").stdout
    assert project["shifted"]["apply_0"].out.stdout.text() == "shifting 0.1\n"
    folder = str(system.folder)
    with system.client() as other:
        assert list(other.map("shifting:count", [folder], project="first", name="counted")) == [True]
    with system.client() as later:
        again = list(later.map("shifting:count", [folder], project="first", name="counted", timeout_s=DEADLINE_S))
    assert again == [True]
    assert (system.folder / "calls").read_text() == "x", "what stands is not called again"


def test_the_executor_is_one_of_concurrent_futures(system: System, project: Project) -> None:
    with BagExecutor(project, "calls") as executor:
        futures = [executor.submit("shifting:shift", x, by=0.5) for x in range(3)]
        done = {future.result() for future in concurrent.futures.as_completed(futures, DEADLINE_S)}
        assert done == {0.5, 1.5, 2.5}
        failing = executor.submit("shifting:fail", "seven")
        with pytest.raises(RemoteError, match=r"(?s)calls:apply_3.*in fail.*ValueError: no value for seven$"):
            failing.result(DEADLINE_S)
        assert executor.submit("shifting:size", list(range(20_000))).result(DEADLINE_S) == 20_000
        assert executor.submit("shifting:size", [1]).result(DEADLINE_S) == 1, "after one with a file"
        assert list(executor.map("shifting:size", [[], [1], [1, 2]], timeout=DEADLINE_S)) == [0, 1, 2]
        with pytest.raises(RemoteError, match="is of type set, which cannot travel"):
            executor.submit("shifting:unfit").result(DEADLINE_S)
    with pytest.raises(RuntimeError, match="after shutdown"):
        executor.submit("shifting:unfit")


def test_what_no_worker_has_is_taken_back_and_the_rest_goes_on_without_the_client(system: System, project: Project) -> None:
    gate = system.folder / "open"
    executor = BagExecutor(project, "gated")
    futures = [executor.submit("shifting:wait_for", str(gate)) for _ in range(4)]
    system.until(lambda: futures[0].running() and futures[1].running(), what="both cores are taken")
    assert not futures[0].cancel()
    assert futures[3].cancel()
    assert futures[3].cancelled()
    executor.shutdown(wait=False)
    system.stop()
    gate.touch()
    system.start()
    assert futures[0].result(DEADLINE_S) == str(gate), "the server was away meanwhile"
    with system.client() as client:
        later = BagExecutor(client.project("first"), "gated")
        assert [future.result(DEADLINE_S) for future in later.futures[:3]] == [str(gate)] * 3
        concurrent.futures.wait(later.futures, DEADLINE_S)
        assert later.futures[3].cancelled()


def test_only_the_modules_own_functions_are_called(system: System, project: Project) -> None:
    with BagExecutor(project, "calls") as executor:
        for name in ("shifting:system", "shifting:_x", "shifting:pathlib"):
            with pytest.raises(RemoteError, match=r"offers no function|no name of a function"):
                executor.submit(name, "touch made").result(DEADLINE_S)
        waiting: BagFuture = executor.submit("os:system", "touch made")
        why = " ".join(project["calls"].why() + project[waiting.path].why())
        project.wait(lambda project: "python:os" in " ".join(project[waiting.path].why()), DEADLINE_S)
        assert waiting.cancel(), why
    assert not list(system.folder.rglob("made"))


def test_functions_go_by_name(project: Project) -> None:
    executor = BagExecutor(project)
    for function, why in ((lambda: 1, "cannot be found"), ("nothing", "no name")):
        with pytest.raises(UsageError, match=why):
            executor.submit(function)
    with pytest.raises(WrongType, match=r"args\[0\]\[1\] is of type PosixPath"):
        executor.submit("a:b", [1, Path("x")])
    with pytest.raises(WrongType, match="keys must be texts"):
        executor.submit("a:b", {1: 2})
    assert project.instances == []
