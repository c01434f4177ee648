"""What an answer may write: parts of fields, shorter arrays, and how much of it."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.rig import MODULE, Rig

from copernicus.dataflow import answers
from copernicus.dataflow.calls import ChildStart, ControllerAnswer, ControllerCall
from copernicus.model import edits as e
from copernicus.model.functions import Field, FunctionSchema, ModuleSchema

KEEPER = FunctionSchema(
    "t::keeper", "controller", (Field("n", "int"),), (Field("many", "int?[]"), Field("best", "record{x: int, name: string}?")),
    state=(Field("texts", "string[]"),),
)  # fmt: skip


def keeper(*said: ControllerAnswer) -> Rig:
    """A rig in which a controller has said these answers, one after the other."""
    rig = Rig(ModuleSchema("t", functions=(*MODULE.functions, KEEPER)))
    left = list(said)
    rig.controllers["t::keeper"] = lambda call: left.pop(0) if left else ControllerAnswer()
    rig.edit(e.MakeInstance("t::keeper", "k"), e.SetValue("k:in.n", 0), e.Activate())
    rig.perform()
    for number in range(1, len(said)):
        rig.set("k:in.n", number)
        rig.perform()
    return rig


def error(rig: Rig) -> str:
    return rig.network.instances[1].error


def test_parts_of_fields_are_written_and_arrays_shortened() -> None:
    rig = keeper(
        ControllerAnswer(outputs={"many": [1, 2, 3], "best": {"x": 1, "name": "a"}}, state={"texts": ["a", "b"]}),
        ControllerAnswer(outputs={"many[3]": 4, "best.x": 7}, state={"texts[1]": "c"}),
        ControllerAnswer(outputs={"many[1]": None}, lengths={"out.many": 3, "state.texts": 1}),
        ControllerAnswer(outputs={"many[+]": 9}, lengths={"out.many": 7, "in.n": 0, "out.none": 1}),
    )
    assert error(rig) == ""
    assert rig.get("k:out.many") == [1, None, 3, 9]
    assert rig.get("k:out.best") == {"x": 7, "name": "a"}
    assert rig.get("k:state.texts") == ["a"]


@pytest.mark.parametrize(
    ("outputs", "words"),
    [
        ({"many[0].x": 1}, "not a record"),
        ({"best.y": 1}, "no member 'y'"),
        ({"few[0]": 1}, "no field 'few'"),
        ({"many[0]": "x"}, "expected int"),
        ({"many[1000001]": 1}, "at most 1000000 elements"),
    ],
)
def test_what_cannot_be_written_is_the_controllers_error(outputs: dict[str, Any], words: str) -> None:
    rig = keeper(ControllerAnswer(outputs={"many": [1]}), ControllerAnswer(outputs=outputs))
    assert words in error(rig)
    assert rig.get("k:out.many") == [1]


def test_a_state_has_a_mebibyte(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "STATE_LIMIT_BYTES", 1000)
    text = "x" * 300
    steps = [ControllerAnswer(state={f"texts[{number}]": text}) for number in range(3)]
    assert error(keeper(*steps)) == ""
    rig = keeper(*steps, ControllerAnswer(state={"texts[3]": text}, outputs={"many": [1]}))
    assert "at most 1000 are allowed" in error(rig)
    assert rig.get("k:out.many") is None, "nothing of that answer was applied"
    shorter = keeper(*steps, ControllerAnswer(lengths={"state.texts": 1}), *steps[1:])
    assert error(shorter) == ""
    rig.restart()
    rig.edit(e.ClearError("k"))
    rig.controllers["t::keeper"] = lambda call: ControllerAnswer(state={"texts[3]": text})
    rig.perform()
    assert "at most 1000 are allowed" in error(rig), "it is known after a restart, too"


@pytest.mark.parametrize(
    "answer",
    [
        ControllerAnswer(outputs={"many": list(range(12))}),
        ControllerAnswer(outputs={f"many[{number}]": number for number in range(12)}),
        ControllerAnswer(starts=[ChildStart(f"c{number}", "t::work", {"x": 1}) for number in range(6)]),
        ControllerAnswer(removes=[f"c{number}" for number in range(12)]),
    ],
)
def test_an_answer_makes_so_many_changes(answer: ControllerAnswer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "CHANGES_LIMIT", 11)
    rig = keeper(answer)
    assert "changes at once; at most 11 are allowed" in error(rig)
    assert rig.get("k:out.many") is None
    assert rig.network.instances[1].children == {}


def test_a_difference_costs_what_is_new() -> None:
    """Of a thousand children, a call after the end of one tells of that one."""
    rig = Rig()
    rig.edit(e.MakeInstance("t::steer", "s"), e.SetValue("s:in.n", 0), e.SetValue("s:in.x", 1), e.Activate())
    rig.perform()
    calls: list[ControllerCall] = []
    hear = rig.told.hear
    rig.told.hear = lambda call: calls.append(call) or hear(call)  # type: ignore[func-returns-value, method-assign]
    rig.controllers["t::steer"] = lambda call: ControllerAnswer(
        starts=[] if call.children else [ChildStart(f"c{number}", "t::work", {"x": number}) for number in range(1000)]
    )
    for number in (1, 2):
        rig.set("s:in.n", number)
        rig.perform()
    del calls[:]
    for number in (7, 500):
        rig.finish(f"s:c{number}")
    assert [[child.name for child in call.children] for call in calls] == [["c7"], ["c500"]]
    assert all(call.inputs == {} and call.base for call in calls)
