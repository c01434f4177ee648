"""Executables declared without Python: TOML files, and programs that print TOML.

In `argv` and `environment`, `{folder}` stands for the folder of the file, `{python}` for the worker's interpreter; a
program `./x` is one of that folder.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from copernicus.plugin.executables import PROBE_LIMIT_S, Executable, probe_program

_KEYS: dict[str, tuple[type, ...]] = {
    "name": (str,), "version": (str, dict), "platform": (str,), "argv": (list,), "environment": (dict,),
}  # fmt: skip
_KINDS: dict[type, str] = {str: "a text", dict: "a table", list: "a list"}


class TomlError(Exception):
    """The file cannot be used; the text says why, with file and line."""


def read_executables(file: Path) -> list[Executable]:
    """Return the executables that `file` declares: it is TOML (`*.toml`), or a program that prints TOML.

    Either one executable (`name`, `version`, `argv`, optionally `platform` and the table `environment`), or several as
    an array of tables `[[executable]]`. `version` is a text, or how it is found: `{ argv = […], find = "regex" }`.
    Raises `TomlError`.
    """
    if file.suffix == ".toml":
        text = file.read_text("utf-8", "replace")
    elif os.access(file, os.X_OK):
        text = _printed_by(file)
    else:
        raise TomlError(f"{file} is neither a .toml file nor an executable program")
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise TomlError(f"{file}: {error}") from None
    rows = data.get("executable", [data]) if set(data) <= {"executable"} else [data]
    if not isinstance(rows, list) or not data:
        raise TomlError(f"{file}:1: nothing is declared here; needed are name, version and argv")
    return [_executable(row, file, text) for row in rows]


def _printed_by(program: Path) -> str:
    try:
        done = subprocess.run([str(program)], stdin=subprocess.DEVNULL, capture_output=True, timeout=PROBE_LIMIT_S, check=False)
    except subprocess.TimeoutExpired:
        raise TomlError(f"{program} did not end within {PROBE_LIMIT_S:g} s") from None
    except OSError as error:
        raise TomlError(f"{program} cannot be started: {error.strerror}") from None
    if done.returncode != 0:
        last = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:] or ["it said nothing"]
        raise TomlError(f"{program} ended with status {done.returncode}: {last[0][:300]}")
    return done.stdout.decode("utf-8", "replace")


def _executable(row: Any, file: Path, text: str) -> Executable:
    if not isinstance(row, dict):
        raise TomlError(f"{file}:1: `executable` must be an array of tables ([[executable]])")
    for key, value in row.items():
        if key not in _KEYS:
            raise TomlError(f"{file}:{_line(text, key)}: unknown key {key!r}; known are {', '.join(_KEYS)}")
        if not isinstance(value, _KEYS[key]):
            kinds = " or ".join(_KINDS[kind] for kind in _KEYS[key])
            raise TomlError(f"{file}:{_line(text, key)}: {key} must be {kinds}")
    for key in ("name", "version", "argv"):
        if not row.get(key):
            raise TomlError(f"{file}:{_line(text, key)}: {key} is missing")
    argv, environment = row["argv"], row.get("environment", {})
    if not all(isinstance(part, str) for part in argv):
        raise TomlError(f"{file}:{_line(text, 'argv')}: every part of argv must be a string")
    if not all(isinstance(value, str) for value in environment.values()):
        raise TomlError(f"{file}:{_line(text, 'environment')}: every value of environment must be a string")
    version = row["version"]
    return Executable(
        row["name"],
        _placed(argv, file),
        version if isinstance(version, str) else "",
        _probe(version, file, text) if isinstance(version, dict) else None,
        platform=row.get("platform", "smp"),
        environment=dict(zip(environment, _filled(environment.values(), file), strict=True)),
    )


def _probe(version: dict[str, Any], file: Path, text: str) -> Callable[[], str]:
    argv, find = version.get("argv"), version.get("find", r"(\d\S*)")
    if not (isinstance(argv, list) and argv and all(isinstance(part, str) for part in argv) and isinstance(find, str)):
        where = f"{file}:{_line(text, 'version')}"
        raise TomlError(f'{where}: a version that is found is written {{ argv = ["prog", "--version"], find = "(\\S+)" }}')
    try:
        return probe_program(_placed(argv, file), find if re.compile(find).groups else f"({find})")
    except re.error as error:
        raise TomlError(f"{file}:{_line(text, 'version')}: {find!r} is no regular expression: {error}") from None


def _placed(argv: list[str], file: Path) -> tuple[str, ...]:
    first, *rest = _filled(argv, file)
    return (str(file.parent.absolute() / first) if first.startswith("./") else first, *rest)


def _filled(texts: Iterable[str], file: Path) -> list[str]:
    return [text.replace("{folder}", str(file.parent.absolute())).replace("{python}", sys.executable) for text in texts]


def _line(text: str, key: str) -> int:
    """The line on which `key` is given, or 1."""
    match = re.search(rf"^\s*\[*\s*{re.escape(key)}\b", text, re.MULTILINE)
    return text.count("\n", 0, match.end()) + 1 if match else 1
