"""The modules of a server, loaded: from entry points, from folders, from Python and from functions.toml."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec

from copernicus.errors import CopernicusError, ModuleError
from copernicus.model.functions import ModuleSchema
from copernicus.plugin import registry
from copernicus.plugin.function_files import read_functions
from copernicus.plugin.module import Function, Module


class Catalog:
    """All modules that could be loaded, and why others could not."""

    def __init__(self, import_path: str = "") -> None:
        self.modules: dict[str, Module] = {}
        self.errors: dict[str, str] = {}
        for entry in [*registry.functions(), *_modules_on(import_path)]:
            try:
                module = module_of(entry)
            except CopernicusError as error:
                self.errors[entry.name] = str(error)
                continue
            # A person's own module comes later, and stands in the place of an installed one of the same name.
            self.modules[module.name] = module
            self.errors.pop(module.name, None)
        self.functions = {function.name: function for module in self.modules.values() for function in module.functions.values()}

    functions: dict[str, Function[..., object]]

    def schemas(self) -> list[ModuleSchema]:
        """Return every module as data, by name; those with an error have no functions."""
        schemas = {name: module.schema() for name, module in self.modules.items()}
        for name, error in self.errors.items():
            known = schemas.get(name)
            schemas[name] = msgspec.structs.replace(known, error=error) if known else ModuleSchema(name, error=error)
        return [schemas[name] for name in sorted(schemas)]


def module_of(entry: registry.Entry) -> Module:
    """Return the module of an entry, with what a functions.toml beside it declares; raise `ModuleError`."""
    if entry.error:
        raise ModuleError(entry.error)
    module = entry.loaded
    if module is None and entry.file is not None:
        module = Module(entry.name.replace("-", "_"))
    if not isinstance(module, Module):
        raise ModuleError(f"{entry.source} is not a Module, but {module!r}.")
    if entry.file is not None:
        read_functions(entry.file, module)
    return module


def _modules_on(import_path: str) -> Iterator[registry.Entry]:
    """The modules in further folders, which are put on Python's path."""
    for folder in (Path(part) for part in import_path.split(os.pathsep) if part):
        sys.path.insert(0, str(folder))
        for package in registry.module_folders(folder, "functions"):
            yield registry.load_folder(package, "functions", "module", f"{package.name}.functions")


def load_module(folder: Path) -> Module:
    """Return the module in `folder` as a server would load it, afresh; raise `ModuleError` when it cannot be loaded."""
    folder = folder.absolute()
    registry.add_modules_folder(folder.parent)
    if folder not in registry.module_folders(folder.parent, "functions"):
        raise ModuleError(f"{folder} is no module.", "A module has a file functions.py or functions.toml.")
    name = f"{registry.PACKAGE}.{folder.name}"
    for known in [each for each in sys.modules if each == name or each.startswith(f"{name}.")]:
        del sys.modules[known]  # it may be from another folder of this name, or older
    return module_of(registry.load_folder(folder, "functions", "module", f"{name}.functions"))
