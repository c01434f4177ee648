"""The state of an instance in words, as people read it."""

from __future__ import annotations

from typing import Any

from tests.unit.rig import MODULE, STEER, WORKS, Rig

from copernicus.model import edits as e
from copernicus.model.functions import Field, FunctionSchema, InnerConnection, InnerInstance, ModuleSchema
from copernicus.server.projects.states import States


class NoJobs:
    """A job book in which nothing stands."""

    def find(self, project: str, key: str) -> None:
        """Nothing."""


def states(rig: Rig) -> dict[str, tuple[str, str]]:
    """All instances' states by path."""
    found = States(rig.network, "p", NoJobs())  # type: ignore[arg-type]
    return {rig.network.path_of(one.id): found.state_of(one) for one in rig.network.instances.values() if one.id}


def test_who_waits_for_something_that_failed_is_not_idle() -> None:
    rig = Rig()
    rig.edit(e.MakeInstance("t::works", "first"), e.MakeInstance("t::works", "second"))
    rig.edit(e.Connect("first:out.z", "second:in.x"), e.SetText("first:in.x", "[1, 2]"), e.Activate())
    rig.perform()
    rig.finish("first:work_0", error="no such atom")
    rig.finish_all()
    found = states(rig)
    assert found["first"] == ("idle", "")
    state, why = found["second"]
    assert state == "waiting"
    assert why == "second:work_0: in.x is absent (first:work_0: error, no such atom)"
    rig.set("first:in.x[0]", 3)
    rig.finish_all()
    assert {state for state, _ in states(rig).values()} == {"idle"}


def test_where_everything_has_failed_that_is_said_around_it_as_well() -> None:
    rig = Rig()
    rig.edit(e.MakeInstance("t::works", "all"), e.SetText("all:in.x", "[1, 2]"), e.Activate())
    rig.perform()
    rig.finish("all:work_0", error="no such atom\nwhatever")
    assert states(rig)["all"][0] == "running"
    rig.finish("all:work_1", error="no such bond")
    assert states(rig)["all"] == ("error", "all 2 inside failed, the first all:work_0: no such atom")
    rig.set("all:in.x[1]", 3)
    rig.finish_all()
    assert states(rig)["all"] == ("idle", ""), "one of them has come to something"
    rig.edit(e.ClearError("all"))
    rig.perform()
    assert states(rig)["all"][0] == "running"


def test_a_circle_through_a_controller_waits_and_says_so() -> None:
    inner = FunctionSchema(
        "t::pass",
        "network",
        (Field("x", "int"),),
        (Field("z", "int"),),
        instances=(InnerInstance("work", "t::work"),),
        connections=(InnerConnection("self:in.x", "work:in.x"), InnerConnection("work:out.z", "self:out.z")),
    )
    rig = Rig(ModuleSchema("t", functions=(*MODULE.functions, inner)))
    rig.edit(e.MakeInstance(STEER.name, "s"), e.MakeInstance("t::pass", "p"), e.MakeInstance(WORKS.name, "w"))
    edits: list[Any] = [e.Connect("p:out.z", "s:in.x"), e.Connect("s:out.total", "p:in.x"), e.SetText("s:in.n", "1")]
    rig.edit(*edits, e.Activate())
    rig.perform()
    found = states(rig)
    assert found["s"][0] == found["p"][0] == found["w"][0] == "waiting"
    assert "in.x is absent" in found["s"][1]
