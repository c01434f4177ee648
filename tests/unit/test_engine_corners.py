"""Where the engine once went wrong: crashes, transactions, keys. Every step is compared with the reference."""

from __future__ import annotations

import pytest
from tests.unit.comparison import derived
from tests.unit.drive import Drive
from tests.unit.functions import UNLUCKY

from copernicus.dataflow import engine, settling, transaction
from copernicus.dataflow.calls import ChildStart, ControllerAnswer
from copernicus.dataflow.edits import find_instance
from copernicus.dataflow.facts import Wrote, decode_record
from copernicus.model import edits as e


@pytest.fixture
def drive() -> Drive:
    return Drive()


# --- the log ---


def test_what_is_written_later_in_a_transaction_does_not_change_what_the_log_says_before(drive: Drive) -> None:
    drive.make("total", "t")
    assert drive.edit(e.SetValue("t:in.x", []), e.SetValue("t:in.x[1]", 13), e.SetValue("t:in.x[0]", 1))
    drive.crash()
    drive.answer_all()
    assert drive.get("t:out.z") == 14


# --- crashes ---


def test_a_rerun_that_was_asked_for_survives_a_crash(drive: Drive) -> None:
    drive.make("work", "w", x=1)
    drive.finish()
    drive.edit(e.ForceRerun("w"))
    drive.crash()
    drive.answer_all()
    assert drive.job("w")["state"] == "queued"
    assert len(drive.jobs) == 2


def test_a_cleared_error_of_a_description_survives_a_crash(drive: Drive) -> None:
    drive.make("work", "w", x=UNLUCKY)
    drive.answer_all()
    drive.edit(e.ClearError("w"))
    drive.crash()
    assert drive.asks() == ["w"]


def test_an_index_that_retired_is_found_again_after_a_crash(drive: Drive) -> None:
    drive.make("twos", "t", x=[1, 2])
    drive.answer_all()
    drive.edit(e.Unset("t:in.x[1]"))
    assert drive.job("t:two_1:one")["state"] == "cancelled", "what is inside an index retires with it"
    drive.crash()
    drive.set("t:in.x[1]", 2)
    drive.answer_all()
    assert drive.job("t:two_1:one")["state"] == "queued"
    assert len(drive.jobs) == 2, "it is the same job"


def test_a_crash_asks_nothing_anew_that_is_up_to_date(drive: Drive) -> None:
    drive.make("works", "w", x=[1, 2, 3])
    drive.make("works", "after")
    drive.edit(e.Connect("w:out.z", "after:in.x"))
    drive.finish()
    drive.set("w:in.x[+]", 4)
    drive.finish()
    drive.crash()
    assert drive.todo == []


# --- transactions ---


def test_an_answer_that_cannot_be_applied_stops_no_jobs(drive: Drive) -> None:
    drive.make("steer", "s", n=1, x=1)
    drive.answer_all()
    drive.set("s:in.n", 2)
    bad = ControllerAnswer(removes=["job_0"], starts=[ChildStart("other", "m::none")])
    drive.answer(0, bad)
    assert drive.job("s:job_0")["state"] == "queued"
    assert drive.edit(e.ClearError("s"))
    drive.finish()
    assert drive.get("s:out.results") == [10, 201]


def test_a_fault_in_the_middle_of_a_step_leaves_nothing_behind(drive: Drive, monkeypatch: pytest.MonkeyPatch) -> None:
    drive.make("twos", "t", x=[1, 2])
    drive.answer_all()
    before = derived(drive.network)

    def fail(*_: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(settling, "_mark_remade", fail)
        with pytest.raises(ZeroDivisionError):
            engine.step(drive.network, drive.catalog, engine.EditsRequested([e.SetValue("t:in.x", [5])], "ada"), 0.0)
    assert derived(drive.network) == before
    drive.compare_with_log()


def test_module_code_is_sent_what_stood_when_it_was_asked(drive: Drive) -> None:
    drive.make("total", "t", x=[1])
    drive.make("steer", "s", n=1, x=2)
    question, call = drive.todo
    assert isinstance(question, transaction.EvaluatePure)
    assert isinstance(call, transaction.StartCall)
    drive.set("t:in.x[+]", 5)
    drive.set("s:in.n", 2)
    assert question.inputs == {"x": [1]}
    assert call.call.inputs == {"n": 1, "x": 2}
    drive.finish()
    drive.set("t:in.x", [1])
    assert drive.get("t:out.z") == 1


def test_facts_say_what_was_written_not_what_became_of_it(drive: Drive) -> None:
    drive.make("total", "t")
    drive.edit(e.SetValue("t:in.x", [2]), e.SetValue("t:in.x", [3, 2]))
    written = [one.value for one in decode_record(drive.log[-1]).facts if isinstance(one, Wrote) and one.path == ("x",)]
    assert written == [[2]]


def test_who_reads_an_element_that_is_gone_waits_after_a_crash_as_well(drive: Drive) -> None:
    drive.make("total", "t", x=[1, 2, 3])
    drive.make("even", "last")
    drive.edit(e.Connect("t:in.x[2]", "last:in.x"))
    drive.edit(e.Unset("t:in.x[2]"))
    drive.crash()
    assert [one.function for one in drive.todo if isinstance(one, transaction.EvaluatePure)] == ["m::total"]


def test_an_index_that_lost_its_element_to_a_hole_knows_it_after_a_crash(drive: Drive) -> None:
    drive.make("works", "w", x=[1, 2, 3])
    drive.answer_all()
    drive.edit(e.SetValue("w:in.x", [1, 2]))
    drive.edit(e.SetValue("w:in.x[3]", 4))
    drive.crash()
    drive.finish()
    assert drive.get("w:out.z") == [10, 20, None, 40]


def test_a_connection_that_is_removed_has_passed_on_what_changed_before(drive: Drive) -> None:
    drive.make("grid", "far", x=[[1], [2], [3]])
    drive.make("total", "border")
    drive.make("even", "last")
    drive.edit(e.Connect("border:in.x[0]", "last:in.x"), e.Connect("far:works_2:in.x", "border:in.x"))
    drive.edit(e.SetValue("far:in.x", [[1], [2]]), e.Disconnect("border:in.x"))
    last = find_instance(drive.network, ("last",))
    assert last.touched == drive.network.seq, "its input is absent now"


def test_a_child_that_was_seen_at_work_comes_to_rest_with_nothing_done_and_that_is_told(drive: Drive) -> None:
    drive.make("nest", "n", n=1, x=1)
    drive.finish()
    drive.set("n:in.x", 2)
    drive.set("n:in.x", 1)
    drive.answer_all()
    late = find_instance(drive.network, ("n", "late"))
    assert not late.is_busy
    assert find_instance(drive.network, ("n",)).seen >= late.ended
    assert drive.get("n:out.results"), "the controller counts only what is not at work"


def test_an_answer_that_cannot_be_applied_asks_nobody_anything(drive: Drive) -> None:
    drive.make("steer", "s", n=1, x=1)
    drive.make("run", "w", x=1, n=1)
    drive.finish()
    drive.edit(e.Connect("s:job_0:out.z", "w:in.n"))
    drive.finish()
    drive.set("s:in.x", 2)
    drive.answer(0, ControllerAnswer(removes=["job_0"], starts=[ChildStart("other", "m::none")]))
    assert drive.asks() == [], "its input was disconnected, but that was taken back"


# --- keys ---


def test_what_two_share_is_made_anew_once(drive: Drive) -> None:
    drive.make("sames", "s", x=[1, 1])
    drive.finish()
    drive.edit(e.ForceRerun("s:same_0"))
    drive.answer_all()
    drive.edit(e.ForceRerun("s:same_1"))
    drive.finish()
    assert len(drive.jobs) == 2, "the first, and one for both"


def test_known_results_that_follow_from_one_another_in_one_step(drive: Drive) -> None:
    drive.make("even", "first", x=2)
    drive.make("add", "last", b=1)
    drive.edit(e.Connect("first:out.z", "last:in.a"))
    drive.finish()
    drive.edit(e.SetValue("first:in.x", 4), e.SetValue("last:in.b", 2.0))
    drive.finish()
    assert drive.get("last:out.c") == 6.0
    # Both keys of `first` are known now, and `last` is looked at before and after `first` has changed.
    drive.edit(e.SetValue("last:in.b", 1.0), e.SetValue("first:in.x", 2))
    drive.finish()
    assert drive.get("last:out.c") == 3.0


def test_an_error_is_cleared_for_the_inputs_that_are_there(drive: Drive) -> None:
    drive.make("add", "a", a=1.0)
    key = drive.network.instances[1].key
    drive.reference.results[key] = ("failed", "it broke")
    drive.todo.clear()
    drive.step(engine.PureEvaluated(key, None, "it broke"))
    drive.edit(e.Deactivate("a"), e.SetValue("a:in.a", 5.0))
    drive.edit(e.ClearError("a"))
    assert drive.todo == [], "held, and asked with the wrong inputs it would file a wrong result"
    drive.finish()
    assert drive.get("a:out.c") == 6.0
    drive.set("a:in.a", 1.0)
    drive.finish()
    assert drive.get("a:out.c") == 2.0


def test_a_failure_is_no_result_to_come_back_to(drive: Drive) -> None:
    drive.make("work", "w", x=1)
    drive.answer_all()
    drive.run("w", error="disk full")
    drive.set("w:in.x", 2)
    drive.answer_all()
    drive.set("w:in.x", 1)
    drive.answer_all()
    assert [job["state"] for job in drive.jobs.values()] == ["queued", "cancelled"]
    drive.run("w")
    assert drive.get("w:out.z") == 10


def test_a_job_of_two_waits_when_only_the_held_one_wants_it_still(drive: Drive) -> None:
    drive.make("same", "one", x=1)
    drive.make("same", "two", x=1)
    drive.answer_all()
    assert len(drive.jobs) == 1, "one job for both"
    drive.edit(e.Deactivate("one"))
    (job,) = drive.jobs.values()
    assert job["state"] == "queued"
    drive.set("two:in.x", 2)
    drive.answer_all()
    assert job["state"] == "blocked"
    drive.edit(e.Activate("one"))
    drive.finish()
    assert (drive.get("one:out.z"), drive.get("two:out.z")) == (2, 3)


def test_an_index_that_lost_its_element_takes_no_answer_for_it(drive: Drive) -> None:
    drive.make("works", "w", x=[1, 2, 3], y=[5])
    drive.set("w:in.y[+]", 6)
    assert drive.reference.made["w:work_2"].asked
    drive.answer_all()
    assert sorted(str(job["path"]) for job in drive.jobs.values()) == ["w:work_0", "w:work_1"]


def test_an_array_that_begins_with_a_hole_makes_all_but_one_wait(drive: Drive) -> None:
    drive.make("works", "w", x=[1, 2, 3])
    drive.set("w:in.y[1]", 5)
    assert drive.reference.made["w:work_0"].asked, "it was asked with the default, and waits for its own now"
    drive.answer_all()
    assert [job["path"] for job in drive.jobs.values()] == ["w:work_1"]


def test_growing_asks_only_who_is_new(drive: Drive) -> None:
    drive.make("works", "w", x=[1, 2, 3])
    drive.make("works", "after")
    drive.edit(e.Connect("w:out.z", "after:in.x"))
    drive.finish()
    drive.set("w:in.x[+]", 4)
    assert drive.asks() == ["w:work_3"]
    drive.finish()
    drive.edit(e.Unset("w:in.x[3]"))
    assert drive.asks() == []
