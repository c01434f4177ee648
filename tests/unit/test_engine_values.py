"""Where the engine once went wrong: values, circles, what is stale. Every step is compared with the reference."""

from __future__ import annotations

from itertools import pairwise

import pytest
from tests.unit.drive import Drive
from tests.unit.functions import control

from copernicus.dataflow import engine, transaction
from copernicus.errors import Refused, UnknownPath
from copernicus.model import edits as e


@pytest.fixture
def drive() -> Drive:
    return Drive()


# --- values ---


def test_disconnecting_redoes_nothing_though_the_types_differ(drive: Drive) -> None:
    drive.make("work", "w", x=1)
    drive.make("add", "a")
    drive.edit(e.Connect("w:out.z", "a:in.a"))
    drive.finish()
    evaluations = len(drive.network.evaluations)
    drive.edit(e.Disconnect("a:in.a"))
    drive.finish()
    assert drive.get("a:in.a") == 10.0
    assert len(drive.network.evaluations) == evaluations, "10 seen through a connection is 10.0"


def test_a_record_that_has_more_members_can_be_disconnected(drive: Drive) -> None:
    drive.make("parts", "a", all=[{"p": 1, "q": 2}])
    drive.make("parts", "b", all=[])
    drive.edit(e.Connect("a:in.all[0]", "b:in.few"))
    drive.finish()
    assert drive.get("b:out.z") == len('{"all": [], "few": {"p": 1}}')
    drive.edit(e.Disconnect("b:in.few"))
    assert drive.get("b:in.few") == {"p": 1}


def test_an_element_whose_connected_member_is_absent_is_waited_for(drive: Drive) -> None:
    drive.make("work", "w", x=1)
    drive.make("parts", "p", all=[{"p": 1}])
    drive.edit(e.Connect("w:out.z", "p:in.all[2].p"))
    drive.answer_all()
    assert drive.get("p:in.all") == [{"p": 1}, None, None]
    drive.set("p:in.all[1].p", 5)
    drive.answer_all()
    assert drive.job("w")["state"] == "queued"
    drive.run("w")
    assert drive.get("p:in.all") == [{"p": 1}, {"p": 5}, {"p": 10}]
    assert drive.job("p")["state"] == "queued"


def test_holes_at_the_end_count(drive: Drive) -> None:
    drive.make("count", "c", x=[1])
    drive.set("c:in.x", [2, None])
    assert drive.get("c:in.x") == [2, None]


def test_a_record_without_members_is_absent_and_not_half_there(drive: Drive) -> None:
    drive.make("parts", "p", all=[], one={"p": 1})
    assert drive.todo == [], "half of it is there"
    drive.edit(e.Unset("p:in.one.p"))
    assert drive.get("p:in.one") is None
    assert drive.asks() == ["p"]


# --- circles, paths, staleness ---


def test_a_circle_is_seen_before_its_scatter_has_indices(drive: Drive) -> None:
    drive.make("works", "w")
    drive.make("twos", "t")
    for source, destination in (("w:out.z", "w:in.x"), ("t:out.z", "t:in.x"), ("w:out.z[0]", "w:in.x[1]")):
        assert not drive.edit(e.Connect(source, destination))
    drive.set("w:in.x", [1, 2])
    assert not drive.edit(e.Connect("w:work_0:out.z", "w:in.y[1]")), "which index reads an element depends on lengths"
    with pytest.raises(Refused, match="circle"):
        engine.step(drive.network, drive.catalog, engine.EditsRequested([e.Connect("w:out.z", "w:in.y")], "ada"), 0.0)


def test_what_is_still_to_be_appended_is_no_source(drive: Drive) -> None:
    drive.make("works", "w", x=[1])
    drive.make("work", "one")
    for edit in (e.Connect("w:out.z[+]", "one:in.x"), e.Unset("w:in.x[+]")):
        with pytest.raises(UnknownPath, match="does not exist"):
            engine.step(drive.network, drive.catalog, engine.EditsRequested([edit], "ada"), 0.0)
    assert drive.get("w:out.z[+]") is None


def test_a_long_chain_is_stale_to_its_end(drive: Drive) -> None:
    names = [f"c{number}" for number in range(12)]
    for name in names:
        drive.edit(e.MakeInstance("m::work", name))
    drive.edit(*(e.Connect(f"{one}:out.z", f"{two}:in.x") for one, two in pairwise(names)))
    drive.set("c0:in.x", 1)
    drive.edit(e.Activate())
    drive.finish()
    drive.set("c0:in.x", 2)
    last = drive.network.instances[len(names)]
    assert last.is_remade
    drive.set("c0:in.x", 1)
    drive.answer_all()
    assert not last.is_remade


def test_a_long_chain_is_not_too_deep() -> None:
    catalog, network, names = Drive().catalog, Drive().network, [f"c{number}" for number in range(500)]

    def step(*edits: e.Edit) -> list[transaction.Effect]:
        return engine.step(network, catalog, engine.EditsRequested(list(edits), "ada"), 0.0).effects

    step(*(e.MakeInstance("m::add", name) for name in names), e.Activate())
    step(*(e.Connect(f"{one}:out.c", f"{two}:in.a") for one, two in pairwise(names)))
    todo = step(e.SetValue("c0:in.a", 2.0))
    for _ in names:
        (effect,) = todo
        assert isinstance(effect, transaction.EvaluatePure)
        todo = engine.step(network, catalog, engine.PureEvaluated(effect.key, {"c": effect.inputs["a"] + 1}), 0.0).effects
    assert network.instances[500].values["out"] == {"c": 502.0}
    step(e.ForceRerun("c0"))
    assert network.instances[500].is_remade


def test_disconnecting_frees_the_job_that_waited_for_the_source(drive: Drive) -> None:
    drive.make("work", "w", x=1)
    drive.make("works", "after", x=[])
    drive.edit(e.Connect("w:out.z", "after:in.x[0]"))
    drive.answer_all()
    drive.run("w")
    drive.set("w:in.x", 2)
    assert drive.job("after:work_0")["state"] == "blocked"
    drive.edit(e.Disconnect("after:in.x[0]"))
    assert drive.job("after:work_0")["state"] == "queued"


def test_who_reads_the_input_of_another_sees_that_it_is_stale(drive: Drive) -> None:
    drive.make("two", "t", x=1)
    drive.make("add", "a")
    drive.edit(e.Connect("t:two:in.x", "a:in.a"))
    drive.finish()
    drive.set("t:in.x", 2)
    assert drive.network.instances[drive.network.instances[0].children["a"]].is_remade


def test_controls_of_these_tests_are_level_triggered(drive: Drive) -> None:
    drive.make("nest", "n", n=2, x=1)
    drive.finish()
    first = drive.get("n:out.results")
    drive.edit(e.ForceRerun("n"))
    drive.finish()
    assert drive.get("n:out.results") == first
    assert control.__doc__
