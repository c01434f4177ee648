"""Literal values of workflow files: read by the type of their place, so that no word is taken for what it is not."""

from __future__ import annotations

import json
import re
from typing import Any

from copernicus.dataflow.edits import read_text
from copernicus.errors import UsageError, WrongType
from copernicus.model.types import Type, decode
from copernicus.model.values import FileRef, to_json
from copernicus.server.projects.workflows.declarations import Raw, Word

_ABSENT = ("", "~", "null", "Null", "NULL")
_DOTTED = re.compile(r"([+-]?)\.(nan|inf)", re.IGNORECASE)
_HASH = re.compile(r"[0-9a-f]{64}")


class LocalFiles:
    """Files that a workflow file names by path: those that have been uploaded, and (`needs`) those that are still to be."""

    def __init__(self, given: dict[str, FileRef]) -> None:
        self._given = given
        self.needs: dict[str, None] = {}

    def find(self, path: str) -> FileRef:
        """Return the file at a path of the client; one that stands for it while it is not there."""
        if path not in self._given:
            self.needs[path] = None
        return self._given.get(path) or FileRef("0" * 64, 0, path.replace("\\", "/").rpartition("/")[2] or "file")


def read_literal(kind: Type, raw: Raw, where: str, files: LocalFiles) -> Any:
    """Return plain JSON data of type `kind`; raise `WrongType`, which names the offending part."""
    return to_json(decode(kind, _read(kind, raw, where, files), where))


def _read(kind: Type, raw: Raw, where: str, files: LocalFiles) -> Any:
    if isinstance(raw, Word):
        return None if raw.is_plain and raw.text in _ABSENT else _read_word(kind, raw.text, where, files)
    if isinstance(raw, str) and kind.kind == "file":
        return files.find(raw)
    if isinstance(raw, list) and kind.kind == "array":
        return [_read(kind.element, item, f"{where}[{index}]", files) for index, item in enumerate(raw)]
    if isinstance(raw, dict) and kind.kind == "file":
        return _read_file(raw, where)
    if isinstance(raw, dict) and kind.kind == "record":
        members = {name.replace("-", "_"): member for name, member in raw.items()}
        return {
            name: _read(kind.field(name) or Type("string"), member, f"{where}.{name}", files)
            for name, member in members.items()
        }
    if isinstance(raw, list | dict):
        kinds = "a list" if isinstance(raw, list) else "a mapping"
        raise WrongType(f"{where}: expected {kind.required}, got {kinds}.")
    return raw


def _read_word(kind: Type, text: str, where: str, files: LocalFiles) -> Any:
    match kind.kind:
        case "string":
            return text
        case "file":
            if not text:
                raise UsageError(f"{where}: the name of the file is empty.")
            return files.find(text)
        case "float":
            dotted = _DOTTED.fullmatch(text.strip())
            return read_text(kind, "".join(dotted.groups()) if dotted else text, where)
        case "int" | "bool":
            return read_text(kind, text, where)
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        shown = text if len(text) <= 60 else text[:57] + "…"
        raise WrongType(f"{where}: {shown!r} is not {kind.required}.") from None
    return _read(kind, data, where, files)


def _read_file(raw: dict[str, Raw], where: str) -> FileRef:
    words = {name: word.text if isinstance(word, Word) else str(word) for name, word in raw.items()}
    if not set(words) <= {"blob", "size", "name"} or not _HASH.fullmatch(words.get("blob", "")):
        raise WrongType(f"{where}: a file is a path, or {{name: …, size: …, blob: (64 hex digits)}}.")
    if not words.get("size", "").isdecimal():
        raise WrongType(f"{where}: the size of the file is missing.")
    return FileRef(words["blob"], int(words["size"]), words.get("name", "file"))
