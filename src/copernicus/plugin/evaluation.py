"""Answers the engine's calls by running module code."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from copernicus.dataflow.calls import (
    Answer,
    Call as Request,
    CommandAnswer,
    CommandCall,
    ControllerAnswer,
    ControllerCall,
    ConvertAnswer,
    ConvertCall,
    Forgotten,
    PureAnswer,
    PureCall,
)
from copernicus.errors import ModuleError, WrongType
from copernicus.model.jobs import JobDescription
from copernicus.model.types import parse_type
from copernicus.plugin.controller import Call, CallFailed, known_functions
from copernicus.plugin.jobs import Job
from copernicus.plugin.memory import Memories, Memory
from copernicus.plugin.module import Function
from copernicus.plugin.places import explain, refuse
from copernicus.plugin.shapes import Shape, shape_of_type

Functions = Mapping[str, Function[..., Any]]


def evaluate(functions: Functions, request: Request, memories: Memories | None = None, size_bytes: int = 0) -> Answer:
    """Return the answer to `request`. A fault of module code becomes its `error`, with file and line.

    Controllers' calls may be differences to what `memories` has; `size_bytes` is how long the request was.
    """
    try:
        if isinstance(request, ControllerCall) and memories is not None:
            return _control(functions, request, memories, size_bytes)
        return _evaluate(functions, request)
    except KeyboardInterrupt:
        raise
    except CallFailed as failed:
        return failure(request, str(failed))
    except BaseException as error:
        # SystemExit and its like must not end the process either: others have calls in it.
        return failure(request, explain(error))


def failure(request: Request, error: str) -> Answer:
    """Return the answer of the right kind that says only what went wrong."""
    if isinstance(request, CommandCall):
        return CommandAnswer(error=error)
    if isinstance(request, PureCall):
        return PureAnswer(error=error)
    if isinstance(request, ConvertCall):
        return ConvertAnswer(error=error)
    return ControllerAnswer(error=error)


def _evaluate(functions: Functions, request: Request) -> Answer:
    if isinstance(request, ConvertCall):
        return convert(functions.get(request.function), request)
    function = _find(functions, request)
    if isinstance(request, CommandCall):
        return CommandAnswer(describe(function, request.inputs))
    if isinstance(request, PureCall):
        return PureAnswer(compute(function, request.inputs))
    return control(functions, function, request)


def _find(functions: Functions, request: Request) -> Function[..., Any]:
    function = functions.get(request.function)
    if function is None or (function.python is None and function.program is None):
        raise ModuleError(f"There is no function {request.function} here.", "Is its module installed?")
    return function


def _control(functions: Functions, request: ControllerCall, memories: Memories, size_bytes: int) -> Answer:
    memory = memories.recall(request)
    if memory is None:
        return Forgotten()
    try:
        answer = control(functions, _find(functions, request), request, memory)
        memory.said(answer)
        memory.seen = request.seen
        return answer
    finally:
        # A call that failed has changed nothing of outputs and state; but of a first one there is nothing to keep.
        if memory.seen:
            memories.keep(memory, size_bytes)


def describe(function: Function[..., Any], inputs: Mapping[str, Any]) -> JobDescription:
    """Return the job of a command for plain JSON inputs; raise whatever its code raises."""
    job = _python(function, "command")(**function.signature.load_inputs(inputs))
    if not isinstance(job, Job):
        raise ModuleError(f"{function.name} returned {job!r} instead of a Job.")
    with _said_by(function):
        return job.describe(function.signature.out)


def convert(function: Function[..., Any] | None, request: ConvertCall) -> ConvertAnswer:
    """Return what a function's conversions make of the values of an earlier version; raise whatever their code raises."""
    conversion = function.conversion if function is not None else None
    if function is None or conversion is None:
        return ConvertAnswer()
    signature, inputs, state = function.signature, None, None
    with _said_by(function):
        if conversion.inputs is not None:
            given = conversion.inputs(_as_python(request.inputs, request.types))
            inputs = {name: _dumped(signature.input_shapes, name, value) for name, value in given.items()}
        if conversion.state is not None and signature.state is not None:
            remembered = conversion.state(_as_python(request.state, request.state_types))
            if not signature.state.is_record(remembered):
                raise ModuleError(f"its conversion of state gave {remembered!r} instead of {signature.state.record_name}.")
            state = signature.state.dump(remembered, "state")
    return ConvertAnswer(inputs, state)


def _as_python(values: Mapping[str, Any], types: Mapping[str, str]) -> dict[str, Any]:
    return {name: shape_of_type(parse_type(types[name])).load(value, name) for name, value in values.items()}


def _dumped(shapes: Mapping[str, Shape], name: str, value: Any) -> Any:
    shape = shapes.get(name)
    if shape is None:
        raise ModuleError(f"its conversion gave in.{name}, which it does not have.")
    return shape.dump(value, f"in.{name}")


def compute(function: Function[..., Any], inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the outputs of a pure function for plain JSON inputs; raise whatever its code raises."""
    result = _python(function, "pure")(**function.signature.load_inputs(inputs))
    out = function.signature.out
    if not out.is_record(result):
        raise ModuleError(f"{function.name} returned {result!r} instead of {out.record_name}.")
    with _said_by(function):
        outputs: dict[str, Any] = out.dump(result, "")
    return outputs


def control(
    functions: Functions, function: Function[..., Any], request: ControllerCall, memory: Memory | None = None
) -> ControllerAnswer:
    """Return what a controller says to one call; raise whatever its code raises.

    `memory` has heard the call, and must be told what was answered; without one the call must carry everything.
    """
    memory = memory or Memory(request)
    if function.program is not None:
        answer = function.program.control(function.schema, request, memory)
        if answer.error:
            raise CallFailed(answer.error)
        return answer
    signature = function.signature
    call: Call[Any, Any] = Call(request, function, memory)
    token = known_functions.set(functions)
    try:
        kept = memory.inputs.arrays(signature.input_shapes)
        _python(function, "controller")(call, **signature.load_inputs(memory.inputs.plain, kept))
    finally:
        known_functions.reset(token)
        call.close()
    with _said_by(function):
        return call.answer()


@contextmanager
def _said_by(function: Function[..., Any]) -> Iterator[None]:
    """Put the function's file and line before what the kit finds wrong with its result."""
    try:
        yield
    except (ModuleError, WrongType) as error:
        raise refuse(function.signature.where, f"{function.name}: {error.message}", error.hint) from None


def _python(function: Function[..., Any], kind: str) -> Any:
    if function.schema.kind != kind or function.python is None:
        raise ModuleError(f"{function.name} is a {function.schema.kind}, not a {kind}.")
    return function.python
