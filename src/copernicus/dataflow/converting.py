"""`upgrade MODULE`: instances of functions that have changed become instances of the installed ones, as the module declares.

Nothing is evaluated anew by that: what an instance has seen, and its evaluation, stand for its converted inputs too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import msgspec

from copernicus.dataflow import building, facts as f, tree
from copernicus.dataflow.calls import ConvertAnswer, ConvertCall, Converted
from copernicus.dataflow.network import ROOT, Instance, Network, Place
from copernicus.dataflow.status import is_pending
from copernicus.dataflow.transaction import Catalog, Transaction
from copernicus.errors import CopernicusError, ModuleError, Refused, WrongType
from copernicus.model import edits as e
from copernicus.model.counts import counted
from copernicus.model.functions import Field, FunctionSchema
from copernicus.model.types import decode, fits
from copernicus.model.values import to_json


class Question(NamedTuple):
    """What the module's own code is asked about one instance, or (`element`) one element of its arrays."""

    instance: int
    element: int | None
    call: ConvertCall


def outdated_of(network: Network, catalog: Catalog, module: str) -> dict[str, FunctionSchema]:
    """The outdated functions of a module as they are installed; raise `UnknownPath` or `ModuleError` for the module."""
    catalog.module(module)
    return {
        name: catalog.functions[name]
        for name in network.outdated
        if name.partition("::")[0] == module and name in catalog.functions
    }


def questions(network: Network, catalog: Catalog, module: str) -> list[Question]:
    """What is to be asked of the module's code before `upgrade_module`."""
    found, functions = list[Question](), outdated_of(network, catalog, module)
    for instance in _instances(network, functions):
        installed = functions[instance.function.name]
        code = catalog.functions.get(installed.base, installed) if installed.kind == "scatter" else installed
        if not code.converts:
            continue
        known, inputs = instance.function, instance.values["in"]
        if installed.kind == "scatter":
            for index in range(max((len(value) for value in _lifted(known, inputs).values()), default=0)):
                elements = _element(known, inputs, index)
                types = {field.name: _element_type(known, field) for field in known.inputs}
                found.append(Question(instance.id, index, ConvertCall(code.name, elements, types)))
        elif inputs or instance.values["state"]:
            call = ConvertCall(code.name, inputs, _types(known.inputs), instance.values["state"], _types(known.state))
            found.append(Question(instance.id, None, call))
    return found


def answers(network: Network, asked: list[Question], said: list[ConvertAnswer]) -> dict[int, Converted]:
    """Put the answers together; raise `ModuleError` with the first error of the module's code."""
    found: dict[int, Converted] = {}
    for question, answer in zip(asked, said, strict=True):
        if answer.error:
            raise ModuleError(f"{network.path_of(question.instance)} cannot be converted: {answer.error}")
        if question.element is None:
            found[question.instance] = Converted(network.seq, answer.inputs, answer.state)
        elif answer.inputs is not None:
            whole = network.instances[question.instance].function.whole
            before = found.get(question.instance) or Converted(network.seq, {})
            inputs = before.inputs or {}
            for name, value in answer.inputs.items():
                if name in whole:
                    inputs[name] = value
                else:
                    inputs.setdefault(name, []).extend([None] * (question.element - len(inputs.get(name, []))))
                    inputs[name].append(value)
            found[question.instance] = msgspec.structs.replace(before, inputs=inputs)
    return found


def upgrade_module(tx: Transaction, edit: e.UpgradeModule) -> str:
    """Do it for all outdated functions of a module; refused as a whole when one instance cannot be converted."""
    network, module = tx.network, edit.module.replace("-", "_")
    functions = outdated_of(network, tx.catalog, module)
    if not functions:
        return f"no function of {module} that this project uses has changed"
    instances = list(_instances(network, functions))
    if any(one.seq != network.seq for one in tx.conversions.values()):
        raise Refused("The project has changed while its values were converted.", "Try again.")
    before = {one.id: (one.function, dict(one.values["in"]), dict(one.values["out"])) for one in instances}
    concerned = {one.id for instance in instances for one in network.subtree(instance)}
    moves = list(_moves(network, functions, concerned))
    settled = [id for id in sorted(concerned) if not is_pending(network, network.instances[id])]
    for source, destination, new_source, new_destination in moves:
        if new_source is None and new_destination == destination:
            building.disconnect(tx, destination)  # it keeps what it saw
        elif (new_source, new_destination) != (source, destination):
            tx.do(f.Disconnected(*destination))
    for installed in functions.values():
        tx.do(f.Adopted(installed))
    network.derive(network, "outdated", {name: why for name, why in network.outdated.items() if name not in functions})
    for instance in instances:
        known, inputs, outputs = before[instance.id]
        if known.kind == "network":
            _rebuild(tx, instance, known)
        _convert(tx, instance, known, inputs, outputs)
    for source, destination, new_source, new_destination in moves:
        if new_source is not None and new_destination is not None:
            _check_fit(tx, new_source, new_destination)
            if (new_source, new_destination) != (source, destination):
                tx.do(f.Connected(*new_destination, *new_source))
    for id in settled:
        if id in network.instances:
            tx.do(f.Upgraded(id))
    network.forget_told()
    for id in sorted(concerned & network.instances.keys()):
        tx.consider(network.instances[id])
        tx.to_recheck[id] = None
    return f"{', '.join(functions)}: {counted(len(instances), 'instance')} upgraded"


def _instances(network: Network, functions: dict[str, FunctionSchema]) -> Iterator[Instance]:
    return (one for one in network.subtree(network.instances[ROOT]) if one.function.name in functions)


def _types(fields: tuple[Field, ...]) -> dict[str, str]:
    return {field.name: field.type for field in fields}


# --- arrays of a scatter, element by element ---------------------------------------------------------------------


def _lifted(scatter: FunctionSchema, inputs: dict[str, Any]) -> dict[str, list[Any]]:
    return {name: value for name, value in inputs.items() if name not in scatter.whole and isinstance(value, list)}


def _element(scatter: FunctionSchema, inputs: dict[str, Any], index: int) -> dict[str, Any]:
    found = {name: value for name, value in inputs.items() if name in scatter.whole}
    for name, array in _lifted(scatter, inputs).items():
        element = array[index] if index < len(array) else array[0] if len(array) == 1 else None
        if element is not None:
            found[name] = element
    return found


def _element_type(scatter: FunctionSchema, field: Field) -> str:
    return field.type if field.name in scatter.whole else str(field.kind.element)


# --- connections -------------------------------------------------------------------------------------------------

Move = tuple[Place, Place, Place | None, Place | None]
"""A connection (source, destination) and what becomes of both ends; None: there is no such place any more."""


def _moves(network: Network, functions: dict[str, FunctionSchema], concerned: set[int]) -> Iterator[Move]:
    """All connections of the instances, but for those inside a network that is upgraded: its schema says what they are."""

    for id in sorted(concerned):
        instance = network.instances[id]
        ends = [(source, Place(id, side, path)) for side, links in instance.links.items() for path, source in links.items()]
        for (side, _), readers in instance.readers.items():
            ends += [(Place(id, side, path), reader) for reader, path in readers.items() if reader.instance not in concerned]
        for source, destination in ends:
            if not _is_inside(network, functions, destination):
                yield source, destination, _moved(network, functions, source), _moved(network, functions, destination)


def _is_inside(network: Network, functions: dict[str, FunctionSchema], destination: Place) -> bool:
    end = network.instances[destination.instance]
    around = end if destination.side == "out" else network.instances[end.parent]
    return around.function.kind == "network" and around.function.name in functions


def _moved(network: Network, functions: dict[str, FunctionSchema], place: Place) -> Place | None:
    installed = functions.get(network.instances[place.instance].function.name)
    if installed is None:
        return place
    name = _new_name(installed, place.side, str(place.path[0]))
    return Place(place.instance, place.side, (name, *place.path[1:])) if name else None


def _new_name(installed: FunctionSchema, side: str, name: str) -> str:
    """The name of a field in the installed function, "" when it has none there."""
    name = installed.renamed.get(f"{side}.{name}", name)
    fields = installed.inputs if side == "in" else installed.outputs
    return name if any(field.name == name for field in fields) else ""


def _check_fit(tx: Transaction, source: Place, destination: Place) -> None:
    offered, wanted = building.type_of(tx, source), building.type_of(tx, destination)
    misfit = fits(offered, wanted)
    if misfit:
        ends = f"{building.place_text(tx, source)} ({offered}), {building.place_text(tx, destination)} ({wanted})"
        raise WrongType(f"A connection does not fit any more: {ends}: {misfit}.", "Disconnect it first.")


# --- values ------------------------------------------------------------------------------------------------------


def _convert(
    tx: Transaction, instance: Instance, known: FunctionSchema, inputs: dict[str, Any], outputs: dict[str, Any]
) -> None:
    """Bring what an instance holds into the form of its installed function."""
    installed, path = instance.function, tx.network.path_of(instance.id)
    converted = tx.conversions.get(instance.id)
    moved = {_new_name(installed, "in", name): value for name, value in inputs.items()}
    if converted is not None and converted.inputs is not None:
        moved = converted.inputs
    try:
        _replace(tx, instance, "in", inputs, _decoded(installed.inputs, moved, f"{path}:in"))
    except WrongType as error:
        raise WrongType(
            f"{path} cannot be upgraded: {error.message}", "Set that input to something that fits, first."
        ) from None
    results = {_new_name(installed, "out", name): value for name, value in outputs.items()}
    fitting = {name: value for name, value in results.items() if _is_readable(installed.outputs, name, value)}
    _replace(tx, instance, "out", outputs, fitting)
    state = dict(instance.values["state"])
    wanted = state if converted is None or converted.state is None else converted.state
    try:
        _replace(tx, instance, "state", state, _decoded(installed.state, wanted, f"{path}:state"))
    except WrongType as error:
        # Its memory is not thrown away: whoever installs the earlier version again finds it.
        why = f"Its memory cannot be read by the installed {installed.name}: {error.message}"
        tx.do(f.ErrorSet(instance.id, why, instance.seen))


def _decoded(fields: tuple[Field, ...], values: dict[str, Any], where: str) -> dict[str, Any]:
    kinds = {field.name: field.kind for field in fields}
    unknown = next((name for name in values if name and name not in kinds and values[name] is not None), None)
    if unknown is not None:
        raise WrongType(f"{where} has no {unknown!r}.")
    found = {name: to_json(decode(kinds[name], value, f"{where}.{name}")) for name, value in values.items() if name}
    return {name: value for name, value in found.items() if value is not None}


def _is_readable(fields: tuple[Field, ...], name: str, value: Any) -> bool:
    try:
        return bool(_decoded(fields, {name: value}, "out"))
    except CopernicusError:
        return False


def _replace(tx: Transaction, instance: Instance, side: str, old: dict[str, Any], new: dict[str, Any]) -> None:
    """Write what differs, without anybody being told: nothing is to follow from it."""
    for name in {**old, **new}:
        if not tree.is_same(old.get(name), new.get(name)):
            if any(path[0] == name for path in instance.links.get(side, {})):
                raise Refused(
                    f"{building.place_text(tx, Place(instance.id, side, (name,)))} is partly connected.", "Disconnect it first."
                )
            tx.do(f.Wrote(instance.id, side, (name,), new.get(name)))


# --- networks ----------------------------------------------------------------------------------------------------


def _rebuild(tx: Transaction, instance: Instance, known: FunctionSchema) -> None:
    """Make the inside of a network what its installed function says: instances that stay keep all they have."""
    installed = instance.function
    wanted = {one.name: one for one in installed.instances}
    for link in _only(known.connections, installed.connections):
        place = building.inner_place(tx, instance, link.destination)
        if place.path in tx.network.instances[place.instance].links[place.side]:
            tx.do(f.Disconnected(*place))
    for one in known.instances:
        id = instance.children.get(one.name)
        if id is not None and (one.name not in wanted or wanted[one.name].function != one.function):
            building.remove_instance(tx, tx.network.instances[id])
    for name, one in wanted.items():
        if name not in instance.children:
            building.make_instance(tx, one.function, name, instance)
        building.give_constants(tx, tx.network.instances[instance.children[name]], one)
    for link in installed.connections:
        building.connect(
            tx, building.inner_place(tx, instance, link.source), building.inner_place(tx, instance, link.destination)
        )


def _only(known: Iterable[Any], installed: Iterable[Any]) -> list[Any]:
    stays = set(installed)
    return [link for link in known if link not in stays]
