"""The engine walked through the scenarios of its design."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from tests.unit.rig import Rig

from copernicus.errors import Refused, UnknownPath, UsageError, WrongType
from copernicus.model import edits as e


def scatter() -> Rig:
    rig = Rig()
    rig.edit(e.MakeInstance("t::works", "first"), e.MakeInstance("t::works", "second"))
    rig.edit(e.Connect("first:out.z", "second:in.x"), e.SetText("first:in.x", "[1, 2]"), e.Activate())
    rig.perform()
    return rig


def test_pure_functions_follow_through_a_network() -> None:
    rig = Rig()
    rig.edit(e.MakeInstance("t::addmul", "am"), e.MakeInstance("t::add", "more"), e.Connect("am:out.q", "more:in.a"))
    rig.edit(e.SetText("more:in.b", "6"), e.SetText("am:in.a", "3"), e.SetText("am:in.b", "4"), e.SetText("am:in.c", "5"))
    rig.perform()
    assert rig.get("am:out.q") is None, "instances start held"
    rig.edit(e.Activate())
    rig.perform()
    assert (rig.get("am:out.q"), rig.get("more:out.c")) == (35.0, 41.0)
    rig.set("am:in.a", 0)
    rig.perform()
    assert (rig.get("am:out.q"), rig.get("more:out.c")) == (20.0, 26.0)


def test_a_scatter_makes_one_job_for_each_index_and_grows() -> None:
    rig = scatter()
    assert rig.queued() == ["first:work_0", "first:work_1"]
    assert rig.get("first:out.z") == [None, None], "outputs have their length from the start"
    rig.finish("first:work_0")
    assert rig.queued() == ["first:work_1", "second:work_0"]
    assert rig.edit(e.SetText("first:in.x[+]", "3")) == ["first:in.x[2]"]
    rig.finish_all()
    assert rig.get("second:out.z") == [100, 200, 300]
    assert [job["runs"] for job in rig.jobs.values()] == [1] * 6, "nothing was done twice"


def test_replacing_an_element_redoes_that_index_only() -> None:
    rig = scatter()
    rig.finish_all()
    rig.set("first:in.x[0]", 7)
    assert rig.is_stale("second:out.z[0]")
    assert not rig.is_stale("second:out.z[1]")
    rig.perform()
    assert rig.queued() == ["first:work_0"]
    rig.finish_all()
    assert rig.get("second:out.z") == [700, 200]
    assert not rig.is_stale("second:out.z")
    assert len(rig.jobs) == 6
    rig.set("first:in.x[0]", 1)
    rig.perform()
    assert rig.queued() == [], "the earlier key returns with its result"
    assert rig.get("second:out.z") == [100, 200]


def test_a_job_whose_input_is_being_remade_is_blocked_and_freed_again() -> None:
    rig = scatter()
    rig.finish("first:work_0")
    assert "second:work_0" in rig.queued()
    rig.set("first:in.x[0]", 7)
    rig.perform()
    assert "second:work_0" not in rig.queued()
    job = next(job for job in rig.jobs.values() if job["path"] == "second:work_0")
    assert (job["state"], job["why"]) == ("blocked", "an input is being made anew by first:work_0")
    rig.set("first:in.x[0]", 1)
    rig.perform()
    assert "second:work_0" in rig.queued()


def test_an_index_without_its_element_waits_and_one_element_serves_all() -> None:
    rig = Rig()
    rig.edit(e.MakeInstance("t::works", "w"), e.SetText("w:in.x", "[1, 2, 3]"), e.SetText("w:in.y", "[5]"), e.Activate())
    rig.perform()
    assert [job["argv"] for job in rig.jobs.values()] == [("1", "5"), ("2", "5"), ("3", "5")]
    rig.set("w:in.y[1]", 6)
    rig.perform()
    states = {job["path"]: job["state"] for job in rig.jobs.values() if job["state"] != "cancelled"}
    assert len(states) == 3, "index 2 has no element now, and keeps its job"
    rig.edit(e.SetText("w:in.y[+]", "7"))
    rig.finish_all()
    assert rig.get("w:out.z") == [15, 26, 37]


def test_shrinking_retires_and_growing_finds_again() -> None:
    rig = scatter()
    rig.finish("first:work_1")
    rig.edit(e.Unset("first:in.x[1]"))
    rig.perform()
    assert rig.get("first:out.z") == [None]
    assert rig.queued() == ["first:work_0"]
    rig.edit(e.SetText("first:in.x[+]", "2"))
    rig.perform()
    assert rig.get("first:out.z") == [None, 20]
    rig.finish_all()
    assert rig.get("second:out.z") == [100, 200]


def test_a_failing_index_stops_nobody_else_and_a_new_input_needs_no_clearing() -> None:
    rig = scatter()
    rig.finish("first:work_0", error="no such atom")
    rig.finish_all()
    assert rig.get("second:out.z") == [None, 200]
    rig.set("first:in.x[0]", 3)
    rig.finish_all()
    assert rig.get("second:out.z") == [300, 200]


def test_clear_error_tries_the_same_job_again() -> None:
    rig = scatter()
    rig.finish("first:work_0", error="disk of the worker is full")
    assert rig.edit(e.ClearError("first")) == [""]
    rig.finish_all()
    assert rig.get("first:out.z") == [10, 20]
    assert rig.edit(e.ClearError()) == ["nothing was in error"]


def test_force_rerun_makes_it_anew_and_keeps_the_old_output_meanwhile() -> None:
    rig = scatter()
    rig.finish_all()
    rig.edit(e.ForceRerun("first:work_1"))
    rig.perform()
    assert rig.queued() == ["first:work_1"]
    assert rig.get("first:out.z") == [10, 20]
    assert rig.is_stale("first:out.z[1]")
    rig.finish_all()
    assert not rig.is_stale("second:out.z")
    assert [job["runs"] for job in rig.jobs.values() if job["path"].startswith("second")] == [1, 1]


def test_deactivate_blocks_and_results_move_on_at_activation() -> None:
    rig = scatter()
    key = next(key for key, job in rig.jobs.items() if job["path"] == "first:work_0")
    rig.edit(e.Deactivate())
    rig.perform()
    assert rig.queued() == []
    rig.jobs[key]["state"] = "queued"
    rig.finish("first:work_0")
    assert rig.get("first:out.z") == [None, None], "filed, not moved on"
    rig.edit(e.Activate())
    rig.perform()
    assert rig.get("first:out.z") == [10, None]
    assert rig.queued() == ["first:work_1", "second:work_0"]


def test_a_controller_collects_its_children() -> None:
    rig = Rig()
    rig.edit(e.MakeInstance("t::steer", "s"), e.SetText("s:in.n", "2"), e.SetText("s:in.x", "1"), e.Activate())
    rig.perform()
    assert rig.queued() == ["s:job_0:one", "s:job_1:one"]
    rig.finish("s:job_0:one")
    rig.finish("s:job_0:two")
    assert rig.get("s:out.results") == [101]
    rig.set("s:in.n", 1)
    rig.perform()
    assert rig.queued() == [], "the surplus child is held"
    rig.set("s:in.n", 2)
    rig.finish_all()
    assert sorted(rig.get("s:out.results")) == [101, 201]
    assert rig.network.instances[1].note == "2 results"


def test_a_user_may_not_write_what_has_another_writer() -> None:
    rig = scatter()
    for path, owner in (
        ("second:in.x", "first:out.z"),
        ("second:in.x[0]", "first:out.z"),
        ("first:work_0:in.x", "index of first"),
    ):
        with pytest.raises(Refused, match=owner):
            rig.set(path, "5")
    with pytest.raises(Refused, match="circle"):
        rig.edit(e.Connect("second:out.z", "first:in.y"))
    with pytest.raises(Refused, match="an output"):
        rig.set("first:out.z[0]", 1)


ABOUT_INSTANCES: list[Callable[[str], e.Edit]] = [
    e.RemoveInstance, e.Activate, e.Deactivate, e.ClearError, e.ForceRerun, lambda path: e.RenameInstance(path, "other"),
]  # fmt: skip


def test_refusals_change_nothing_and_name_the_part() -> None:
    rig = scatter()
    before, effects = len(rig.log), len(rig.todo)
    cases: list[tuple[e.Edit, type[Exception], str]] = [
        (e.SetText("frist:in.x", "1"), UnknownPath, "There are: first, second"),
        (e.SetText("first:in.q", "1"), UnknownPath, "It has: x, y"),
        (e.SetText("first:in.x", "many"), WrongType, "int\\[\\] written as JSON"),
        (e.SetText("first:in.x[0]", "99999999999999999999"), WrongType, "64 bits"),
        (e.MakeInstance("t::nothing", "a"), UnknownPath, "add, mul"),
        (e.MakeInstance("t::add", "first"), Refused, "already"),
        (e.Connect("first:out.z", "second:in.y[0]"), WrongType, "does not fit"),
        (e.SetText("first", "1"), UnknownPath, "does not name a value"),
        (e.SetText("first:in.x[", "1"), UsageError, "unexpected"),
        *((about("first:in.x"), UsageError, "is a place") for about in ABOUT_INSTANCES),
    ]
    for edit, error, text in cases:
        with pytest.raises(error) as caught:
            rig.edit(e.SetText("first:in.x[+]", "5"), edit)
        assert re.search(text, str(caught.value)), str(caught.value)
    assert (len(rig.log), len(rig.todo)) == (before, effects)
    assert rig.get("first:in.x") == [1, 2]


def test_disconnecting_keeps_the_value_and_redoes_nothing() -> None:
    rig = scatter()
    rig.finish_all()
    rig.edit(e.Disconnect("second:in.x"))
    rig.perform()
    assert (rig.get("second:in.x"), rig.queued()) == ([10, 20], [])
    rig.set("second:in.x[0]", 11)
    rig.perform()
    assert rig.queued() == ["second:work_0"]


def test_removing_an_instance_leaves_values_to_its_readers() -> None:
    rig = scatter()
    rig.finish_all()
    rig.edit(e.RemoveInstance("first"))
    rig.perform()
    assert rig.get("second:in.x") == [10, 20]
    assert rig.queued() == []
    with pytest.raises(UnknownPath):
        rig.get("first:out.z")


def test_what_the_log_holds_is_the_project() -> None:
    rig = scatter()
    rig.finish("first:work_0")
    waiting = rig.queued()
    rig.restart()
    rig.perform()
    assert rig.queued() == waiting
    rig.finish_all()
    assert rig.get("second:out.z") == [100, 200]
    assert [job["runs"] for job in rig.jobs.values()] == [1] * 4
