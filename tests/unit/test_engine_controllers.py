"""Where the engine once went wrong: controllers and their children. Every step is compared with the reference."""

from __future__ import annotations

import pytest
from tests.unit.drive import Drive

from copernicus.dataflow import engine, transaction
from copernicus.dataflow.calls import ChildStart, ControllerAnswer
from copernicus.dataflow.controlling import CASCADE_LIMIT
from copernicus.model import edits as e


@pytest.fixture
def drive() -> Drive:
    return Drive()


def test_a_child_that_ends_while_it_is_held_is_told_of_at_activation(drive: Drive) -> None:
    drive.make("steer", "s", n=3, x=1)
    drive.answer_all()
    for path in ("s:job_0", "s:job_1:one", "s:job_2"):
        drive.lease(next(key for key, job in drive.jobs.items() if job["path"] == path))
    drive.edit(e.Deactivate("s"))
    for path, error in (("s:job_0", ""), ("s:job_1:one", "it broke"), ("s:job_2", "")):
        drive.end_job(next(key for key, job in drive.jobs.items() if job["path"] == path), error)
    drive.crash()
    drive.edit(e.Activate("s"))
    (call,) = [one.call for one in drive.todo if isinstance(one, transaction.StartCall)]
    assert [(child.has_ended, child.has_failed) for child in call.children] == [(True, False), (False, True), (True, False)]


def test_a_child_with_equal_inputs_has_not_ended_again(drive: Drive) -> None:
    drive.make("steer", "s", n=1, x=1)
    drive.finish()
    drive.set("s:in.n", 1)
    drive.edit(e.SetValue("s:in.x", 2), e.SetValue("s:in.x", 1))
    drive.answer_all()
    assert drive.network.instances[drive.network.instances[1].children["job_0"]].runs == 1


def test_the_answer_to_a_call_before_a_rerun_comes_too_late(drive: Drive) -> None:
    drive.make("steer", "s", n=1, x=1)
    drive.finish()
    drive.set("s:in.x", 2)
    (call,) = drive.todo
    assert isinstance(call, transaction.StartCall)
    drive.edit(e.ForceRerun("s"))
    assert len(drive.todo) == 2, "it is called as new"
    drive.answer(0, ControllerAnswer(state={"calls": 77}))
    assert drive.get("s:state.calls") is None
    drive.finish()
    assert drive.get("s:out.results") == [20]


def test_a_controller_that_does_not_settle_is_stopped_and_told_everything_when_cleared(drive: Drive) -> None:
    drive.make("steer", "s", n=1, x=1)

    def go_round(number: int) -> None:
        """The controller sets its child, whose end it is told of, whereupon it sets its child."""
        (call,) = drive.todo
        assert isinstance(call, transaction.StartCall)
        drive.answer(0, ControllerAnswer(starts=[ChildStart("even", "m::even", {"x": 2 * number})]))
        while drive.todo and not isinstance(drive.todo[0], transaction.StartCall):
            drive.answer(0)

    for number in range(5):
        go_round(number)
    drive.network.depths = dict.fromkeys(drive.network.depths, CASCADE_LIMIT - 2)
    for number in range(5, 8):
        go_round(number)
    assert "does not settle" in drive.network.instances[1].error
    assert drive.todo == []
    drive.edit(e.ClearError("s"))
    (call,) = drive.todo
    assert isinstance(call, transaction.StartCall)
    assert call.call.children[0].has_ended, "nothing was forgotten"


def test_many_results_at_once_are_no_cascade(drive: Drive) -> None:
    drive.make("add", "a", a=0.0)
    drive.make("steer", "s", n=0, x=1)
    drive.answer_all()
    for number in range(5):
        drive.set("a:in.a", float(number))
        drive.answer_all()
    assert max(one.depth for one in drive.network.instances.values()) <= 1
    assert all(depth <= 1 for depth in drive.network.depths.values())


def test_a_controller_connects_into_arrays(drive: Drive) -> None:
    drive.make("steer", "s", n=0, x=4)
    into = {"x[0]": "self:in.x", "x[+]": "one:out.z"}
    drive.answer(0, ControllerAnswer(starts=[ChildStart("one", "m::work", {"x": 1}), ChildStart("sum", "m::total", {}, into)]))
    assert not drive.network.instances[1].error
    assert drive.get("s:sum:in.x") == [4, None]
    drive.answer(0)
    (key,) = drive.jobs
    drive.lease(key)
    drive.end_job(key)
    assert drive.get("s:sum:in.x") == [4, 10]


@pytest.mark.parametrize("into", [{"x[1000001]": "self:in.x"}, {"x[0]": "self:out.results[+]"}, {"x[0]": "nobody:out.z"}])
def test_what_cannot_be_connected_is_the_controllers_error(drive: Drive, into: dict[str, str]) -> None:
    drive.make("steer", "s", n=0, x=4)
    (call,) = drive.todo
    assert isinstance(call, transaction.StartCall)
    answer = ControllerAnswer(starts=[ChildStart("sum", "m::total", {}, into)])
    engine.step(drive.network, drive.catalog, engine.CallEnded(1, call.call.seen, answer), 0.0)
    assert "cannot be applied" in drive.network.instances[1].error
    assert drive.network.instances[1].children == {}


def test_an_answer_that_is_not_applied_lets_nobody_be_asked_again(drive: Drive) -> None:
    drive.make("steer", "s", n=1, x=1)
    drive.finish()
    drive.make("work", "reader")
    drive.edit(e.Connect("s:job_0:out.z", "reader:in.x"))
    drive.answer_all()
    drive.set("s:in.x", 1)
    drive.set("s:in.n", 2)
    drive.answer(0, ControllerAnswer(removes=["job_0"], starts=[ChildStart("other", "m::none")]))
    assert "cannot be applied" in drive.network.instances[1].error
    assert drive.asks() == []
