"""Gathering: who reads all outputs of a scatter begins with the last one, whatever the order, at a cost that stays."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, strategies as st
from tests.unit.rig import MODULE, PURE, Rig

from copernicus.dataflow import views
from copernicus.model import edits as e
from copernicus.model.functions import Field, FunctionSchema, ModuleSchema

SUM = FunctionSchema("t::sum", "pure", (Field("terms", "int[]"),), (Field("sum", "int"),))
PURE["t::sum"] = lambda values: {"sum": sum(values["terms"])}


def gathering(count: int) -> Rig:
    """A scatter of `count` jobs, and the sum of their results."""
    rig = Rig(ModuleSchema("t", functions=(*MODULE.functions, SUM)))
    rig.edit(e.MakeInstance("t::works", "jobs"), e.MakeInstance("t::sum", "sum"), e.Connect("jobs:out.z", "sum:in.terms"))
    rig.edit(e.SetValue("jobs:in.x", list(range(count))), e.Activate())
    rig.perform()
    return rig


@given(st.permutations(range(5)), st.integers(0, 4), st.sampled_from(["", "shrink", "grow", "restart", "disconnect"]))
def test_the_last_one_begins_it_in_any_order_and_after_edits(order: list[int], moment: int, edit: str) -> None:
    rig = gathering(5)
    width = 5
    for place, index in enumerate(order):
        if place == moment:
            if edit == "shrink":
                rig.edit(e.Unset("jobs:in.x[4]"))
                width = 4
            elif edit == "grow":
                rig.edit(e.SetText("jobs:in.x[+]", "5"))
                width = 6
            elif edit == "restart":
                rig.restart()
            elif edit == "disconnect":
                rig.edit(e.Disconnect("sum:in.terms"), e.Connect("jobs:out.z", "sum:in.terms"))
            rig.perform()
        if f"jobs:work_{index}" in rig.queued():
            assert rig.get("sum:out.sum") is None
            rig.finish(f"jobs:work_{index}")
    rig.finish_all()
    assert rig.get("sum:out.sum") == 10 * sum(range(width))


@pytest.mark.parametrize("order", ["forwards", "backwards"])
def test_the_end_of_one_costs_no_more_when_there_are_many(order: str, monkeypatch: pytest.MonkeyPatch) -> None:
    reads = 0
    source_of = views.source_of

    def counting(*arguments: Any) -> Any:
        nonlocal reads
        reads += 1
        return source_of(*arguments)

    def cost(count: int) -> float:
        nonlocal reads
        rig = gathering(count)
        reads = 0
        # The very last one stays: with it the sum is made, which reads them all.
        middle = range(1, count - 1)
        for index in middle if order == "forwards" else reversed(middle):
            rig.finish(f"jobs:work_{index}")
        return reads / len(middle)

    monkeypatch.setattr(views, "source_of", counting)
    few, many = cost(20), cost(80)
    assert many < 1.5 * few
