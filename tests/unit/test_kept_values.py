"""What a process keeps: differences that are made and taken over, and memories that make room."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, strategies as st

from copernicus.dataflow.calls import ChildView, ControllerCall
from copernicus.dataflow.tree import is_same
from copernicus.plugin.files import File
from copernicus.plugin.memory import Memories, key_of
from copernicus.plugin.shapes import record_shape
from copernicus.plugin.values import Values, differences


@dataclass
class Point:
    x: float
    names: list[str] = field(default_factory=list)
    note: str | None = None


@dataclass
class All:
    number: int = 0
    text: str | None = None
    numbers: list[float] = field(default_factory=list)
    holes: list[int | None] = field(default_factory=list)
    files: list[File] = field(default_factory=list)
    points: list[Point] = field(default_factory=list)
    rows: list[list[int]] = field(default_factory=list)
    place: Point | None = None


SHAPE = record_shape(All, {})
INTS, TEXTS = st.integers(0, 3), st.sampled_from(["a", "b"])
FLOATS = st.sampled_from([0.0, -0.0, 1.0, float("nan"), float("inf")])
POINTS = st.builds(Point, FLOATS, st.lists(TEXTS, max_size=3), st.none() | TEXTS)
RECORDS = st.builds(
    All, INTS, st.none() | TEXTS, st.lists(FLOATS, max_size=5), st.lists(st.none() | INTS, max_size=5),
    st.lists(st.builds(File, TEXTS, INTS), max_size=5), st.lists(POINTS, max_size=3),
    st.lists(st.lists(INTS, max_size=3), max_size=3), st.none() | POINTS,
)  # fmt: skip


@given(RECORDS, st.lists(RECORDS, max_size=4), st.booleans())
def test_what_differs_makes_one_out_of_the_other(first: All, others: list[All], does_grow: bool) -> None:
    values, twin = Values(SHAPE.dump(first, "")), Values(SHAPE.dump(first, ""))
    for other in others:
        if does_grow:
            record = SHAPE.load_record(values.plain, kept=values.arrays(SHAPE.members))
            for name in ("numbers", "holes", "files", "points", "rows"):
                setattr(other, name, [*getattr(record, name), *getattr(other, name)])
        changes, lengths = differences(SHAPE.members, other, values, "out")
        wanted = SHAPE.dump(other, "")
        values.apply(changes, lengths)
        twin.apply(*deepcopy((changes, lengths)))
        assert is_same(values.plain, wanted)
        assert is_same(twin.plain, wanted)
        assert is_same(SHAPE.dump(SHAPE.load_record(values.plain, kept=values.arrays(SHAPE.members)), ""), wanted)
        assert differences(SHAPE.members, other, values, "out") == ({}, {}), "nothing differs any more"


def test_what_is_appended_to_thousands_is_all_that_differs() -> None:
    files = [File(f"{n:064x}", n) for n in range(10_000)]
    values = Values(SHAPE.dump(All(files=files, numbers=[0.5] * 10_000), ""))
    record = SHAPE.load_record(values.plain, kept=values.arrays(SHAPE.members))
    record.files.append(File("new", 1))
    record.numbers[17] = 3.0
    del record.numbers[9_000:]
    record.numbers += [1.5]
    changes, lengths = differences(SHAPE.members, record, values, "out")
    assert changes["files[10000]"] == {"blob": "new", "size": 1, "name": "file"}
    assert len(changes) == 2, "an array that became shorter and differs goes as a whole"
    record.numbers = record.numbers[:100]
    changes, lengths = differences(SHAPE.members, record, values, "out")
    assert "numbers" in changes
    assert lengths == {}
    record.numbers[17] = 0.5
    changes, lengths = differences(SHAPE.members, record, values, "out")
    assert (set(changes), lengths) == ({"files[10000]"}, {"numbers": 100})


@pytest.mark.parametrize("before", [[0.0], [0.0] * 3])
def test_minus_zero_is_news(before: list[float]) -> None:
    values = Values(SHAPE.dump(All(numbers=before), ""))
    record = SHAPE.load_record(values.plain, kept=values.arrays(SHAPE.members))
    record.numbers[0] = -0.0
    changes, _ = differences(SHAPE.members, record, values, "out")
    assert list(changes.values()) in ([-0.0], [[-0.0]])


def call(instance: int, seen: int, base: int = 0, **more: Any) -> ControllerCall:
    empty = {"inputs": {}, "changed": [], "outputs": {}, "state": {}, "children": [], "project": "p", "reading": "r"}
    return ControllerCall(instance, "m::f", seen, 1, base=base, **{**empty, **more})


def kept(memories: Memories, one: ControllerCall, size_bytes: int) -> None:
    memory = memories.recall(one)
    assert memory is not None
    memory.seen = one.seen
    memories.keep(memory, size_bytes)


def test_memories_make_room_for_those_that_are_used() -> None:
    memories = Memories(100)
    for instance in (1, 2, 3):
        kept(memories, call(instance, 5), 30)
    kept(memories, call(1, 6, base=5), 5)
    kept(memories, call(4, 6), 30)
    assert [memories.seen(("p", instance)) for instance in (1, 2, 3, 4)] == [6, 0, 5, 6]
    kept(memories, call(9, 7), 500)
    assert [memories.seen(("p", instance)) for instance in (1, 3, 4, 9)] == [0, 0, 0, 0], "more than there is room for"


@pytest.mark.parametrize("other", [{"project": "q"}, {"reading": "later"}, {"base": 4}, {"base": 6}])
def test_a_difference_to_something_else_is_not_taken(other: dict[str, Any]) -> None:
    memories = Memories(100)
    kept(memories, call(1, 5), 10)
    assert memories.recall(call(1, 8, **{"base": 5, **other})) is None
    assert memories.recall(call(1, 9)) is not None, "everything is always taken"


def test_a_call_that_comes_to_no_end_leaves_nothing_behind() -> None:
    memories = Memories(100)
    kept(memories, call(1, 5), 10)
    assert memories.recall(call(1, 6, base=5)) is not None
    assert memories.seen(key_of(call(1, 6))) == 0


def test_children_keep_their_order_when_a_difference_is_told_twice() -> None:
    memories = Memories(1000)
    kept(memories, call(1, 5, children=[ChildView("a", "m::g", {"z": 1}, id=2, runs=1, has_ended=True)]), 10)
    again = [ChildView("a", "m::g", id=7), ChildView("b", "m::g", {"z": 2}, id=8)]
    for _ in range(2):
        memory = memories.recall(call(1, 6, base=5, children=again, removed=["a"]))
        assert memory is not None
        assert [(view.name, view.id, view.outputs) for view in memory.children.values()] == [("a", 7, {}), ("b", 8, {"z": 2})]
        assert memory.news == []
        memories.keep(memory, 0)
