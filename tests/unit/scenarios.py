"""Scenarios in which planted bugs show."""

from __future__ import annotations

from tests.unit.drive import Drive
from tests.unit.foresight import foresee

from copernicus.dataflow.calls import ChildStart, ControllerAnswer
from copernicus.dataflow.engine import EditsRequested
from copernicus.model import edits as e


def superseded(drive: Drive) -> None:
    """A job is superseded while it runs, and finishes before it hears of it."""
    drive.make("work", "w", x=1)
    drive.answer_all()
    (key,) = drive.jobs
    drive.lease(key)
    drive.set("w:in.x", 2)
    drive.answer_all()
    drive.end_job(key)


def back_and_forth(drive: Drive) -> None:
    drive.make("work", "w", x=1)
    drive.finish()
    drive.set("w:in.x", 2)
    drive.finish()
    drive.set("w:in.x", 1)
    drive.answer_all()


def through_a_border(drive: Drive) -> None:
    drive.make("twos", "t", x=[1, 2])
    drive.finish()
    drive.set("t:in.x[1]", 5)
    drive.answer_all()


def grows_longer(drive: Drive) -> None:
    for name in "vw":
        drive.make("run", name, x=1, n=1)
    drive.finish()
    for n in (4, 2, 3):
        drive.set("w:in.n", n)
        drive.answer_all()


def is_forced_and_grows_longer(drive: Drive) -> None:
    drive.make("run", "w", x=1, n=1)
    drive.finish()
    drive.edit(e.ForceRerun("w"))
    drive.finish()
    drive.set("w:in.n", 4)
    drive.answer_all()


def half_a_transaction(drive: Drive) -> None:
    drive.make("works", "w", x=[1, 2])
    drive.make("two", "t")
    drive.edit(e.Connect("w:out.z[0]", "t:in.x"))
    drive.edit(e.SetValue("w:in.x[+]", 3), e.Disconnect("t:in.x"), e.SetValue("t:in.x", 1), e.SetValue("t:in.q", 1))


def a_circle(drive: Drive) -> None:
    drive.make("work", "one", x=1)
    drive.make("two", "two")
    drive.edit(e.Connect("one:out.z", "two:in.x"))
    drive.edit(e.Connect("two:out.z", "one:in.y"))


def a_late_description(drive: Drive) -> None:
    drive.make("work", "w", x=1)
    drive.set("w:in.x", 2)
    drive.answer(0)


def a_child_ends(drive: Drive) -> None:
    drive.make("steer", "s", n=1, x=1)
    drive.finish()


def a_child_ends_twice(drive: Drive) -> None:
    drive.make("steer", "s", n=1, x=1)
    drive.finish()
    drive.set("s:in.x", 2)
    drive.finish()


def a_source_is_remade(drive: Drive) -> None:
    drive.make("work", "w", x=1)
    drive.make("work", "after")
    drive.edit(e.Connect("w:out.z", "after:in.x"))
    drive.answer_all()
    drive.run("w")
    drive.set("w:in.x", 2)
    drive.set("w:in.x", 1)
    drive.answer_all()


def crashes(drive: Drive) -> None:
    drive.make("steer", "s", n=2, x=1)
    drive.finish()
    drive.set("s:in.n", 1)
    drive.answer_all()
    drive.set("s:in.n", 2)
    drive.crash()
    drive.finish()


def two_share_a_job(drive: Drive) -> None:
    drive.make("sames", "s", x=[1, 1])
    drive.finish()


def a_bad_answer(drive: Drive) -> None:
    drive.make("steer", "s", n=1, x=1)
    drive.answer_all()
    drive.set("s:in.n", 2)
    drive.answer(0, ControllerAnswer(removes=["job_0"], starts=[ChildStart("other", "m::none")]))


def shrinks_and_grows(drive: Drive) -> None:
    drive.make("twos", "t", x=[1, 2, 3])
    drive.answer_all()
    drive.edit(e.Unset("t:in.x[2]"))
    drive.set("t:in.x[+]", 3)
    drive.answer_all()


def is_held_while_it_ends(drive: Drive) -> None:
    drive.make("steer", "s", n=1, x=1)
    drive.answer_all()
    (key,) = drive.jobs
    drive.lease(key)
    drive.edit(e.Deactivate("s"))
    drive.end_job(key)
    drive.edit(e.Activate("s"))


def undone(drive: Drive) -> None:
    drive.make("work", "w", x=1)
    drive.finish()
    drive.set("w:in.x", 2)
    drive.finish()
    assert drive.deeds.undo(drive.last())
    drive.answer_all()
    assert drive.get("w:out.z") == 10
    assert len(drive.jobs) == 2


def removed_and_back(drive: Drive) -> None:
    drive.make("two", "t", x=1)
    drive.finish()
    drive.edit(e.Deactivate("t"))
    drive.edit(e.RemoveInstance("t"))
    assert drive.deeds.undo(drive.last())


def written_since(drive: Drive) -> None:
    drive.make("works", "w", x=[1])
    drive.set("w:in.x[+]", 2)
    seq = drive.last()
    drive.set("w:in.x[+]", 3)
    assert not drive.deeds.undo(seq)


def foreseen(drive: Drive) -> None:
    drive.make("work", "w", x=1)
    for name in ("a", "b", "c"):
        drive.make("work", name)
        drive.edit(e.Connect("w:out.z", f"{name}:in.x"))
    drive.finish()
    foresee(drive, EditsRequested([e.Disconnect("a:in.x"), e.SetValue("w:in.x", 2)], "ada"))


def is_missing_for_a_while(drive: Drive) -> None:
    drive.make("even", "pure", x=2)
    drive.make("nest", "n", n=1, x=1)
    drive.restart(is_grown=False, is_whole=False)
    drive.set("pure:in.x", 4)
    drive.restart(is_grown=True, is_whole=True)
    drive.finish()
    assert drive.get("pure:out.z") == 4
