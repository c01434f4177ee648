"""Which plug-ins there are: entry points, folders of modules, folders of executables. Read afresh at each call."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import shutil
import sys
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from copernicus.config.places import settings_home
from copernicus.errors import CopernicusError
from copernicus.plugin.executables import Executable, NotHere
from copernicus.plugin.programs import allowed_program, programs_file, read_programs
from copernicus.plugin.toml import TomlError, read_executables

FUNCTIONS, EXECUTABLES, PLATFORMS = "copernicus.functions", "copernicus.executables", "copernicus.platforms"
PACKAGE = "copernicus_modules"


@dataclass(frozen=True)
class Entry:
    """One plug-in: `loaded` is the object found, or None and `error` says why not, with file and line.

    `file` is the TOML file beside it (functions.toml, executables.toml), which declares more of the same, or None.
    """

    name: str
    source: str
    loaded: Any = None
    error: str = ""
    file: Path | None = None


@dataclass(frozen=True)
class Found:
    """An executable that can be run here, with the version that was found."""

    executable: Executable
    version: str
    source: str


@dataclass(frozen=True)
class Absent:
    """An executable, or a whole file of them, that cannot be run here, and why."""

    name: str
    why: str
    source: str


def functions(environment: Mapping[str, str] = os.environ) -> list[Entry]:
    """Return the workflow modules: the objects `module`, from entry points and from `<settings home>/modules`."""
    return [*_entry_points(FUNCTIONS, "functions"), *_folder_modules("functions", "module", environment)]


def module_folders(folder: Path, kind: str) -> list[Path]:
    """Return the folders of modules below `folder` that have functions (or executables), in Python or as a TOML file."""
    if not folder.is_dir():
        return []
    folders = (each for each in folder.iterdir() if not each.name.startswith((".", "__")))
    return sorted(each for each in folders if (each / f"{kind}.py").is_file() or (each / f"{kind}.toml").is_file())


def toml_beside(path: Path) -> Path | None:
    """Return the file of the same name that ends in .toml, if there is one."""
    file = path.with_suffix(".toml")
    return file if file.is_file() else None


def platforms() -> list[Entry]:
    """Return the platforms of the worker: classes, by the names under which they are asked for."""
    return list(_entry_points(PLATFORMS))


def executables(
    environment: Mapping[str, str] = os.environ, allowed: Sequence[str] = ()
) -> tuple[list[Found], list[Absent]]:  # fmt: skip
    """Return the executables that can be run here and those that cannot, with the reason.

    `allowed` are further programs of the PATH that jobs may run by name, beside those of `programs.toml`.
    Where two have the same name, version and platform, the person's own folders come before installed packages.
    """
    found: dict[tuple[str, str, str], Found] = {}
    absent: list[Absent] = []
    for item in [*_from_folders(environment), *_from_modules(environment), *_from_programs(environment, allowed)]:
        if isinstance(item, Found):
            found.setdefault((item.executable.name, item.version, item.executable.platform), item)
        else:
            absent.append(item)
    return sorted(found.values(), key=lambda one: (one.executable.name, one.version)), absent


def _entry_points(group: str, kind: str = "") -> Iterator[Entry]:
    importlib.invalidate_caches()
    for point in sorted(importlib.metadata.entry_points(group=group), key=lambda point: point.name):
        source = f"entry point {point.value}"
        try:
            loaded = point.load()
            file = toml_beside(Path(sys.modules[point.module].__file__ or "").with_name(f"{kind}.py")) if kind else None
            if isinstance(loaded, ModuleType) and file is not None:
                loaded = None  # the package itself: everything stands in its file
            yield Entry(point.name, source, loaded, file=file)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a plug-in may do anything while it is imported, SystemExit included
            yield Entry(point.name, source, error=describe(error))


def _folder_modules(kind: str, attribute: str, environment: Mapping[str, str]) -> Iterator[Entry]:
    """The packages in `<settings home>/modules`, importable as `copernicus_modules.<name>`."""
    folder = settings_home(environment) / "modules"
    add_modules_folder(folder)
    for package in module_folders(folder, kind):
        yield load_folder(package, kind, attribute, f"{PACKAGE}.{package.name}.{kind}")


def add_modules_folder(folder: Path) -> None:
    """Let the packages in `folder` be imported as `copernicus_modules.<name>`, before those of other folders."""
    parent = sys.modules.setdefault(PACKAGE, ModuleType(PACKAGE))
    others = [each for each in getattr(parent, "__path__", []) if each != str(folder)]
    parent.__path__ = [str(folder), *others]
    importlib.invalidate_caches()


def load_folder(package: Path, kind: str, attribute: str, import_name: str) -> Entry:
    """Return what a module's folder has: `attribute` of its Python file, and the TOML file beside that."""
    path = package / f"{kind}.py"
    file = toml_beside(path)
    if not path.is_file():
        return Entry(package.name, str(file), file=file)
    try:
        return Entry(package.name, str(path), getattr(importlib.import_module(import_name), attribute), file=file)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        return Entry(package.name, str(path), error=describe(error), file=file)


def _from_modules(environment: Mapping[str, str]) -> Iterator[Found | Absent]:
    found = _entry_points(EXECUTABLES, "executables")
    for entry in [*_folder_modules("executables", "executables", environment), *found]:
        if entry.file is not None:
            yield from _from_file(entry.file)
        if entry.error:
            yield Absent(entry.name, entry.error, entry.source)
        elif entry.loaded is not None or entry.file is None:
            yield from _declared(entry)


def _declared(entry: Entry) -> Iterable[Found | Absent]:
    try:
        declared = list(entry.loaded() if callable(entry.loaded) else entry.loaded)
        wrong = [one for one in declared if not isinstance(one, Executable)]
        if wrong:
            raise TypeError(f"`executables` holds {wrong[0]!r}, which is no Executable")
    except Exception as error:
        return [Absent(entry.name, describe(error), entry.source)]
    return [_probed(one, entry.source) for one in declared]


def _from_folders(environment: Mapping[str, str]) -> Iterator[Found | Absent]:
    given = [Path(part).expanduser() for part in environment.get("CPC_EXECUTABLES_PATH", "").split(os.pathsep) if part]
    for folder in [*given, settings_home(environment) / "executables"]:
        if folder.is_dir():
            for file in sorted(folder.iterdir()):
                if file.is_file() and not file.name.startswith(".") and not file.name.endswith("~"):
                    yield from _from_file(file)
        elif folder in given:
            yield Absent(str(folder), "there is no such folder", "$CPC_EXECUTABLES_PATH")


def _from_programs(environment: Mapping[str, str], allowed: Sequence[str]) -> Iterator[Found | Absent]:
    file = programs_file(environment)
    try:
        listed = read_programs(file)
    except (TomlError, OSError) as error:
        yield Absent(file.name, str(error), str(file))
        listed = []
    for name in dict.fromkeys([*allowed, *listed]):
        yield _probed(allowed_program(name), "--allow" if name in allowed else str(file))


def _from_file(file: Path) -> Iterable[Found | Absent]:
    try:
        return [_probed(executable, str(file)) for executable in read_executables(file)]
    except (TomlError, OSError) as error:
        return [Absent(file.parent.name if file.name == "executables.toml" else file.name, str(error), str(file))]


def _probed(executable: Executable, source: str) -> Found | Absent:
    try:
        version = executable.probe() if executable.probe else executable.version
    except NotHere as error:
        return Absent(executable.name, str(error), source)
    except Exception as error:
        return Absent(executable.name, describe(error), source)
    if not version:
        return Absent(executable.name, "it has no version: neither a fixed one nor a probe", source)
    if not executable.argv or shutil.which(executable.command[0]) is None:
        return Absent(executable.name, f"there is no program {(executable.command or ('',))[0]!r} on the PATH", source)
    return Found(executable, version, source)


def describe(error: BaseException) -> str:
    """Return what went wrong and where, as one line: `SyntaxError: invalid syntax (functions.py:3)`."""
    kind = type(error).__name__
    if isinstance(error, CopernicusError):
        return str(error)  # a refused declaration says itself where it stands
    if isinstance(error, SyntaxError):
        return f"{kind}: {error.msg} ({error.filename}:{error.lineno})"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not _is_machinery(frame.filename)]
    where = f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""
    return f"{kind}: {error}{where}"


def _is_machinery(file: str) -> bool:
    own = (__file__, importlib.__file__, importlib.metadata.__file__)
    return file.startswith("<frozen") or file in own
