"""The pool of module processes, with modules that do what they should not."""

from __future__ import annotations

import asyncio
import os
import textwrap
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from copernicus.blobs.folder import BlobFolder
from copernicus.dataflow.calls import CommandAnswer, CommandCall, ControllerAnswer, ControllerCall, PureAnswer, PureCall
from copernicus.server.projects.pool import Pool

TROUBLE = """
from __future__ import annotations
import os, sys, time
from dataclasses import dataclass
from copernicus.plugin.functions import Call, File, Job, Module, text

module = Module("trouble", "Does what it should not.")

@dataclass
class Out:
    n: int

@dataclass
class Said:
    line: str

@module.pure(version=1)
def double(n: int) -> Out:
    print("module code prints", n)
    os.write(1, b"and writes to what it takes for standard output\\n")
    return Out(2 * n)

@module.pure(version=1)
def process(n: int) -> Out:
    return Out(os.getpid())

@module.pure(version=1)
def crash(n: int) -> Out:
    os._exit(3)

@module.pure(version=1)
def crash_once(marker: str) -> Out:
    if not os.path.exists(marker):
        open(marker, "w").close()
        os._exit(3)
    return Out(1)

@module.pure(version=1)
def leave(n: int) -> Out:
    sys.exit(4)

@module.pure(version=1)
def loop(n: int) -> Out:
    while True:
        n += 1

@module.pure(version=1)
def wrong(n: int) -> Out:
    return Out("text")

@module.pure(version=1)
def read(content: File) -> Said:
    return Said(content.read_text())

@module.command
def environment(n: int) -> Job[Said]:
    return Job("x/y", [], Said(text()), environment={"N": n})

@dataclass
class State:
    calls: int = 0
    process: int = 0

@module.controller
def count(call: Call[Out, State], *, n: int) -> None:
    call.state.calls += 1
    call.state.process = os.getpid()
    call.out.n = n
    if n < 0:
        call.fail("n is negative")
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CPC_CONF_HOME", str(tmp_path / "home"))
    for name, source in {
        "trouble": TROUBLE,
        "broken": "x = (\n",
        "leaving": "import sys\n\nsys.exit(1)\n",
        "refused": "from copernicus.plugin.functions import Module\nmodule = Module('refused')\n\n@module.pure\n"
        "def f(n: int) -> int:\n    return n\n",
        "empty": "module = None\n",
    }.items():
        (tmp_path / "modules" / name).mkdir(parents=True)
        (tmp_path / "modules" / name / "functions.py").write_text(textwrap.dedent(source))
    return tmp_path


def with_pool(folder: Path, do: Callable[[Pool], Awaitable[None]], size: int = 2, time_limit_s: float = 60.0) -> None:
    async def run() -> None:
        pool = Pool(size, folder / "blobs", str(folder / "modules"), time_limit_s)
        try:
            await pool.start()
            await do(pool)
        finally:
            await pool.stop()

    asyncio.run(run())


def pure(name: str, **inputs: object) -> PureCall:
    return PureCall(f"trouble::{name}", inputs)


def test_modules_with_errors_are_listed_and_disturb_no_others(folder: Path) -> None:
    async def look(pool: Pool) -> None:
        modules = {module.name: module for module in await pool.catalog()}
        assert not modules["trouble"].error
        assert [function.name for function in modules["trouble"].functions][:2] == ["trouble::double", "trouble::process"]
        assert "SyntaxError" in modules["broken"].error
        assert "broken/functions.py:1" in modules["broken"].error
        assert "SystemExit" in modules["leaving"].error
        assert "leaving/functions.py:3" in modules["leaving"].error
        assert "refused/functions.py:4" in modules["refused"].error
        assert "must be a dataclass" in modules["refused"].error
        assert "is not a Module" in modules["empty"].error

    with_pool(folder, look, size=1)


def test_calls_in_flight_are_answered_whatever_the_others_do(folder: Path) -> None:
    async def ask(pool: Pool) -> None:
        calls = [pure("double", n=n) for n in range(200)]
        calls[20], calls[60], calls[100] = pure("crash", n=1), pure("leave", n=1), pure("wrong", n=1)
        calls[140] = pure("missing", n=1)
        answers = await asyncio.gather(*(pool.call(call) for call in calls))
        assert all(isinstance(answer, PureAnswer) for answer in answers)
        for n, answer in enumerate(answers):
            if n not in (20, 60, 100, 140):
                assert answer == PureAnswer({"n": 2 * n})
        assert "trouble::crash ended the process" in answers[20].error
        assert "SystemExit: 4" in answers[60].error
        assert "functions.py:" in answers[60].error
        assert "in leave" in answers[60].error
        assert "expected int, got 'text'" in answers[100].error
        assert "functions.py:47: trouble::wrong" in answers[100].error
        assert "contextlib" not in answers[100].error
        assert "trouble::missing" in answers[140].error

    with_pool(folder, ask)


def test_an_endless_loop_is_stopped_and_only_its_call_fails(folder: Path) -> None:
    async def ask(pool: Pool) -> None:
        calls = [pure("double", n=1), pure("loop", n=1), *(pure("double", n=n) for n in range(20))]
        answers = await asyncio.gather(*(pool.call(call) for call in calls))
        assert [answer.error for answer in answers if answer.error] == [answers[1].error]
        assert "longer than 0.5 s" in answers[1].error

    with_pool(folder, ask, size=1, time_limit_s=0.5)


def test_a_call_whose_process_was_killed_is_repeated(folder: Path) -> None:
    async def ask(pool: Pool) -> None:
        assert await pool.call(pure("crash_once", marker=str(folder / "marker"))) == PureAnswer({"n": 1})
        first = await pool.call(pure("process", n=0))
        os.kill(first.outputs["n"], 9)
        second = await pool.call(pure("process", n=0))
        assert not second.error
        assert second.outputs["n"] != first.outputs["n"]

    with_pool(folder, ask, size=1)


def test_controllers_stay_in_their_process_and_send_differences(folder: Path) -> None:
    async def ask(pool: Pool) -> None:
        def request(instance: int, n: int, state: dict[str, object]) -> ControllerCall:
            return ControllerCall(instance, "trouble::count", 1, 7, {"n": n}, ["n"], {"n": 5}, state, [])

        processes = {1: set(), 2: set()}
        for turn in range(3):
            for instance, seen in processes.items():
                answer = await pool.call(request(instance, 5, {"calls": turn}))
                assert isinstance(answer, ControllerAnswer)
                assert answer.outputs == {}
                assert answer.state["calls"] == turn + 1
                seen.add(answer.state["process"])
        assert all(len(seen) == 1 for seen in processes.values())
        assert processes[1] != processes[2]
        assert await pool.call(request(1, -1, {})) == ControllerAnswer(error="n is negative")

    with_pool(folder, ask)


def test_module_code_reads_files_and_unusable_answers_are_errors(folder: Path) -> None:
    async def ask(pool: Pool) -> None:
        ref = BlobFolder(folder / "blobs").put_bytes(b"what is in it", "a.txt")
        content = {"blob": ref.blob, "size": ref.size, "name": ref.name}
        assert await pool.call(pure("read", content=content)) == PureAnswer({"line": "what is in it"})
        answer = await pool.call(pure("read", content={**content, "blob": "0" * 64}))
        assert "There is no blob" in answer.error
        answer = await pool.call(CommandCall("trouble::environment", {"n": 3}))
        assert isinstance(answer, CommandAnswer)
        assert "cannot be used" in answer.error
        huge = await pool.call(pure("read", content={**content, "name": "x" * (65 * 1024 * 1024)}))
        assert "at most" in huge.error

    with_pool(folder, ask, size=1)


def test_a_pool_that_cannot_start_says_why(folder: Path) -> None:
    (folder / "modules" / "killer").mkdir()
    (folder / "modules" / "killer" / "functions.py").write_text("import os\nos.write(2, b'last words')\nos._exit(1)")

    async def start() -> None:
        pool = Pool(1, folder / "blobs", str(folder / "modules"))
        try:
            with pytest.raises(Exception, match=r"does not come up.*last words"):
                await pool.start()
        finally:
            await pool.stop()

    asyncio.run(start())
