"""Controllers: what they see, and the differences that go back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from copernicus.dataflow.calls import ChildHold, ControllerAnswer
from copernicus.errors import CopernicusError, ModuleError
from copernicus.plugin.functions import Call, File, Job, Module, file
from copernicus.testing.authors import FakeInstance, fake_file

kit = Module("kit")


@dataclass
class Simulated:
    conf: File
    xtc: File | None = None
    parts: list[File] = field(default_factory=list)


@dataclass
class Model:
    timescales: list[float]
    seeds: list[File]


@kit.command
def simulate(conf: File, steps: int, priority: int = 0, others: Sequence[File] = ()) -> Job[Simulated]:
    return Job("x/y", [conf, steps], Simulated(file("c")))


@kit.command
def other_engine(conf: File, steps: float, priority: int = 0, others: Sequence[File] = (), extra: int = 1) -> Job[Simulated]:
    return Job("x/z", [conf, steps], Simulated(file("c")))


@kit.command
def build(trajectories: Sequence[File], top: File | None = None) -> Job[Model]:
    return Job("x/b", [*trajectories], Model([], []))


@dataclass
class Out:
    trajectories: list[File] = field(default_factory=list)
    timescales: list[float] | None = None
    generation: int = 0


@dataclass
class State:
    next_chain: int = 0
    total: float = 0.0


@kit.controller
def adaptive(
    call: Call[Out, State], *, confs: Sequence[File], num_sim: int, goal: int = 2, engine: str = "kit::simulate"
) -> None:
    """Simulates, models, and starts again."""
    out, state = call.out, call.state
    run = call.function(engine, like=simulate)
    if num_sim < 0:
        call.fail("num_sim is negative")

    def new_chains(starts: Sequence[File]) -> None:
        for conf in starts:
            call.start(f"sim_{state.next_chain}", run, conf, steps=10, priority=out.generation)
            state.next_chain += 1

    if state.next_chain == 0:
        new_chains([confs[i % len(confs)] for i in range(num_sim)])
    for sim in call.ended(run):
        if sim.runs == 1 and sim.out.xtc is not None:
            out.trajectories.append(sim.out.xtc)
            state.total += 1
    for sim in call.failed(run):
        sim.hold(f"failed: {sim.error}")
        call.warn(f"{sim.name} failed")
    for model in call.ended(build):
        out.timescales = model.out.timescales
        if out.generation < goal:
            new_chains(model.out.seeds)
    unfinished = [sim for sim in call.children(run).values() if not (sim.is_done or sim.error)]
    if not unfinished and out.generation < goal:
        out.generation += 1
        call.start(f"build_{out.generation}", build, out.trajectories)
    if "num_sim" in call.changed:
        for place, sim in enumerate(unfinished):
            sim.resume() if place < num_sim else sim.hold(f"num_sim is {num_sim}")
    call.note(f"{len(unfinished)} going")


def start(num_sim: int = 2, engine: str = "kit::simulate") -> FakeInstance[Out]:
    confs = [fake_file("a.gro", "a"), fake_file("b.gro", "b")]
    return FakeInstance(adaptive, modules=[kit], confs=confs, num_sim=num_sim, engine=engine)


def test_a_controller_reacts_to_its_children() -> None:
    instance = start()
    instance.call()
    assert list(instance.children) == ["sim_0", "sim_1"]
    assert instance.children["sim_1"].inputs["conf"]["name"] == "b.gro"
    instance.end("sim_0", conf=fake_file("c"), xtc=fake_file("x0"))
    answer = instance.call()
    assert set(answer.outputs) == {"trajectories"}
    assert answer.state == {"total": 1.0}
    instance.fail("sim_1", "exploded")
    answer = instance.call()
    assert answer.holds == [ChildHold("sim_1", "failed: exploded")]
    assert instance.warning == "sim_1 failed"
    assert [start.name for start in answer.starts] == ["build_1"]
    instance.end("build_1", timescales=[3.0], seeds=[fake_file("s")])
    instance.call()
    assert instance.out.timescales == [3.0]
    assert instance.children["sim_2"].inputs == {
        "conf": {"blob": fake_file("s").blob, "size": 0, "name": "s"},
        "steps": 10,
        "priority": 1,
    }
    assert instance.note == "1 going"


def test_a_call_with_nothing_changed_answers_nothing() -> None:
    instance = start()
    instance.call()
    assert instance.call() == ControllerAnswer(note="2 going")


def test_the_same_call_has_the_same_answer() -> None:
    one, two = start(), start()
    assert one.call() == two.call()


def test_children_are_held_and_resumed() -> None:
    instance = start(num_sim=3)
    instance.call()
    instance.set(num_sim=1)
    assert instance.call().holds == [ChildHold("sim_1", "num_sim is 1"), ChildHold("sim_2", "num_sim is 1")]
    instance.set(num_sim=2)
    assert instance.call().resumes == ["sim_1"]
    assert instance.children["sim_2"].held == "num_sim is 2"


def test_a_call_that_fails_says_only_why() -> None:
    instance = start()
    instance.set(num_sim=-1)
    with pytest.raises(CopernicusError, match="num_sim is negative"):
        instance.call()
    assert instance.children == {}


def test_a_function_by_name_must_fit() -> None:
    instance = start(engine="kit:other_engine")
    instance.call()
    assert {child.function for child in instance.children.values()} == {"kit::other_engine"}
    with pytest.raises(ModuleError, match="There is no function kit::missing"):
        start(engine="kit::missing").call()
    with pytest.raises(ModuleError, match="kit::build cannot stand for kit::simulate: it has no input conf"):
        start(engine="kit::build").call()


def test_wires_connect_and_later_words_count() -> None:
    module = Module("wired")

    @module.controller
    def chain(call: Call[Out, None], *, confs: Sequence[File]) -> None:
        first = call.start("first", simulate, call.input("confs")[0], steps=1)
        second = call.start("second", simulate, first.wire.conf, 2, others=[confs[0], first.wire.conf])
        second.set(steps=3, others=[confs[0]])
        third = call.start("third", simulate, confs[0], 4)
        third.set(conf=second.wire.conf)
        third.hold("wait")
        third.resume()
        call.start("fourth", simulate, confs[0], 5).remove()

    instance = FakeInstance(chain, confs=[fake_file("a")])
    answer = instance.call()
    a = {"blob": fake_file("a").blob, "size": 0, "name": "a"}
    assert {one.name: (one.inputs, one.connections) for one in answer.starts} == {
        "first": ({"steps": 1}, {"conf": "self:in.confs[0]"}),
        "second": ({"steps": 3, "others": [a]}, {"conf": "first:out.conf"}),
        "third": ({"steps": 4}, {"conf": "second:out.conf"}),
    }
    assert (answer.holds, answer.resumes, answer.removes) == ([], [], [])


def test_what_does_not_fit_a_child_is_refused() -> None:
    module = Module("wrong")

    @module.controller
    def chain(call: Call[Out, None], *, case: str) -> None:
        child = call.start("child", simulate, fake_file("a"), 1)
        match case:
            case "function":
                call.start("child", build, [])
            case "input":
                child.set(stepss=1)
            case "type":
                child.set(steps="many")
            case "wire":
                child.set(steps=child.wire.conf)
            case "missing":
                call.start("new", simulate, fake_file("a"))  # type: ignore[call-arg]

    messages = {
        "function": "The child child is a kit::simulate",
        "input": "has no input 'stepss'",
        "type": "expected int, got 'many'",
        "wire": "does not fit the input steps",
        "missing": "lacks the input steps",
    }
    for case, message in messages.items():
        with pytest.raises(ModuleError, match=message):
            FakeInstance(chain, case=case).call()


def test_what_a_child_has_not_brought_yet_is_empty() -> None:
    module = Module("empty")
    seen = []

    @module.controller
    def look(call: Call[Out, None], *, n: int) -> None:
        seen.append(call.start("model", build, []).out)

    FakeInstance(look, n=1).call()
    assert seen == [Model([], [])]
