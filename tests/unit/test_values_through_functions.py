"""Values come out of module code as they went in, to the last bit: pure functions, jobs that are described, controllers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from tests.unit.drawn_values import HARD_FLOATS, HARD_INTS, HARD_TEXTS, bits, values_of

from copernicus.dataflow.calls import (
    Answer,
    Call as Question,
    CommandAnswer,
    CommandCall,
    ControllerAnswer,
    ControllerCall,
    PureAnswer,
    PureCall,
)
from copernicus.model.types import Type, decode, parse_type
from copernicus.model.values import to_json
from copernicus.plugin.evaluation import evaluate
from copernicus.plugin.functions import Call, Job, Module
from copernicus.plugin.lines import Reply, Request

module = Module("echo", "What goes in comes out")


@dataclass
class One:
    x: float | None
    n: int | None
    t: str | None
    b: bool | None


@dataclass
class All:
    f: float
    n: int
    t: str
    b: bool
    fs: list[float]
    ns: list[int]
    ts: list[list[str]]
    ones: list[One]
    holes: list[float | None]


@dataclass
class Out:
    all: All


@module.pure
def same(all: All) -> Out:
    """What goes in."""
    return Out(all)


@module.command
def given_on(all: All, fs: list[float], ns: list[int], ts: list[str]) -> Job[Out]:
    """What goes in, and as arguments."""
    return Job("echo/argv", [*fs, *ns, *ts], Out(all))


@module.controller
def steer(call: Call[Out, All], *, all: All) -> None:
    """What goes in, into its output, its memory and a child."""
    call.start("child", same, all=all)
    call.state, call.out.all = all, all
    call.note(all.t)


@dataclass
class Text:
    t: str


@module.pure
def half(n: int) -> Text:
    """No text."""
    return Text(chr(0xD800))


@module.controller
def half_noted(call: Call[Text, None], *, n: int) -> None:
    """No text, where nobody looks at types."""
    call.note(chr(0xDC80))


FUNCTIONS = {f"echo::{name}": function for name, function in module.functions.items()}
KIND = parse_type(
    "record{f: float, n: int, t: string, b: bool, fs: float[], ns: int[], ts: string[][], "
    "ones: record{x: float?, n: int?, t: string?, b: bool?}[], holes: float?[]}"
)
HARD = {
    "f": -0.0, "n": HARD_INTS[-1], "t": "", "b": False, "fs": list(HARD_FLOATS), "ns": list(HARD_INTS),
    "ts": [list(HARD_TEXTS), []], "ones": [{}, {"x": -0.0, "t": ""}], "holes": [None, -0.0, None],
}  # fmt: skip
EMPTY = {"f": float("nan"), "n": 0, "t": "\0", "b": True, "fs": [], "ns": [], "ts": [], "ones": [], "holes": []}


def asked(question: Question) -> Answer:
    """Ask as the pool does: question and answer are lines of JSON."""
    request = msgspec.json.decode(msgspec.json.encode(Request(1, question)), type=Request)
    assert request.call is not None
    reply = msgspec.json.decode(msgspec.json.encode(Reply(1, evaluate(FUNCTIONS, request.call))), type=Reply)
    assert reply.answer is not None
    return reply.answer


def same_bits(plain: Any, value: Any, kind: Type = KIND) -> bool:
    return bool(bits(decode(kind, plain)) == bits(value))


@settings(max_examples=200)
@given(values_of(KIND))
@example(HARD)
@example(EMPTY)
def test_pure_functions_jobs_and_controllers_give_what_they_were_given(value: dict[str, Any]) -> None:
    plain = to_json(value)
    answer = asked(PureCall("echo::same", {"all": plain}))
    assert isinstance(answer, PureAnswer)
    assert same_bits(answer.outputs["all"], value)
    lists = {"fs": plain["fs"], "ns": plain["ns"], "ts": [text.replace("\0", "0") for one in plain["ts"] for text in one]}
    described = asked(CommandCall("echo::given_on", {"all": plain, **lists}))
    assert isinstance(described, CommandAnswer)
    assert described.description is not None, described.error
    assert same_bits(described.description.outputs["all"].value, value)
    argv, floats, ints = described.description.argv, len(value["fs"]), len(value["ns"])
    assert bits([float(word) for word in argv[:floats]]) == bits(value["fs"])
    assert [int(word) for word in argv[floats : floats + ints]] == value["ns"]
    assert list(argv[floats + ints :]) == lists["ts"]
    controlled = asked(ControllerCall(1, "echo::steer", 1, 1, {"all": plain}, ["all"], {}, {}, []))
    assert isinstance(controlled, ControllerAnswer)
    assert not controlled.error
    assert same_bits(controlled.outputs["all"], value)
    assert same_bits({name: controlled.state.get(name) for name, _ in KIND.fields}, value)
    assert same_bits(controlled.starts[0].inputs["all"], value)
    assert (controlled.note or "") == value["t"]


def test_half_a_character_is_refused() -> None:
    answer = asked(PureCall("echo::half", {"n": 1}))
    assert isinstance(answer, PureAnswer)
    assert "half a character (U+D800)" in answer.error


@pytest.mark.parametrize("text", [chr(0xD800), "a" + chr(0xDFFF), "é" + chr(0xDC80) + "\0"])
def test_no_type_takes_half_a_character(text: str) -> None:
    for kind, data in (("string", text), ("string[]", ["a", text]), ("file", {"blob": "a", "size": 1, "name": text})):
        with pytest.raises(Exception, match="half a character"):
            decode(parse_type(kind), data)
