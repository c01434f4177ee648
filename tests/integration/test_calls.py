"""Calls that carry differences, between a real engine and real processes: whatever is lost on the way, the end is the same."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from copernicus.dataflow import engine, transaction
from copernicus.dataflow.calls import (
    CommandAnswer,
    CommandCall,
    ControllerAnswer,
    ControllerCall,
    Forgotten,
    PureAnswer,
    PureCall,
)
from copernicus.dataflow.edits import find_place
from copernicus.dataflow.network import Network
from copernicus.dataflow.paths import parse_path
from copernicus.dataflow.views import read
from copernicus.model import edits as e
from copernicus.server.projects import pool as pool_module
from copernicus.server.projects.pool import Pool
from copernicus.server.projects.reasons import Reasons

FAMILY = """
from __future__ import annotations
import os
from dataclasses import dataclass, field
from copernicus.plugin.functions import Call, Job, Module, json_of

module = Module("family")

@dataclass
class Worked:
    z: int

@dataclass
class Pid:
    pid: int

@dataclass
class Gathered:
    results: list[int] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)

@dataclass
class Known:
    marks: list[float] = field(default_factory=list)
    calls: int = 0

@module.pure(version=1)
def process(n: int) -> Pid:
    return Pid(os.getpid())

@module.command
def work(x: int) -> Job[Worked]:
    return Job("x/work", [x], Worked(json_of("stdout", int)))

@module.controller
def gather(call: Call[Gathered, Known], *, n: int, x: int = 0, mood: str = "", marks: list[float] = []) -> None:
    call.state.calls += 1
    for child in call.children(work).values():
        if int(child.name[2:]) >= n:
            child.remove()
    for i in range(n):
        call.start(f"w_{i}", work, x + i)
    for child in call.ended(work):
        call.out.results.append(child.out.z)
        call.out.names.append(f"{child.name} {child.runs}")
    call.out.left = [name for name, child in call.children(work).items() if not child.is_done]
    call.state.marks = [mark + 1 for mark in marks]
    if mood == "fail":
        call.fail("it is in a mood")
    if mood == "nonsense":
        call.start("no name!", work, 1)
    if mood.startswith("/") and not os.path.exists(mood):
        open(mood, "w").close()
        os._exit(3)
"""


class Campaign:
    """A project with one controller, its log, and the pool that answers its calls, one after the other."""

    def __init__(self, pool: Pool, catalog: transaction.Catalog, is_whole: bool, marker: Path) -> None:
        self.pool, self.catalog, self.is_whole, self.marker = pool, catalog, is_whole, marker
        self.network, self.log, self.reading = Network(), list[bytes](), 1
        self.jobs: dict[str, tuple[str, int]] = {}
        self.bases: list[bool] = []
        """Of each call that was answered, whether it was a difference."""
        self.forgotten = 0

    async def step(self, event: engine.Event) -> None:
        outcome = engine.step(self.network, self.catalog, event, 0.0)
        if outcome.data is not None:
            self.log.append(outcome.data)
        for effect in outcome.effects:
            await self._perform(effect)

    async def _perform(self, effect: transaction.Effect) -> None:
        match effect:
            case transaction.DescribeJob():
                answer = await self.pool.call(CommandCall(effect.function, effect.inputs))
                assert isinstance(answer, CommandAnswer)
                await self.step(engine.JobDescribed(effect.id, effect.seen, answer.description, answer.error))
            case transaction.WantJob():
                self.jobs[effect.path] = effect.key, int(str(effect.description.argv[0]))
            case transaction.StartCall():
                call = msgspec.structs.replace(effect.call, project="p", reading=str(self.reading))
                said = Forgotten() if self.is_whole and call.base else await self.pool.call(call)
                if isinstance(said, Forgotten):
                    self.forgotten += 1
                    await self.step(engine.CallForgotten(call.instance, call.seen))
                    return
                assert isinstance(said, ControllerAnswer)
                self.bases.append(call.base > 0)
                await self.step(engine.CallEnded(call.instance, call.seen, said))

    async def edit(self, *edits: e.Edit) -> None:
        await self.step(engine.EditsRequested(list(edits), "ada"))

    async def begin(self, n: int) -> None:
        await self.edit(e.MakeInstance("family::gather", "g"), e.SetValue("g:in.n", n), e.Activate("g"))

    async def end(self, *names: str) -> None:
        for name in names:
            key, x = self.jobs[f"g:{name}"]
            await self.step(engine.JobEnded(key, {"z": 10 * x}, core_s=1.0))

    async def set(self, field: str, value: Any) -> None:
        await self.edit(e.SetValue(f"g:in.{field}", value))

    async def kill(self) -> None:
        """The process ends between two calls."""
        answer = await self.pool.call(PureCall("family::process", {"n": len(self.bases)}))
        assert isinstance(answer, PureAnswer)
        os.kill(answer.outputs["pid"], 9)

    async def restart(self) -> None:
        """The server ends, and comes back; the pool is still the same here."""
        self.network, self.reading = Network(), self.reading + 1
        for data in self.log:
            engine.fold(self.network, data)
        await self.step(engine.Resumed())

    def shown(self) -> dict[str, Any]:
        places = ("out.results", "out.names", "out.left", "state.calls", "state.marks")
        return {place: read(self.network, find_place(self.network, parse_path(f"g:{place}"), "")) for place in places}

    @property
    def error(self) -> str:
        return self.network.instances[1].error


async def steady(c: Campaign) -> None:
    await c.begin(4)
    await c.end("w_0", "w_2")
    await c.set("marks", [0.5, -0.0, 2.0])
    await c.edit(e.SetValue("g:in.marks[3]", 4.0), e.SetValue("g:in.marks[1]", 0.0))
    await c.edit(e.Unset("g:in.marks[3]"))
    await c.set("x", 5)
    await c.end("w_3", "w_0", "w_1", "w_2")


async def killed_between_calls(c: Campaign) -> None:
    await c.begin(3)
    await c.end("w_1")
    await c.kill()
    await c.end("w_0")
    await c.end("w_2")


async def killed_during_a_call(c: Campaign) -> None:
    await c.begin(3)
    await c.end("w_1")
    await c.set("mood", str(c.marker))
    await c.end("w_0", "w_2")


async def restarted(c: Campaign) -> None:
    await c.begin(3)
    await c.end("w_1")
    await c.restart()
    await c.end("w_2", "w_0")


async def failed_and_cleared(c: Campaign) -> None:
    await c.begin(3)
    await c.end("w_1")
    await c.set("mood", "fail")
    assert "it is in a mood" in c.error
    await c.end("w_0")
    await c.edit(e.SetValue("g:in.mood", ""), e.ClearError("g"))
    await c.end("w_2")


async def not_applied(c: Campaign) -> None:
    await c.begin(3)
    await c.end("w_1")
    await c.set("mood", "nonsense")
    assert "cannot be applied" in c.error
    await c.end("w_0")
    await c.edit(e.SetValue("g:in.mood", ""), e.ClearError("g"))
    await c.end("w_2")


async def removed_and_made_again(c: Campaign) -> None:
    await c.begin(3)
    await c.end("w_0", "w_1", "w_2")
    await c.set("n", 1)
    await c.set("n", 3)
    await c.end("w_2", "w_1")


async def forced_to_rerun(c: Campaign) -> None:
    await c.begin(2)
    await c.end("w_0", "w_1")
    await c.edit(e.ForceRerun("g"))
    await c.end("w_1", "w_0")


SCENARIOS = [
    # what happens, and how often a process asks for everything
    (steady, 0), (killed_between_calls, 1), (killed_during_a_call, 1), (restarted, 0), (failed_and_cleared, 0),
    (not_applied, 0), (removed_and_made_again, 0), (forced_to_rerun, 0),
]  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CPC_CONF_HOME", str(tmp_path / "home"))
    (tmp_path / "modules" / "family").mkdir(parents=True)
    (tmp_path / "modules" / "family" / "functions.py").write_text(FAMILY)
    return tmp_path


def play(folder: Path, scenario: Callable[[Any], Any], *, is_whole: bool = False, memory_bytes: int = 1 << 20) -> Campaign:
    async def run() -> Campaign:
        pool = Pool(1, folder / "blobs", str(folder / "modules"), memory_bytes=memory_bytes)
        await pool.start()
        try:
            catalog = transaction.Catalog(await pool.catalog())
            campaign = Campaign(pool, catalog, is_whole, folder / f"marker {is_whole}")
            await scenario(campaign)
            assert not campaign.error
            return campaign
        finally:
            await pool.stop()

    return asyncio.run(run())


@pytest.mark.parametrize(("scenario", "forgotten"), SCENARIOS, ids=[one.__name__ for one, _ in SCENARIOS])
def test_differences_lead_to_the_same_end_as_wholes(folder: Path, scenario: Callable[[Any], Any], forgotten: int) -> None:
    told, whole = play(folder, scenario), play(folder, scenario, is_whole=True)
    assert told.shown() == whole.shown()
    assert told.forgotten == forgotten
    assert any(told.bases)
    assert not any(whole.bases)
    assert told.bases[0] is False


def test_a_process_that_made_room_asks_for_everything(folder: Path) -> None:
    told, whole = play(folder, steady, memory_bytes=100), play(folder, steady, is_whole=True)
    assert told.shown() == whole.shown()
    assert not any(told.bases)


def test_instances_of_two_projects_with_one_number_are_two(folder: Path) -> None:
    async def run() -> None:
        pool = Pool(1, folder / "blobs", str(folder / "modules"))
        await pool.start()
        try:
            seen: dict[str, int] = {}
            for turn, project in enumerate(["one", "two", "one", "one", "two"], start=1):
                base = seen.get(project, 0)
                call = ControllerCall(
                    1,
                    "family::gather",
                    turn,
                    1,
                    {} if base else {"n": len(project)},
                    [],
                    {},
                    {},
                    [],
                    base=base,
                    project=project,
                )
                answer = await pool.call(call)
                assert isinstance(answer, ControllerAnswer)
                assert answer.state["calls"] == (["one", "two", "one", "one", "two"][:turn]).count(project)
                seen[project] = turn
            call = msgspec.structs.replace(call, base=4, seen=9)
            assert await pool.call(call) == Forgotten(), "that is what the other one has"
            assert await pool.call(msgspec.structs.replace(call, base=5, reading="later")) == Forgotten()
        finally:
            await pool.stop()

    asyncio.run(run())


def test_a_call_that_takes_long_is_told_of(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(pool_module, "SLOW_CALL_S", 0.0)
    play(folder, slow)
    assert "a call of family::gather took" in caplog.text


async def slow(c: Campaign) -> None:
    assert c.pool.slow_call_s("p", 1) == 0
    await c.begin(1)
    assert c.pool.slow_call_s("p", 1) > 0
    assert c.pool.slow_call_s("q", 1) == 0
    project = SimpleNamespace(
        row=SimpleNamespace(id="p"), network=c.network, slow_call_s=lambda id: c.pool.slow_call_s("p", id)
    )
    past = SimpleNamespace(project=project, network=c.network)
    lines = await Reasons(past, SimpleNamespace(find=lambda *_: None), 0.0).why("g")  # type: ignore[arg-type]
    assert any("its last call took" in line for line in lines)
