"""Whether a function that has changed can take the place of the one that a project knows, and what differs if not."""

from __future__ import annotations

from collections.abc import Iterable

from copernicus.model.functions import Field, FunctionSchema
from copernicus.model.types import fits


def incompatibilities(known: FunctionSchema, installed: FunctionSchema) -> list[str]:
    """Return what forbids that instances of `known` simply become instances of `installed`, one line each; none: they may.

    Allowed are optional inputs and outputs that come, optional members of a controller's state that come, inputs that take
    more than before, other defaults, help and versions of pure functions. A function that becomes `is_deterministic` or
    ceases to be it changes keys from the next evaluation on, which is allowed too.
    """
    if known.kind != installed.kind:
        return [f"it was a {known.kind} and is a {installed.kind}"]
    lines = [
        *_inputs(known.inputs, installed.inputs),
        *_kept("output", known.outputs, installed.outputs),
        *_kept("state", known.state, installed.state),
    ]
    new_state = {field.name for field in known.state}
    lines += [
        f"the state {field.name} is new and not optional"
        for field in installed.state
        if field.name not in new_state and field.is_required
    ]
    if known.kind == "network":
        lines += _inside(known, installed)
    if (known.base, known.whole) != (installed.base, installed.whole):
        lines.append("it spreads out another function, or other inputs of it")
    return lines


def _inputs(known: tuple[Field, ...], installed: tuple[Field, ...]) -> Iterable[str]:
    before, now = _by_name(known), _by_name(installed)
    for name, field in before.items():
        if name not in now:
            yield f"the input {name} is gone"
        elif (why := fits(field.kind, now[name].kind)) or (field.kind.is_optional and now[name].is_required):
            yield f"the input {name} was {field.type} and is {now[name].type}" + (f" ({why})" if why else "")
    for name, field in now.items():
        if name not in before and field.is_required:
            yield f"the input {name} ({field.type}) is new and must be given"


def _kept(what: str, known: tuple[Field, ...], installed: tuple[Field, ...]) -> Iterable[str]:
    """What stands there must be readable as the new type, and whoever reads it must find what it asked for."""
    now = _by_name(installed)
    for field in known:
        found = now.get(field.name)
        if found is None:
            yield f"the {what} {field.name} is gone"
        elif why := fits(field.kind, found.kind) or fits(found.kind, field.kind):
            yield f"the {what} {field.name} was {field.type} and is {found.type} ({why})"


def _inside(known: FunctionSchema, installed: FunctionSchema) -> Iterable[str]:
    before = {one.name: (one.function, one.values) for one in known.instances}
    now = {one.name: (one.function, one.values) for one in installed.instances}
    for name in before.keys() - now.keys():
        yield f"the instance {name} inside is gone"
    for name in now.keys() - before.keys():
        yield f"the instance {name} inside is new"
    for name in before.keys() & now.keys():
        if before[name] != now[name]:
            yield f"the instance {name} inside is another one"
    if set(known.connections) != set(installed.connections):
        yield "the connections inside are others"


def _by_name(fields: tuple[Field, ...]) -> dict[str, Field]:
    return {field.name: field for field in fields}
