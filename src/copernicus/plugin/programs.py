"""Programs and Python modules that a worker's owner lets jobs run by name: those of `programs.toml`, and no others."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path

from copernicus.blobs.hashing import hash_file
from copernicus.config.places import settings_home
from copernicus.plugin.executables import Executable, NotHere
from copernicus.plugin.python_function import MODULE_VARIABLE
from copernicus.plugin.toml import TomlError

FILE_NAME = "programs.toml"
HASH_DIGITS = 12
PYTHON = "python:"
"""What the name of a Python module begins with whose functions jobs may call: `python:mymodule`."""
FUNCTIONS = "copernicus.plugin.python_function"


def programs_file(environment: Mapping[str, str] = os.environ) -> Path:
    """Return where the list lies: `programs.toml` in the settings home."""
    return settings_home(environment) / FILE_NAME


def read_programs(file: Path) -> list[str]:
    """Return the names that `file` allows (`allow = ["gmx", "python3"]`), none when there is no file; raise `TomlError`."""
    try:
        text = file.read_text("utf-8", "replace")
    except FileNotFoundError:
        return []
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise TomlError(f"{file}: {error}") from None
    names = data.pop("allow", [])
    if data:
        raise TomlError(f'{file}: unknown key {next(iter(data))!r}; the file says allow = ["gmx", "python3"]')
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise TomlError(f'{file}: `allow` is a list of names: allow = ["gmx", "python3"]')
    for name in names:
        if not is_program_name(name):
            raise TomlError(f"{file}: {name!r} is no name of a program; a path goes into a file of ~/.copernicus/executables")
    return list(dict.fromkeys(names))


def is_program_name(name: str) -> bool:
    """Whether `name` can be looked up on the PATH (one word, no path, no flag), or is that of a module: `python:mymodule`."""
    if name.startswith(PYTHON):
        return all(part.isidentifier() for part in name.removeprefix(PYTHON).split("."))
    return bool(name) and not name.startswith(("-", ".")) and not set(name) & set("/\\ \t\n\0")


def allowed_program(name: str, path: str | None = None) -> Executable:
    """Return the executable `name` that runs the program of that name on the PATH (`path`, or the worker's own).

    Its version is the hash of the program's file: any other program is another version. Where there is none, its probe says so.
    `python:mymodule` is the executable that calls functions of that Python module, found as the worker itself finds modules.
    """
    if name.startswith(PYTHON):
        module = name.removeprefix(PYTHON)
        argv = (sys.executable, "-P", "-m", FUNCTIONS)
        return Executable(
            name, argv, probe=_version_of(module), environment={MODULE_VARIABLE: module}, warm=FUNCTIONS
        )  # fmt: skip
    place = shutil.which(name, path=path)
    return Executable(name, (place or name,), probe=_hash_of(name, place))


def _version_of(module: str) -> Callable[[], str]:
    def probe() -> str:
        try:
            spec = importlib.util.find_spec(module)
        except ImportError as error:
            raise NotHere(str(error)) from None
        if spec is None:
            raise NotHere(f"there is no Python module {module} (looked for where $PYTHONPATH and the installation say)")
        if spec.origin is None or not Path(spec.origin).is_file():
            raise NotHere(f"{module} is no Python module with a file of its own")
        return _hash_of(module, spec.origin)()

    return probe


def _hash_of(name: str, place: str | None) -> Callable[[], str]:
    def probe() -> str:
        if place is None:
            raise NotHere(f"there is no program {name} on the PATH")
        try:
            return f"b3.{hash_file(Path(place))[0][:HASH_DIGITS]}"
        except OSError as error:
            raise NotHere(f"{place} cannot be read: {error.strerror}") from None

    return probe
