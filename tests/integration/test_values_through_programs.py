"""Values come out of programs as they went in, to the last bit: controllers in any language, and what jobs leave behind."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings, strategies as st
from tests.unit.drawn_values import ANY_TYPE, HARD_FLOATS, HARD_INTS, bits, floats, ints, texts, values_of

from copernicus.dataflow.calls import ControllerCall
from copernicus.errors import CopernicusError
from copernicus.model.functions import Field, FunctionSchema
from copernicus.model.jobs import JobDescription, Output
from copernicus.model.types import decode, parse_type
from copernicus.model.values import to_json
from copernicus.plugin.external import Program
from copernicus.worker.collecting import Collector, MissingOutput
from copernicus.worker.harvest import Harvest

ECHO = """
import json, sys
for number, line in enumerate(sys.stdin):
    all = json.loads(line)["inputs"]["all"]
    print(json.dumps({"outputs": {"all": all}, "state": {"all": all}}, ensure_ascii=number % 2 == 0), flush=True)
"""
TYPE = str(ANY_TYPE).replace("d: file?, ", "")
SCHEMA = FunctionSchema("m::f", "controller", (Field("all", TYPE),), (Field("all", TYPE),), state=(Field("all", TYPE),))
SLOW = [HealthCheck.function_scoped_fixture]


@pytest.fixture
def echo(tmp_path: Path) -> Iterator[Program]:
    (tmp_path / "echo.py").write_text(ECHO)
    program = Program([sys.executable, str(tmp_path / "echo.py")], 60.0)
    yield program
    program.stop()


def asked(inputs: dict[str, Any]) -> ControllerCall:
    return ControllerCall(1, "m::f", 5, 7, inputs, list(inputs), {}, {}, [])


@settings(max_examples=150, deadline=None, suppress_health_check=SLOW)
@given(values_of(parse_type(TYPE)))
def test_controllers_in_any_language(echo: Program, value: Any) -> None:
    answer = echo.control(SCHEMA, asked({"all": to_json(value)}))
    assert bits(decode(parse_type(TYPE), answer.outputs["all"])) == bits(value)
    assert bits(decode(parse_type(TYPE), answer.state["all"])) == bits(value)


def collect(folder: Path, **outputs: Output) -> dict[str, Any]:
    """What a worker makes of what a program has left in its folder."""
    return Collector(Harvest(folder), None, 1000).outputs(JobDescription("x", outputs=outputs))  # type: ignore[arg-type]


@settings(max_examples=150, deadline=None, suppress_health_check=SLOW)
@given(values_of(parse_type(TYPE)), st.booleans())
def test_json_that_a_job_has_written(tmp_path: Path, value: Any, is_ascii: bool) -> None:
    (tmp_path / "out.json").write_text(json.dumps(value, ensure_ascii=is_ascii), encoding="utf-8")
    found = collect(tmp_path, all=Output("json", "out.json"), same=Output("value", value=to_json(value)))
    assert bits(decode(parse_type(TYPE), found["all"])) == bits(value)
    assert bits(decode(parse_type(TYPE), found["same"])) == bits(value)


@settings(max_examples=150, deadline=None, suppress_health_check=SLOW)
@given(floats, ints, texts)
@example(HARD_FLOATS[1], HARD_INTS[2], "")
@example(math.nan, HARD_INTS[3], "a\n\n")
def test_numbers_and_texts_that_a_job_has_printed(tmp_path: Path, number: float, whole: int, text: str) -> None:
    (tmp_path / "stdout").write_text(f"f={number!r}\nn={whole}\n", encoding="utf-8")
    (tmp_path / "text").write_bytes(f"{text}\n".encode())
    found = collect(
        tmp_path,
        f=Output("number", r"f=(\S+)", "stdout"),
        n=Output("number", r"n=(\S+)", "stdout"),
        t=Output("text", "", "text"),
    )
    assert bits(decode(parse_type("float"), found["f"])) == bits(number)
    assert (decode(parse_type("int"), found["n"]), found["t"]) == (whole, text)


@pytest.mark.parametrize("text", ['"\\ud800"', '{"a": ["\\udfff"]}', '{"\\ud800": 1}'])
def test_half_a_character_is_no_output(tmp_path: Path, text: str) -> None:
    (tmp_path / "out.json").write_text(text)
    with pytest.raises(MissingOutput, match="half a character"):
        collect(tmp_path, all=Output("json", "out.json"))


def test_a_number_that_no_float_can_hold_is_infinite_and_one_of_65_bits_refused(tmp_path: Path) -> None:
    (tmp_path / "out.json").write_text("[1e400, -1e400, 1e-400]")
    assert decode(parse_type("float[]"), collect(tmp_path, all=Output("json", "out.json"))["all"]) == [math.inf, -math.inf, 0.0]
    (tmp_path / "out.json").write_text(str(2**63))
    with pytest.raises(CopernicusError, match="64 bits"):
        decode(parse_type("int"), collect(tmp_path, all=Output("json", "out.json"))["all"])


def test_a_controller_cannot_say_half_a_character(tmp_path: Path) -> None:
    (tmp_path / "half.py").write_text('print("{\\"outputs\\": {\\"all\\": {\\"s\\": \\"\\\\ud800\\"}}}", flush=True)')
    program = Program([sys.executable, str(tmp_path / "half.py")], 60.0)
    with pytest.raises(CopernicusError, match="half a character"):
        program.control(SCHEMA, asked({}))
    program.stop()
