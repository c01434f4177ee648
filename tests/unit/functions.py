"""Functions for tests of the engine: one of each kind, and what they give."""

from __future__ import annotations

import json
from typing import Any

from msgspec.structs import replace

from copernicus.dataflow.calls import ChildHold, ChildStart, ControllerAnswer, ControllerCall
from copernicus.model.functions import Field, FunctionSchema, InnerConnection, InnerInstance, ModuleSchema
from copernicus.model.jobs import JobDescription


def lift(fields: tuple[Field, ...]) -> tuple[Field, ...]:
    """The fields of a scatter over a function with these fields."""
    return tuple(Field(field.name, f"{field.kind.required}[]") for field in fields)


def scatter(name: str, base: FunctionSchema, whole: tuple[str, ...] = ()) -> FunctionSchema:
    """The scatter of a function."""
    inputs = tuple(
        field if field.name in whole else lifted for field, lifted in zip(base.inputs, lift(base.inputs), strict=True)
    )
    return FunctionSchema(name, "scatter", inputs, lift(base.outputs), base=base.name, whole=whole)


Z = (Field("z", "int"),)
ADD = FunctionSchema("m::add", "pure", (Field("a", "float"), Field("b", "float", default=1)), (Field("c", "float"),))
# An output that is not always there.
EVEN = FunctionSchema("m::even", "pure", (Field("x", "int"),), (Field("z", "int?"),))
TOTAL = FunctionSchema("m::total", "pure", (Field("x", "int[]"),), Z)
COUNT = FunctionSchema("m::count", "pure", (Field("x", "int?[]"),), Z)
WORK = FunctionSchema("m::work", "command", (Field("x", "int"), Field("y", "int", default=0)), Z)
SAME = FunctionSchema("m::same", "command", (Field("x", "int"),), Z, is_deterministic=True)
# The same for another `n` is the same but longer, or shorter.
RUN = FunctionSchema("m::run", "command", (Field("x", "int"), Field("n", "int", default=1)), Z)
GATHER = FunctionSchema("m::gather", "command", (Field("x", "int[]"), Field("y", "int?")), Z)
RECORDS = (Field("one", "record{p: int, q: int}?"), Field("few", "record{p: int}?"), Field("all", "record{p: int, q: int?}[]"))
PARTS = FunctionSchema("m::parts", "command", RECORDS, Z)
TWO = FunctionSchema(
    "m::two", "network", (Field("x", "int"),), Z,
    instances=(InnerInstance("one", "m::work"), InnerInstance("two", "m::work", {"y": 1})),
    connections=(InnerConnection("self:in.x", "one:in.x"), InnerConnection("one:out.z", "two:in.x"),
                 InnerConnection("two:out.z", "self:out.z")),
)  # fmt: skip
# Here an element of `y` must be there for all, or for none.
WORKS = FunctionSchema("m::works", "scatter", lift(WORK.inputs), lift(WORK.outputs), base="m::work")
GATHERS = scatter("m::gathers", GATHER, whole=("x",))
GRID = scatter("m::grid", WORKS)
SAMES = scatter("m::sames", SAME)
TWOS = scatter("m::twos", TWO)
STATE = (Field("calls", "int?"),)
RESULTS = (Field("results", "int[]"), Field("total", "int?"))
STEER = FunctionSchema("m::steer", "controller", (Field("n", "int"), Field("x", "int")), RESULTS, state=STATE)
# One child that is a scatter, and one that is a controller.
NEST = FunctionSchema("m::nest", "controller", (Field("n", "int"), Field("x", "int")), RESULTS, state=STATE)
STEERS = scatter("m::steers", STEER)
FUNCTIONS = (
    ADD, EVEN, TOTAL, COUNT, WORK, RUN, SAME, GATHER, PARTS, TWO, WORKS, SAMES, TWOS, GATHERS, GRID, STEER, NEST, STEERS,
)  # fmt: skip
MODULE = ModuleSchema("m", functions=FUNCTIONS)
GROWN = {
    GATHER.name: replace(GATHER, inputs=(*GATHER.inputs, Field("more", "int?")), outputs=(*Z, Field("v", "int?"))),
    STEER.name: replace(STEER, state=(*STATE, Field("more", "int?"))),
}
"""What a later version of the module has: it takes and gives more."""
MISSING = {EVEN.name, PARTS.name, NEST.name}
"""What may be missing for a while: nothing else is made of these."""


def installed(*, is_grown: bool, is_whole: bool) -> ModuleSchema:
    """The module as a server may have it."""
    there = [one for one in FUNCTIONS if is_whole or one.name not in MISSING]
    return ModuleSchema("m", functions=tuple(GROWN.get(one.name, one) if is_grown else one for one in there))


UNLUCKY = 13
"""An input with which a command's function fails."""


def describe(function: str, inputs: dict[str, Any]) -> JobDescription | None:
    """The job of a command."""
    if inputs.get("x") == UNLUCKY:
        return None
    until = (f"--length={inputs['n']}",) if function == RUN.name else ()
    given = {name: value for name, value in inputs.items() if not until or name != "n"}
    return JobDescription(function.replace("::", "/"), (json.dumps(given, sort_keys=True),), until=until)


def asked(description: JobDescription) -> dict[str, Any]:
    """The inputs for which a command has given this job."""
    until = {"n": int(description.until[0].partition("=")[2])} if description.until else {}
    return json.loads(description.argv[0]) | until


def evaluate(function: str, inputs: dict[str, Any]) -> dict[str, Any]:
    """The outputs of a pure function, or of a job."""
    match function.partition("::")[2]:
        case "add":
            return {"c": inputs["a"] + inputs["b"]}
        case "even":
            return {} if inputs["x"] % 2 else {"z": inputs["x"]}
        case "total":
            return {"z": sum(inputs["x"])}
        case "count":
            return {"z": sum(1 for item in inputs["x"] if item is not None)}
        case "work":
            return {"z": (10 * inputs["x"] + inputs["y"]) % 1000}
        case "run":
            return {"z": (10 * inputs["x"] + inputs["n"]) % 1000}
        case "same":
            return {"z": inputs["x"] + 1}
        case "gather":
            return {"z": (sum(inputs["x"]) + inputs.get("y", 0)) % 1000}
        case "parts":
            return {"z": len(json.dumps(inputs))}
    raise KeyError(function)


def control(call: ControllerCall) -> ControllerAnswer:
    """What a controller of this module answers: as many children as its input says, and what they have given."""
    n, x = min(call.inputs["n"], 3), call.inputs["x"]
    if call.function == NEST.name:
        starts = [ChildStart("wide", "m::works", {"x": list(range(n)), "y": [x]})]
        starts.append(ChildStart("deep", "m::steer", {"n": min(n, 1)}, {"x": "self:in.x"}))
        starts.append(ChildStart("sum", "m::total", {}, {"x": "wide:out.z"}))
        starts.append(ChildStart("late", "m::work", {}, {"x": "self:in.x"}))
    else:
        starts = [ChildStart(f"job_{i}", "m::two" if i % 2 else "m::work", {"x": x + i}) for i in range(n)]
    wanted = [start.name for start in starts]
    others = [child.name for child in call.children if child.name not in wanted]
    found: list[int] = []
    for child in call.children:
        if child.name in wanted and not child.is_running:
            for value in (child.outputs.get("z"), child.outputs.get("total")):
                found += [item for item in (value if isinstance(value, list) else [value]) if item is not None]
    return ControllerAnswer(
        outputs={"results": found, "total": sum(found) if found else None},
        state={"calls": call.state.get("calls", 0) + 1},
        starts=starts,
        holds=[ChildHold(name, "not wanted") for name in others if name < "job_2"],
        resumes=[child.name for child in call.children if child.name in wanted],
        removes=[name for name in others if name >= "job_2"],
    )
