"""What people ask for: each edit checked, and done as facts, or refused with the reason."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import islice
from typing import Any

from copernicus.dataflow import building, facts as f, tree
from copernicus.dataflow.answers import look_again_below
from copernicus.dataflow.converting import upgrade_module
from copernicus.dataflow.declaring import declare_function
from copernicus.dataflow.evaluating import reopen, unstruck
from copernicus.dataflow.network import ROOT, Instance, Network, Place
from copernicus.dataflow.paths import APPEND, INDEX_LIMIT, Path, clean_function, clean_name, must_have_members, parse_path
from copernicus.dataflow.status import clearable_error
from copernicus.dataflow.transaction import Transaction
from copernicus.dataflow.views import length_of
from copernicus.errors import ModuleError, Refused, TooLarge, UnknownPath, UsageError, WrongType
from copernicus.model import edits as e
from copernicus.model.types import Type, decode
from copernicus.model.values import to_json

LITERAL_LIMIT_BYTES = 1024 * 1024
NAMES_SHOWN = 20


def find_instance(network: Network, names: tuple[str, ...]) -> Instance:
    """Return the instance with this path; `UnknownPath` names the part that does not exist and what stands there."""
    instance = network.instances[ROOT]
    for depth, name in enumerate(names):
        id = instance.children.get(name)
        if id is None:
            where = f"in {':'.join(names[:depth])}" if depth else "in this project"
            there = [*islice(instance.children, NAMES_SHOWN), *(["…"] if len(instance.children) > NAMES_SHOWN else [])]
            raise UnknownPath(f"There is no instance {name!r} {where}.", f"There are: {', '.join(there) or 'none'}.")
        instance = network.instances[id]
    return instance


def _named(network: Network, text: str) -> Instance:
    """The instance that an edit is about: whoever names one of its places does not mean all of it."""
    path = parse_path(text)
    instance = find_instance(network, path.names)
    if path.side:
        hint = f"To do it to the whole instance, name that: {':'.join(path.names)}" if path.names else ""
        raise UsageError(f"{text} is a place, and this is done to instances.", hint)
    return instance


def find_place(network: Network, path: Path, text: str) -> Place:
    """Return the place that `path` names; its type is checked where it is used."""
    must_have_members(path, text)
    return Place(find_instance(network, path.names).id, path.side, path.members)


def apply_edit(tx: Transaction, edit: e.Edit) -> str:
    """Do one edit; return a line to tell, "" for none. Raises `Refused`, `UnknownPath` or `WrongType` with the reason."""
    return _APPLY[type(edit)](tx, edit)


# --- instances and connections -----------------------------------------------------------------------------------


def _import(tx: Transaction, edit: e.ImportModule) -> str:
    name = edit.module.replace("-", "_")
    tx.catalog.module(name)
    if name not in tx.network.imported:
        tx.do(f.Imported(name))
    return ""


def _make(tx: Transaction, edit: e.MakeInstance) -> str:
    function = clean_function(edit.function)
    building.make_instance(tx, function, clean_name(edit.name), tx.network.instances[ROOT], is_held=True)
    return ""


def _remove(tx: Transaction, edit: e.RemoveInstance) -> str:
    instance = _named(tx.network, edit.path)
    if instance.id == ROOT:
        raise UsageError("The name of the instance is empty.")
    if instance.parent != ROOT:
        raise Refused(f"{edit.path!r} cannot be removed: {_owner(tx.network, instance)}.", "Remove what is around it.")
    building.remove_instance(tx, instance)
    return ""


def _rename(tx: Transaction, edit: e.RenameInstance) -> str:
    network, name = tx.network, clean_name(edit.name)
    instance = _named(network, edit.path)
    if instance.id == ROOT:
        raise UsageError("The name of the instance is empty.")
    if instance.parent != ROOT:
        raise Refused(f"{edit.path!r} cannot be renamed: {_owner(network, instance)}.", "Rename what is around it.")
    if name != instance.name:
        building.rename_instance(tx, instance, name)
    return ""


def _connect(tx: Transaction, edit: e.Connect) -> str:
    source = find_place(tx.network, parse_path(edit.source), edit.source)
    _refuse_append(source, edit.source)
    if source.side == "state":
        raise Refused(f"{edit.source} is a controller's memory; connect its outputs instead.")
    destination = building.resolve_append(tx, _writable(tx, edit.destination))
    building.connect(tx, source, destination)
    return building.place_text(tx, destination) if "[+]" in edit.destination else ""


def _refuse_append(place: Place, text: str) -> None:
    if APPEND in place.path:
        raise UnknownPath(f"{text} does not exist: [+] makes an element.", "Name the element by its index.")


def _disconnect(tx: Transaction, edit: e.Disconnect) -> str:
    place = _writable(tx, edit.destination)
    links = tx.network.instances[place.instance].links[place.side]
    if place.path not in links:
        raise Refused(f"Nothing is connected to {edit.destination}.")
    building.disconnect(tx, place)
    return ""


# --- values ------------------------------------------------------------------------------------------------------


def _owner(network: Network, instance: Instance) -> str:
    around = network.instances[instance.parent]
    kind = around.function.kind
    made_by = {"controller": "was made by the controller", "scatter": "is an index of", "network": "is part of"}[kind]
    return f"{network.path_of(instance.id)} {made_by} {network.path_of(around.id)}"


def _writable(tx: Transaction, text: str) -> Place:
    """The place that a user names as one to write to; refused when a user may not, with what to do instead."""
    network = tx.network
    place = find_place(network, parse_path(text), text)
    building.type_of(tx, place)
    instance = network.instances[place.instance]
    if place.side != "in":
        kind = "an output" if place.side == "out" else "a controller's memory"
        raise Refused(f"{text} is {kind}: only {network.path_of(instance.id)} itself writes it.")
    if instance.parent != ROOT:
        hint = "Set the inputs of that instance instead."
        if instance.index is not None:
            members = (place.path[0], instance.index, *place.path[1:])
            hint = f"Set {building.place_text(tx, Place(instance.parent, 'in', members))} instead."
        raise Refused(f"{text} cannot be set: {_owner(network, instance)}.", hint)
    if any(isinstance(member, int) and member > INDEX_LIMIT for member in place.path):
        raise TooLarge(f"{text}: an array has at most {INDEX_LIMIT} elements.")
    return place


def read_text(kind: Type, text: str, where: str) -> Any:
    """Read what a person typed as a value of type `kind`; arrays and records are written as JSON."""
    if len(text.encode(errors="surrogatepass")) > LITERAL_LIMIT_BYTES:
        raise TooLarge(f"{where}: a value given as text may have at most 1 MiB.", "Use a file (setf) for more.")
    word = text.strip()
    try:
        match kind.kind:
            case "file":
                raise WrongType(f"{where} is a file.", f"Use setf: cpcc setf {where} FILE")
            case "string":
                return decode(kind, text, where)
            case "int":
                return decode(kind, int(word), where)
            case "float":
                return decode(kind, float(word), where)
            case "bool":
                return _BOOLS[word.lower()]
            case _:
                return decode(kind, json.loads(word), where)
    except (ValueError, KeyError, RecursionError):
        shown = text if len(text) <= 60 else text[:57] + "…"
        raise WrongType(f"{where}: {shown!r} is not {_in_words(kind)}.") from None


_BOOLS = dict.fromkeys(("true", "yes", "on", "1"), True) | dict.fromkeys(("false", "no", "off", "0"), False)


def _in_words(kind: Type) -> str:
    words = {"int": "a whole number", "float": "a number", "bool": "true or false"}
    return words.get(kind.kind, f"{kind.required} written as JSON")


def _settable(tx: Transaction, text: str) -> Place:
    place = _writable(tx, text)
    building.refuse_connected(tx, building.resolve_append(tx, place))
    return place


def _write(tx: Transaction, place: Place, value: Any) -> str:
    chosen = building.resolve_append(tx, place)
    tx.write(chosen, value)
    return building.place_text(tx, chosen) if chosen != place else ""


def _set_text(tx: Transaction, edit: e.SetText) -> str:
    place = _settable(tx, edit.path)
    return _write(tx, place, to_json(read_text(building.type_of(tx, place), edit.text, edit.path)))


def _set_value(tx: Transaction, edit: e.SetValue) -> str:
    place = _settable(tx, edit.path)
    return _write(tx, place, to_json(decode(building.type_of(tx, place), edit.value, edit.path)))


def _set_file(tx: Transaction, edit: e.SetFile) -> str:
    place = _settable(tx, edit.path)
    kind = building.type_of(tx, place)
    if kind.kind != "file":
        raise WrongType(f"{edit.path} is {kind.required}, not a file.", f"Use set: cpcc set {edit.path} VALUE")
    return _write(tx, place, to_json(edit.file))


def _unset(tx: Transaction, edit: e.Unset) -> str:
    place = _settable(tx, edit.path)
    _refuse_append(place, edit.path)
    last, array = place.path[-1], Place(place.instance, place.side, place.path[:-1])
    own = tree.read(tx.network.instances[place.instance].values["in"], place.path)
    length = length_of(tx.network, array) if isinstance(last, int) else None
    if isinstance(last, int) and length == last + 1:
        tx.shorten(array, last)
    elif own is None:
        raise Refused(f"{edit.path} is not set.")
    else:
        tx.do(f.Wrote(place.instance, place.side, place.path, None))
        tx.changed.append(place)
    return ""


# --- holding and errors ------------------------------------------------------------------------------------------


def _below(tx: Transaction, path: str) -> list[Instance]:
    return list(tx.network.subtree(_named(tx.network, path)))


def _activate(tx: Transaction, edit: e.Activate) -> str:
    for instance in _below(tx, edit.path):
        if instance.is_held:
            tx.do(f.Held(instance.id, False))
        tx.consider(instance)
        tx.to_recheck[instance.id] = None
    return ""


def _deactivate(tx: Transaction, edit: e.Deactivate) -> str:
    network = tx.network
    instance = _named(network, edit.path)
    targets = list(network.children(instance)) if instance.id == ROOT else [instance]
    for one in targets:
        if not one.is_held:
            tx.do(f.Held(one.id, True))
        look_again_below(tx, one)
        if edit.is_now:
            tx.to_stop.update(dict.fromkeys(below.id for below in network.subtree(one)))
    return ""


def _clear_error(tx: Transaction, edit: e.ClearError) -> str:
    network, count = tx.network, 0
    for instance in _below(tx, edit.path):
        if not clearable_error(network, instance):
            continue
        count += 1
        if instance.error:
            tx.do(f.ErrorCleared(instance.id))
            tx.touch(instance)
            network.derive(instance, "depth", 0)
        else:
            evaluation = network.evaluations[instance.key]
            reopen(tx, evaluation)
            for id in sorted(evaluation.wanted):
                tx.consider(network.instances[id])
                if evaluation.function.kind == "pure":
                    _renew(tx, network.instances[id])
    return "" if count else "nothing was in error"


def _renew(tx: Transaction, instance: Instance) -> None:
    tx.do(f.Renewed(instance.id))
    tx.touch(instance)


def _force_rerun(tx: Transaction, edit: e.ForceRerun) -> str:
    network = tx.network
    top = _named(network, edit.path)
    if top.id == ROOT:
        raise Refused("force-rerun needs the path of an instance.")
    stack = [top]
    while stack:
        instance = stack.pop()
        if instance.function.name in network.outdated:
            raise ModuleError(f"{edit.path} cannot be made anew: {network.outdated[instance.function.name]}")
        if instance.function.kind == "controller":
            for child in list(network.children(instance)):
                building.remove_instance(tx, child)
            tx.do(f.Reset(instance.id))
            if instance.error:
                tx.do(f.ErrorCleared(instance.id))
            # The answer to a call that is under way comes from the memory that is gone now.
            network.derive(instance, "in_flight", 0)
            tx.changed += [Place(instance.id, "out", (field.name,)) for field in instance.function.outputs]
            tx.touch(instance)
        elif instance.is_evaluated and (instance.key or instance.error):
            base = instance.key.partition("~")[0]
            if base and instance.key == unstruck(network, base):  # else it was struck out before, for another instance
                tx.do(f.Struck(base))
            if instance.error:
                tx.do(f.ErrorCleared(instance.id))
            _renew(tx, instance)
        else:
            stack += network.children(instance)
    return ""


_APPLY: dict[type[Any], Callable[[Transaction, Any], str]] = {
    e.ImportModule: _import, e.DeclareFunction: declare_function, e.MakeInstance: _make, e.RemoveInstance: _remove,
    e.RenameInstance: _rename, e.Connect: _connect, e.Disconnect: _disconnect, e.SetText: _set_text, e.SetValue: _set_value,
    e.SetFile: _set_file, e.Unset: _unset, e.Activate: _activate, e.Deactivate: _deactivate, e.ClearError: _clear_error,
    e.ForceRerun: _force_rerun,
    e.UpgradeModule: upgrade_module,
}  # fmt: skip
