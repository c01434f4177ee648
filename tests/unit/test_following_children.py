"""Provisional outputs and controllers: who is called for them, how often, and what the log keeps of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.unit.comparison import dump
from tests.unit.rig import Rig

from copernicus.dataflow import engine, facts as f
from copernicus.dataflow.calls import ChildStart, ControllerAnswer, ControllerCall
from copernicus.dataflow.network import Network
from copernicus.model import edits as e
from copernicus.plugin.functions import Call, File, Job, Module, file
from copernicus.testing import check_controller
from copernicus.testing.authors import FakeInstance, fake_file

kit = Module("followkit")


def followed(call: ControllerCall) -> ControllerAnswer:
    """Starts two children and follows the first of them until it has been called five times."""
    calls = call.state.get("calls", 0) + 1
    starts = [ChildStart(name, "t::two", {"x": 1}) for name in ("one", "two")] if calls == 1 else []
    return ControllerAnswer(state={"calls": calls}, starts=starts, follows={"one": calls < 5})


def steered() -> tuple[Rig, dict[str, str]]:
    """A rig with a controller that follows its first child, and the keys of the jobs of both by instance."""
    rig = Rig()
    rig.controllers["t::steer"] = followed
    rig.edit(e.ImportModule("t"), e.MakeInstance("t::steer", "s"), e.SetText("s:in.n", "1"), e.SetText("s:in.x", "1"))
    rig.edit(e.Activate("s"))
    rig.perform()
    return rig, {job["path"]: key for key, job in rig.jobs.items()}


def test_a_controller_is_called_once_for_each_checkpoint_of_what_it_follows() -> None:
    rig, keys = steered()
    assert len(rig.calls) == 2, "once to make the children, once since they show something new"
    assert rig.step(engine.CheckpointTaken(keys["s:two:one"])).data is None, "nobody follows that one: nothing has happened"
    rig.perform()
    assert len(rig.calls) == 2
    for count in (3, 4):
        record = f.decode_record(rig.step(engine.CheckpointTaken(keys["s:one:one"])).data or b"")
        assert [type(fact) for fact in record.facts] == [f.Glimpsed]
        rig.perform()
        assert len(rig.calls) == count
        (seen,) = [view for view in rig.calls[-1].children if view.was_glimpsed]
        assert (seen.name, seen.is_followed, seen.has_ended) == ("one", True, False)
    rig.step(engine.CheckpointTaken(keys["s:one:one"]))
    rig.perform()  # the fifth call ends the following
    assert rig.step(engine.CheckpointTaken(keys["s:one:one"])).data is None
    assert rig.step(engine.CheckpointTaken("no such key")).data is None


def test_the_log_gives_the_same_network_and_a_call_that_was_cut_short_is_made_again() -> None:
    rig, keys = steered()
    rig.step(engine.CheckpointTaken(keys["s:one:one"]))
    again = Network()
    for data in rig.log:
        engine.fold(again, data)
    assert dump(again) == dump(rig.network)
    rig.restart()  # before the call's answer came
    rig.perform()
    assert [view.name for view in rig.calls[-1].children if view.was_glimpsed] == ["one"]
    count = len(rig.calls)
    rig.restart()
    rig.perform()
    assert len(rig.calls) == count, "what was answered is not asked again"


def test_checkpoints_while_a_call_is_under_way_come_together_in_the_next_one() -> None:
    rig, keys = steered()
    rig.step(engine.CheckpointTaken(keys["s:one:one"]))
    rig.step(engine.CheckpointTaken(keys["s:one:one"]))
    rig.step(engine.CheckpointTaken(keys["s:one:one"]))
    rig.perform()
    assert len(rig.calls) == 4


@dataclass
class Simulated:
    xtc: File | None = None


@dataclass
class Watched:
    so_far: list[File] = field(default_factory=list)
    looks: int = 0
    xtc: File | None = None


@kit.command
def simulate(steps: int) -> Job[Simulated]:
    return Job("x/y", [steps], Simulated(file("traj.xtc", partial=True)))


@kit.controller
def watch(call: Call[Watched, None], *, steps: int) -> None:
    """Keeps what its simulation has so far."""
    child = call.start("sim", simulate, steps=steps)
    child.follow()
    for one in call.glimpsed(simulate):
        call.out.looks += 1
        if one.partial.xtc is not None:
            call.out.so_far = [one.partial.xtc]
    for one in call.ended(simulate):
        call.out.xtc = one.out.xtc


def test_an_author_sees_what_a_followed_child_has_so_far() -> None:
    instance = FakeInstance(watch, modules=[kit], steps=5)
    assert instance.call().follows == {"sim": True}
    instance.glimpse("sim", xtc=fake_file("traj.xtc", "1"))
    assert instance.call().follows == {}
    assert [one.name for one in instance.out.so_far] == ["traj.xtc"]
    assert instance.out.xtc is None
    instance.glimpse("sim", xtc=fake_file("traj.xtc", "12"))
    instance.call()
    assert [one.size for one in instance.out.so_far] == [2]
    instance.set(steps=6)
    instance.call()
    assert instance.out.looks == 2, "nothing newer, nothing to look at"
    instance.end("sim", xtc=fake_file("traj.xtc", "123"))
    instance.call()
    assert instance.out.xtc is not None
    assert [one.size for one in instance.out.so_far] == [2]


def test_a_controller_that_follows_keeps_its_contract() -> None:
    check_controller(
        lambda: FakeInstance(watch, modules=[kit], steps=5),
        lambda instance, name: instance.end(name, xtc=fake_file("traj.xtc", name)),
    )
