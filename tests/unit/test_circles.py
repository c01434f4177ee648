"""Circles of connections are found, all of them and no others, at a cost that does not grow with the network."""

from __future__ import annotations

import pytest
from hypothesis import event, given, settings, strategies as st
from tests.unit.drive import Drive
from tests.unit.rig import AB, ADD, ADDMUL, MUL, Rig

from copernicus.dataflow import building
from copernicus.dataflow.network import Network, Place
from copernicus.errors import CopernicusError, Refused
from copernicus.model import edits as e
from copernicus.model.functions import Field, FunctionSchema, ModuleSchema

WATCH = FunctionSchema("t::watch", "controller", AB, (Field("c", "float"),))
MODULE = ModuleSchema("t", functions=(ADD, MUL, ADDMUL, WATCH))


def reaches(links: set[tuple[int, int]], start: int, end: int, ends: set[int]) -> bool:
    """Whether `end` depends on `start`, by the definition: through anything but controllers (`ends`)."""
    found, stack = set(), [start]
    while stack:
        one = stack.pop()
        if one not in found and one not in ends:
            found.add(one)
            stack += [right for left, right in links if left == one]
    return end in found


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.sampled_from(["t::add", "t::add", "t::watch"]), min_size=2, max_size=8),
    st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7), st.sampled_from("ab")), max_size=24),
)
def test_a_circle_is_refused_exactly_when_no_controller_is_in_it(
    functions: list[str], pairs: list[tuple[int, int, str]]
) -> None:
    rig = Rig(MODULE)
    rig.edit(*(e.MakeInstance(function, f"i{number}") for number, function in enumerate(functions)))
    controllers = {number for number, function in enumerate(functions) if function == "t::watch"}
    links: dict[tuple[int, str], int] = {}
    for left, right, field in pairs:
        left, right = left % len(functions), right % len(functions)
        if (right, field) in links:
            continue
        known = {(source, destination) for (destination, _), source in links.items()}
        is_circle = reaches(known, right, left, controllers)
        event(f"circle: {is_circle}")
        connect = e.Connect(f"i{left}:out.c", f"i{right}:in.{field}")
        if is_circle:
            with pytest.raises(Refused, match="circle"):
                rig.edit(connect)
        else:
            rig.edit(connect)
            links[right, field] = left


def test_the_border_of_a_network_hides_no_circle_and_makes_none() -> None:
    rig = Rig(MODULE)
    rig.edit(e.MakeInstance("t::addmul", "am"), e.MakeInstance("t::add", "x"), e.MakeInstance("t::add", "y"))
    rig.edit(e.Connect("am:add:out.c", "x:in.a"), e.Connect("x:out.c", "am:in.c"), e.Connect("am:out.q", "y:in.a"))
    for source, destination in (("am:out.q", "am:in.b"), ("x:out.c", "am:in.a"), ("y:out.c", "x:in.b")):
        with pytest.raises(Refused, match="circle"):
            rig.edit(e.Connect(source, destination))


def test_the_order_in_which_elements_of_a_scatter_are_connected_does_not_matter() -> None:
    edits = [e.Connect("b:in.y[2]", "a:in.y[2]"), e.Connect("a:out.z[0]", "b:in.y[0]")]
    for order in (edits, edits[::-1]):
        rig = Rig()
        rig.edit(e.MakeInstance("t::works", "a"), e.MakeInstance("t::works", "b"))
        rig.edit(*order)
        with pytest.raises(Refused, match="circle"):
            rig.edit(e.Connect("b:out.z[1]", "a:in.x[0]"))


@pytest.mark.parametrize("order", [1, -1])
def test_a_chain_is_connected_from_either_end_at_the_same_cost(order: int, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = 0
    readers_of = building.readers_of

    def counted(network: Network, place: Place) -> object:
        nonlocal looks
        looks += 1
        return readers_of(network, place)

    monkeypatch.setattr(building, "readers_of", counted)
    rig, length = Rig(MODULE), 300
    rig.edit(*(e.MakeInstance("t::add", f"i{number}") for number in range(length)))
    rig.edit(*(e.Connect(f"i{number}:out.c", f"i{number + 1}:in.a") for number in range(length - 1)[::order]))
    assert looks < 10 * length, "and not the square of it"
    with pytest.raises(CopernicusError, match="circle"):
        rig.edit(e.Connect(f"i{length - 1}:out.c", "i0:in.b"))


def test_whether_a_connection_is_a_circle_does_not_depend_on_the_order() -> None:
    """One element of a scatter's array may be a view of another: that is no circle, whichever connection comes first."""
    for turn in (1, -1):
        drive = Drive()
        drive.make("works", "w", x=[1, 2])
        drive.make("total", "t")
        links = [e.Connect("w:in.y[1]", "t:in.x[0]"), e.Connect("t:in.x[0]", "w:in.y[0]")]
        assert drive.edit(*links[::turn])
