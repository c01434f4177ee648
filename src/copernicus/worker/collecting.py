"""Outputs and checkpoints of an attempt: from files in its work folder to values and blobs."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from typing import Any

from copernicus.blobs.hashing import hash_bytes
from copernicus.errors import CopernicusError, TooLarge, UsageError
from copernicus.model.jobs import JobDescription, Output, StagedFile
from copernicus.model.values import INT_MAX, INT_MIN, FileRef, float_to_json, to_json
from copernicus.wire.codec import check_depth, encode
from copernicus.worker.harvest import Harvest, is_match, natural_key
from copernicus.worker.shelf import Shelf

JSON_LIMIT_BYTES = 8 * 1024**2
INLINE_TOTAL_BYTES = 1024**2


class MissingOutput(Exception):
    """An output that the job promised cannot be found or read; the text says which and why."""


@dataclass
class Parcel:
    """Content that goes with a report: small files inside the message, large ones on the shelf, pinned."""

    inline: dict[str, bytes] = field(default_factory=dict)
    large: list[FileRef] = field(default_factory=list)

    @property
    def size_bytes(self) -> int:
        """How much it is, each file counted once."""
        return sum(map(len, self.inline.values())) + sum(file.size for file in self.large)


class Collector:
    """Collects from one work folder; a file that serves two outputs is taken once."""

    def __init__(self, harvest: Harvest, shelf: Shelf, inline_limit_bytes: int) -> None:
        self._harvest = harvest
        self._shelf = shelf
        self._inline_limit_bytes = inline_limit_bytes
        self._inline_bytes = 0
        self._files: dict[str, FileRef] = {}
        self.parcel = Parcel()

    def outputs(self, description: JobDescription) -> dict[str, Any]:
        """Return the job's outputs as plain JSON, absent optional ones left out; raise `MissingOutput`.

        Texts are read before files are taken over, since a file may serve as both.
        """
        values = {}
        for name, output in sorted(description.outputs.items(), key=lambda item: item[1].kind in ("file", "files")):
            try:
                value = self._value(output)
            except (OSError, ValueError, CopernicusError) as error:
                raise MissingOutput(f"The output {name} cannot be collected: {error}") from None
            if value is not None:
                values[name] = value
            elif not output.is_optional and output.kind != "value":
                raise MissingOutput(f"The output {name} is missing: {self._absence(output)}")
        return values

    def checkpoint(self, description: JobDescription) -> tuple[StagedFile, ...]:
        """Return what the next attempt needs to go on: checkpoint files and the output files so far.

        Nothing when there is no checkpoint file. Files that cannot be read are left out.
        """
        return self._checkpoint(description, set())

    def last_checkpoint(self, description: JobDescription) -> tuple[StagedFile, ...]:
        """Return the checkpoint of a job that has finished, where a longer one can go on from it (`until`).

        The file that says that it has finished stays out: the longer job is not finished when it begins.
        """
        if not description.until:
            return ()
        return self._checkpoint(description, set(self._find(description.done_when) if description.done_when else ()))

    def _checkpoint(self, description: JobDescription, left_out: set[str]) -> tuple[StagedFile, ...]:
        names = [name for pattern in description.checkpoint for name in self._find(pattern)]
        if not names:
            return ()
        left_out -= set(names)
        inputs = {staged.name for staged in description.files}
        for output in description.outputs.values():
            if output.kind in ("file", "files"):
                found = [name for pattern in output.pattern.split("\n") for name in self._find(pattern)]
                names += [name for name in found if name not in inputs and name not in left_out]
        return tuple(StagedFile(name, self._take(name)) for name in dict.fromkeys(names) if name not in ("stdout", "stderr"))

    def _find(self, pattern: str) -> list[str]:
        """The files that match a glob, in natural order; a large one that was taken is in the folder no more."""
        found = self._harvest.find(pattern)
        taken = [name for name in self._files if is_match(name, pattern)]
        return sorted({*found, *taken}, key=natural_key) if taken else found

    def let_go(self) -> None:
        """Nothing of what was collected is needed."""
        for file in self.parcel.large:
            self._shelf.unpin(file.blob)
        self.parcel = Parcel()

    def _value(self, output: Output) -> Any:
        match output.kind:
            case "value":
                return output.value
            case "file":
                found = self._find(output.pattern)
                return to_json(self._take(found[-1])) if found else None
            case "files":
                matches = [self._find(pattern) for pattern in output.pattern.split("\n")]
                names = dict.fromkeys(name for found in matches for name in found)
                return [to_json(self._take(name)) for name in names] if all(matches) or output.is_optional else None
            case "number":
                text = self._harvest.search(output.source, output.pattern)
                return None if text is None else number_of(text)
            case "text":
                return self._text(output)
            case "json":
                found = self._find(output.pattern)
                return self._json(found[-1]) if found else None

    def _text(self, output: Output) -> str | None:
        if output.pattern:
            return self._harvest.search(output.source, output.pattern)
        data = self._harvest.read(output.source, JSON_LIMIT_BYTES + 1)
        if len(data) > JSON_LIMIT_BYTES:
            raise ValueError(
                f"{output.source} is larger than {JSON_LIMIT_BYTES} bytes, too much for a text; bring it as a file"
            )
        return data.decode("utf-8", "replace").removesuffix("\n")

    def _json(self, name: str) -> Any:
        if os.lstat(self._harvest.folder / name).st_size > JSON_LIMIT_BYTES:
            raise ValueError(f"{name} is larger than {JSON_LIMIT_BYTES} bytes")
        data = self._harvest.read(name, JSON_LIMIT_BYTES)
        try:
            check_depth(data)
            value = json.loads(data, parse_constant=_not_finite, parse_float=_float)
            encode(value)  # a text may hold what no message can
            return value
        except (ValueError, TooLarge, UsageError) as error:
            raise ValueError(f"{name} is not JSON that can be used: {error}") from None

    def _take(self, name: str) -> FileRef:
        if name in self._files:
            return self._files[name]
        path = self._harvest.folder / name
        size = os.lstat(path).st_size
        base = name.rsplit("/", 1)[-1]
        if size <= self._inline_limit_bytes and self._inline_bytes + size <= INLINE_TOTAL_BYTES:
            data = self._harvest.read(name, size)
            file = FileRef(hash_bytes(data), len(data), base)
            self.parcel.inline[file.blob] = data
            self._inline_bytes += size
        else:
            file = self._shelf.keep(path, base)
            self.parcel.large.append(file)
        self._files[name] = file
        return file

    def _absence(self, output: Output) -> str:
        if output.kind in ("number", "text"):
            return f"{output.pattern!r} is not found in {output.source}."
        pattern = next((one for one in output.pattern.split("\n") if not self._find(one)), output.pattern)
        instead = self._harvest.instead(pattern)
        if instead:
            return f"{instead}, and only regular files are collected."
        return f"there is no file {pattern!r}."


def number_of(text: str) -> int | float | str:
    """Return the number in a text as JSON has it: a whole one of 64 bits as an int; raise `ValueError` when it is none."""
    number = float(text)
    is_whole = text.strip().lstrip("+-").isdecimal() and (number or not text.strip().startswith("-"))  # -0 is a float
    return int(text) if is_whole and INT_MIN <= int(text) <= INT_MAX else float_to_json(number)


def _float(text: str) -> float | str:
    """A number with more than a float can hold is infinite, as when it is typed."""
    return float_to_json(float(text))


def _not_finite(constant: str) -> str:
    return {"NaN": "nan", "Infinity": "inf", "-Infinity": "-inf"}[constant]
