"""Executables declared without Python: TOML files, and programs that print TOML.

In `argv` and `environment`, `{folder}` stands for the folder of the file, `{python}` for the worker's interpreter; a
program `./x` is one of that folder. What else stands in braces in `container` is said in `containers`.
"""

from __future__ import annotations

import os
import re
import sys
import tomllib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from copernicus.plugin.containers import ENVIRONMENT, WORDS, Container, unknown_words
from copernicus.plugin.executables import Executable, probe_program
from copernicus.plugin.probing import Unanswered, ask

_KEYS: dict[str, tuple[type, ...]] = {
    "name": (str,), "version": (str, dict), "platform": (str,), "argv": (list,), "environment": (dict,),
    "container": (list, dict),
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
        answer = ask([str(program)])
    except Unanswered as error:
        raise TomlError(str(error)) from None
    if answer.status != 0:
        last = answer.stderr.strip().splitlines()[-1:] or ["it said nothing"]
        raise TomlError(f"{program} ended with status {answer.status}: {last[0][:300]}")
    return answer.stdout


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
    version, container = row["version"], _container(row.get("container"), file, text)
    return Executable(
        row["name"],
        _placed(argv, file),
        version if isinstance(version, str) else "",
        _probe(version, container, file, text) if isinstance(version, dict) else None,
        platform=row.get("platform", "smp"),
        environment=dict(zip(environment, _filled(environment.values(), file), strict=True)),
        container=container,
    )


def _container(given: Any, file: Path, text: str) -> Container | None:
    """`container` is what comes before the command line, or a table of that (`prefix`) and of what ends it (`end`)."""
    if given is None:
        return None
    where = f"{file}:{_line(text, 'container')}"
    table = given if isinstance(given, dict) else {"prefix": given}
    if not table.get("prefix") or table.keys() - {"prefix", "end"}:
        raise TomlError(f"{where}: container must be a list of texts, or a table of the lists prefix and end")
    lists = {}
    for key, words in table.items():
        if not isinstance(words, list) or not words or not all(isinstance(word, str) for word in words):
            raise TomlError(f"{where}: {key} of the container must be a list of texts")
        lists[key] = _placed(words, file)
        if unknown := unknown_words(lists[key]):
            known = ", ".join(f"{{{word}}}" for word in (*WORDS, "folder", "python"))
            raise TomlError(f"{where}: {{{unknown[0]}}} stands for nothing; known are {known} and {ENVIRONMENT}")
    return Container(lists["prefix"], lists.get("end", ()))


def _probe(version: dict[str, Any], container: Container | None, file: Path, text: str) -> Callable[[], str]:
    argv, find = version.get("argv"), version.get("find", r"(\d\S*)")
    if not (isinstance(argv, list) and argv and all(isinstance(part, str) for part in argv) and isinstance(find, str)):
        where = f"{file}:{_line(text, 'version')}"
        raise TomlError(f'{where}: a version that is found is written {{ argv = ["prog", "--version"], find = "(\\S+)" }}')
    try:
        return probe_program(_placed(argv, file), find if re.compile(find).groups else f"({find})", container)
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
