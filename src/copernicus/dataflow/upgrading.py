"""Functions that are not what they were when a project used them: taken over silently, or their instances are outdated."""

from __future__ import annotations

from copernicus.dataflow import facts as f
from copernicus.dataflow.compatibility import incompatibilities
from copernicus.dataflow.declaring import is_local
from copernicus.dataflow.transaction import Catalog, Transaction
from copernicus.model.functions import FunctionSchema

_WORKING = ("command", "pure", "controller")
"""Kinds whose code must be there; networks and scatters are but schemas, which the project keeps."""


def adopt_installed(tx: Transaction) -> None:
    """Compare each function that the project knows with the one that is installed, once the log was read.

    What may take its place does, by a fact; of the others the instances are outdated. Nothing is evaluated anew by that.
    """
    network, outdated = tx.network, dict[str, str]()
    made: dict[str, dict[int, FunctionSchema]] = {}
    for instance in network.instances.values():
        made.setdefault(instance.function.name, {})[id(instance.function)] = instance.function
    for name, known in list(network.functions.items()):
        if is_local(name):
            continue
        installed = tx.catalog.functions.get(name)
        if installed is None:
            if known.kind in _WORKING:
                outdated[name] = _absence(tx.catalog, name)
            continue
        used = [*made.get(name, {}).values()]
        lines = dict.fromkeys(line for schema in used for line in incompatibilities(schema, installed))
        if lines:
            outdated[name] = _difference(name, list(lines))
        elif installed != known or any(schema != installed for schema in used):
            tx.do(f.Adopted(installed))
    network.outdated = outdated


def _absence(catalog: Catalog, name: str) -> str:
    module = name.partition("::")[0]
    found = catalog.modules.get(module)
    if found is None:
        return f"The module {module} is not installed on this server. Install it, and start the server again."
    if found.error:
        return f"The module {module} cannot be used: {found.error}"
    return f"The module {module} that is installed has no function {name}. Install the version that has it."


def _difference(name: str, lines: list[str]) -> str:
    return (
        f"{name} has changed since this project used it: {'; '.join(lines)}. "
        f"Install the earlier version, or convert its instances: cpcc upgrade {name.partition('::')[0]}"
    )
