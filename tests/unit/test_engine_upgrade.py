"""Modules that change between two starts: taken over silently, outdated, missing, converted."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.unit.comparison import dump
from tests.unit.rig import ADD, ADDMUL, MODULE, STEER, TWO, WORK, WORKS, Rig

from copernicus.dataflow import engine, transaction
from copernicus.dataflow.calls import Converted
from copernicus.dataflow.compatibility import incompatibilities
from copernicus.dataflow.network import Network
from copernicus.errors import ModuleError, Refused, UnknownPath, WrongType
from copernicus.model import edits as e
from copernicus.model.functions import Field, FunctionSchema, InnerConnection, InnerInstance

change = msgspec.structs.replace


class Restarted(Rig):
    """A rig whose server can be started again with other modules."""

    def start_with(self, *functions: FunctionSchema) -> None:
        """The same modules, but for these functions."""
        new = {one.name: one for one in functions}
        known = {one.name: one for one in MODULE.functions} | new
        self.catalog = transaction.Catalog([change(MODULE, functions=tuple(known.values()))])
        self.restart()
        self.perform()

    def upgrade(self, **conversions: Converted) -> str:
        """Upgrade the module; what its code says of instances is given by their names."""
        ids = {self.network.instances[0].children[name]: said for name, said in conversions.items()}
        told = self.step(engine.EditsRequested([e.UpgradeModule("t")], "ada", conversions=ids)).told[0]
        self.perform()
        again = Network()
        for data in self.log:
            engine.fold(again, data)
        assert dump(again) == dump(self.network), "the log tells the same"
        return told

    def works(self) -> list[int]:
        """How often each job has run."""
        return [job["runs"] for job in self.jobs.values()]

    def error(self, path: str) -> str:
        """What is wrong with the functions of an instance at the top."""
        instance = self.network.instances[self.network.instances[0].children[path]]
        return self.network.outdated.get(instance.function.name, "")


def one_job() -> Restarted:
    rig = Restarted()
    rig.edit(e.MakeInstance("t::work", "w"), e.MakeInstance("t::add", "sum"), e.Connect("w:out.z", "sum:in.a"))
    rig.edit(e.SetText("w:in.x", "1"), e.SetText("sum:in.b", "5"), e.Activate())
    rig.finish_all()
    assert (rig.get("w:out.z"), rig.get("sum:out.c"), rig.works()) == (10, 15.0, [1])
    return rig


def test_what_only_takes_and_gives_more_is_taken_over_and_does_nothing_anew() -> None:
    rig = one_job()
    wider = change(
        WORK,
        inputs=(Field("x", "float"), Field("y", "int", default=0), Field("tag", "string?")),
        outputs=(*WORK.outputs, Field("log", "string")),
    )
    rig.start_with(wider)
    assert (rig.error("w"), rig.works(), rig.get("w:out.z"), rig.get("w:out.log")) == ("", [1], 10, None)
    rig.set("w:in.tag", "new")
    assert rig.get("w:in.tag") == "new"
    rig.perform()
    records = len(rig.log)
    rig.start_with(wider)
    assert len(rig.log) == records, "once"


def test_an_outdated_instance_says_what_differs_and_does_nothing() -> None:
    rig = one_job()
    rig.start_with(change(WORK, inputs=(Field("n", "int"),)))
    assert "the input x is gone; the input y is gone; the input n (int) is new" in rig.error("w")
    rig.set("w:in.x", 2)
    rig.perform()
    assert (rig.queued(), rig.get("w:out.z"), rig.is_stale("w:out.z")) == ([], 10, True)
    with pytest.raises(ModuleError, match="has changed"):
        rig.edit(e.MakeInstance("t::work", "other"))
    rig.start_with(WORK)
    assert rig.error("w") == ""
    rig.finish_all()
    assert (rig.get("w:out.z"), rig.works()) == (20, [1, 1]), "with the earlier version it goes on where it was"


def test_a_missing_module_leaves_values_readable() -> None:
    rig = one_job()
    rig.catalog = transaction.Catalog([])
    rig.restart()
    rig.perform()
    assert "The module t is not installed" in rig.error("w")
    assert (rig.get("w:out.z"), rig.get("sum:out.c")) == (10, 15.0)
    rig.set("w:in.x", 3)
    rig.perform()
    assert rig.queued() == []


def test_a_declared_conversion_moves_values_connections_and_readers_and_does_nothing_anew() -> None:
    rig = one_job()
    rig.edit(e.MakeInstance("t::work", "w2"), e.Connect("w:out.z", "w2:in.x"), e.Activate())
    rig.finish_all()
    new = change(
        WORK,
        inputs=(Field("n", "int"), Field("y", "int", default=0)),
        outputs=(Field("result", "int"),),
        renamed={"in.x": "n", "out.z": "result"},
    )
    rig.start_with(new)
    assert "t::work: 2 instances upgraded" in rig.upgrade()
    assert (rig.get("w:in.n"), rig.get("w:out.result"), rig.get("w2:in.n"), rig.get("w2:out.result")) == (1, 10, 10, 100)
    assert (rig.get("sum:out.c"), rig.works(), rig.error("w"), rig.todo) == (15.0, [1, 1], "", [])
    rig.restart()
    rig.perform()
    assert rig.works() == [1, 1], "nor after another start"
    rig.edit(e.SetText("sum:in.b", "6"))
    rig.perform()
    assert rig.get("sum:out.c") == 16.0


def test_module_code_converts_values_and_a_value_that_fits_nowhere_refuses_the_whole() -> None:
    rig = one_job()
    new = change(WORK, inputs=(Field("x", "string"), Field("y", "int", default=0)), converts=True)
    rig.start_with(new)
    before = dump(rig.network)
    with pytest.raises(WrongType, match=r"w cannot be upgraded: w:in.x: expected string, got 1"):
        rig.upgrade()
    assert dump(rig.network) == before
    with pytest.raises(Refused, match="changed while"):
        rig.upgrade(w=Converted(rig.network.seq - 1, {"x": "one"}))
    rig.upgrade(w=Converted(rig.network.seq, {"x": "one"}))
    assert (rig.get("w:in.x"), rig.get("w:out.z"), rig.works()) == ("one", 10, [1])


def test_readers_of_an_output_that_is_gone_keep_what_they_saw() -> None:
    rig = one_job()
    rig.start_with(change(WORK, outputs=(Field("other", "int"),)))
    rig.upgrade()
    assert (rig.get("sum:in.a"), rig.get("sum:out.c"), rig.get("w:out.other")) == (10, 15.0, None)


def test_a_connection_that_does_not_fit_any_more_refuses_the_whole() -> None:
    rig = one_job()
    rig.start_with(change(WORK, outputs=(Field("z", "string"),)))
    with pytest.raises(WrongType, match=r"w:out.z \(string\), sum:in.a \(float\)"):
        rig.upgrade()


def test_a_scatter_moves_its_arrays_with_its_indices() -> None:
    rig = Restarted()
    rig.edit(e.MakeInstance("t::works", "ws"), e.SetText("ws:in.x", "[1, 2]"), e.Activate())
    rig.finish_all()
    renamed = {"in.x": "n"}
    new = change(WORK, inputs=(Field("n", "int"), WORK.inputs[1]), renamed=renamed)
    news = change(WORKS, inputs=(Field("n", "int[]"), WORKS.inputs[1]), renamed=renamed)
    rig.start_with(new, news)
    rig.upgrade()
    assert (rig.get("ws:in.n"), rig.get("ws:out.z"), rig.works()) == ([1, 2], [10, 20], [1, 1])
    assert rig.edit(e.SetText("ws:in.n[+]", "3")) == ["ws:in.n[2]"]


def test_a_network_is_rebuilt_by_the_names_of_what_is_inside() -> None:
    rig = Restarted()
    rig.edit(
        e.MakeInstance("t::addmul", "am"),
        *(e.SetText(f"am:in.{name}", value) for name, value in (("a", "3"), ("b", "4"), ("c", "5"))),
    )
    rig.edit(e.MakeInstance("t::add", "more"), e.Connect("am:out.q", "more:in.a"), e.SetText("more:in.b", "6"), e.Activate())
    rig.perform()
    assert rig.get("more:out.c") == 41.0
    new = change(
        ADDMUL,
        instances=(*ADDMUL.instances, InnerInstance("twice", "t::mul", {"b": 2.0})),
        connections=(
            *ADDMUL.connections[:-1],
            InnerConnection("mul:out.c", "twice:in.a"),
            InnerConnection("twice:out.c", "self:out.q"),
        ),
    )
    rig.start_with(new)
    assert "the instance twice inside is new" in rig.error("am")
    assert rig.get("more:out.c") == 41.0
    rig.upgrade()
    assert (rig.get("am:mul:out.c"), rig.get("am:out.q"), rig.get("more:out.c")) == (35.0, 70.0, 76.0)


def test_a_memory_that_cannot_be_read_is_the_instances_error_and_stays() -> None:
    rig = Restarted()
    rig.edit(e.MakeInstance("t::steer", "s"), e.SetText("s:in.n", "1"), e.SetText("s:in.x", "1"), e.Activate())
    rig.finish_all()
    memory = rig.get("s:state.calls")
    new = change(STEER, state=(Field("calls", "string?"),), converts=True)
    rig.start_with(new)
    rig.upgrade()
    instance = rig.network.instances[rig.network.instances[0].children["s"]]
    assert "memory cannot be read" in instance.error
    assert instance.values["state"] == {"calls": memory}
    other = Restarted()
    other.log, other.jobs = rig.log[:-1], rig.jobs
    other.start_with(new)
    calls = len(other.calls)
    other.upgrade(s=Converted(other.network.seq, None, {"calls": f"{memory} calls"}))
    assert (other.get("s:state.calls"), len(other.calls)) == (f"{memory} calls", calls)


def test_there_is_nothing_to_upgrade_and_no_such_module() -> None:
    rig = one_job()
    assert "has changed" in rig.upgrade()
    with pytest.raises(UnknownPath, match="no module 'u'"):
        rig.edit(e.UpgradeModule("u"))


KINDS: list[tuple[FunctionSchema, dict[str, Any], str]] = [
    (ADD, {"kind": "command"}, "was a pure"),
    (ADD, {"version": 2, "help": "other"}, ""),
    (ADD, {"inputs": (Field("a", "float", default=1.0), Field("b", "float?"))}, ""),
    (ADD, {"inputs": (Field("a", "int"), Field("b", "float"))}, "the input a was float and is int"),
    (ADD, {"outputs": (Field("c", "int"),)}, "the output c was float and is int"),
    (ADD, {"outputs": (Field("c", "float?"),)}, ""),
    (WORK, {"inputs": (Field("x", "int?"), Field("y", "int"))}, ""),
    (STEER, {"state": (Field("calls", "int?"), Field("more", "int"))}, "the state more is new and not optional"),
    (TWO, {"connections": TWO.connections[:-1]}, "the connections inside are others"),
    (WORKS, {"base": "t::two"}, "spreads out another"),
]


@pytest.mark.parametrize(("known", "new", "why"), KINDS)
def test_what_may_change_silently(known: FunctionSchema, new: dict[str, Any], why: str) -> None:
    lines = incompatibilities(known, change(known, **new))
    assert why in "; ".join(lines) if why else lines == []
