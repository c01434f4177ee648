"""Edits drawn at random, of what there is in a project as the reference model has it."""

from __future__ import annotations

from random import Random
from typing import Any

from tests.unit.functions import FUNCTIONS, UNLUCKY
from tests.unit.reference_model import Reference

from copernicus.dataflow.paths import APPEND, show_path
from copernicus.model import edits as e
from copernicus.model.types import Type, fits

NAMES = ["a", "b", "c", "d", "e"]


def some_value(chance: Random, kind: Type) -> Any:
    """A value of a type, out of few, so that they come back."""
    if kind.kind == "array":
        length = chance.choice([0, 1, 1, 2, 2, 3, 4])
        return [
            None if kind.element.is_optional and chance.random() < 0.3 else some_value(chance, kind.element)
            for _ in range(length)
        ]
    if kind.kind == "record":
        return {name: some_value(chance, member) for name, member in kind.fields if chance.random() < 0.8}
    if kind.kind == "float":
        return chance.choice([0.0, 1.0, 2.5])
    return UNLUCKY if chance.random() < 0.05 else chance.choice([0, 1, 2, 3])


def top(reference: Reference) -> list[str]:
    """The instances that users made."""
    return [path for path in reference.made if ":" not in path]


def some_place(chance: Random, reference: Reference, path: str, side: str, *, is_written: bool) -> tuple[str, Type]:
    """Some place of an instance, written out, and its type."""
    function = reference.made[path].function
    field = chance.choice(function.inputs if side == "in" else function.outputs)
    members, kind = [field.name], field.kind
    while kind.kind in ("array", "record") and chance.random() < 0.5:
        if kind.kind == "array":
            members.append(chance.choice([0, 0, 1, 1, 2, 3, APPEND, APPEND] if is_written else [0, 0, 1, 2]))
            kind = kind.element
        else:
            name, kind = chance.choice(kind.fields)
            members.append(name)
    return show_path(path, side, tuple(members)), kind


def some_connection(chance: Random, reference: Reference) -> e.Edit:
    """A connection; of those that were tried first, one that fits."""
    made, tops = list(reference.made), top(reference)
    for _ in range(30):
        side = chance.choice(["in", "out", "out", "out"])
        source, offered = some_place(chance, reference, chance.choice(made), side, is_written=False)
        destination, wanted = some_place(chance, reference, chance.choice(tops), "in", is_written=True)
        if not fits(offered, wanted):
            break
    return e.Connect(source, destination)


def some_set(chance: Random, reference: Reference) -> e.Edit:
    """A value for a place that a user may mostly set."""
    path, kind = some_place(chance, reference, chance.choice(top(reference)), "in", is_written=True)
    return e.SetValue(path, some_value(chance, kind))


def some_unset(chance: Random, reference: Reference) -> e.Edit:
    """Mostly of something that is there."""
    path = chance.choice(top(reference))
    values = list(reference.made[path].values["in"].items())
    for name, value in chance.sample(values, k=len(values)):
        if isinstance(value, list) and value and chance.random() < 0.8:
            return e.Unset(f"{path}:in.{name}[{chance.choice([len(value) - 1, chance.randrange(len(value))])}]")
        if isinstance(value, dict) and chance.random() < 0.5:
            return e.Unset(f"{path}:in.{name}.{chance.choice(['p', 'q'])}")
        return e.Unset(f"{path}:in.{name}")
    return e.Unset(some_place(chance, reference, path, "in", is_written=True)[0])


def some_disconnect(chance: Random, reference: Reference) -> e.Edit:
    """Of a connection that a user may have made, if there is one."""
    mine = [where for where in reference.links if ":" not in where[0]]
    return e.Disconnect(show_path(*chance.choice(mine))) if mine else some_set(chance, reference)


def some_edit(chance: Random, reference: Reference) -> e.Edit:
    """Any edit."""
    made, tops = list(reference.made), top(reference)
    if not tops or chance.random() < 0.1:
        return e.MakeInstance(chance.choice(FUNCTIONS).name, chance.choice(NAMES))
    makers = [some_set] * 5 + [some_unset] * 3 + [some_connection] * 4 + [some_disconnect] * 2
    makers += [
        lambda chance, _: e.Activate(chance.choice(["", *made])),
        lambda chance, _: e.Activate(chance.choice(["", *tops])),
        lambda chance, _: e.Deactivate(chance.choice(["", *made]), chance.random() < 0.5),
        lambda chance, _: e.ClearError(chance.choice(["", "", *made])),
        lambda chance, _: e.ForceRerun(chance.choice(made)),
        lambda chance, _: e.RenameInstance(chance.choice(tops), chance.choice(NAMES)),
    ]
    if len(tops) > 2:
        makers.append(lambda chance, _: e.RemoveInstance(chance.choice(tops)))
    return chance.choice(makers)(chance, reference)
