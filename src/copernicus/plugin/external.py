"""Controllers that are programs in any language: a line of JSON in, a line of JSON out, program after program."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import msgspec

from copernicus.dataflow.calls import ControllerAnswer, ControllerCall
from copernicus.dataflow.paths import APPEND, INDEX_LIMIT, Member, show_path
from copernicus.dataflow.tree import is_same, read, type_at
from copernicus.errors import ModuleError, UnknownPath, UsageError, WrongType
from copernicus.model.functions import Field, FunctionSchema
from copernicus.model.types import Type, decode
from copernicus.model.values import to_json
from copernicus.plugin.files import path_of
from copernicus.plugin.lines import LINE_LIMIT_BYTES
from copernicus.plugin.memory import Key, Memory
from copernicus.plugin.values import compare, members_of

# Shorter than the limit of a call, so that the program is ended and not the process that serves other calls too.
ANSWER_LIMIT_S = 50.0
END_GRACE_S = 1.0
STDERR_TAIL_BYTES = 2000
_MEMBERS = {field.name: field.encode_name for field in msgspec.structs.fields(ControllerAnswer) if field.name != "lengths"}
_OWN_MEMBERS = ("keeps", "whole")
"""What a program says to whoever speaks with it, and not to the engine."""


class Program:
    """The program behind a controller. It is started with the first call, and again whenever it has ended."""

    def __init__(self, argv: Sequence[str], limit_s: float = ANSWER_LIMIT_S) -> None:
        self.argv = tuple(argv)
        self._limit_s = limit_s
        self._process: subprocess.Popen[bytes] | None = None
        self._kept: dict[Key, tuple[str, int]] = {}
        """Up to which call the program that runs now keeps which instance, by its own word."""
        self._answers = 0
        self._pending = b""
        self._stderr = b""

    def control(self, schema: FunctionSchema, call: ControllerCall, memory: Memory | None = None) -> ControllerAnswer:
        """Return what the program says to one call; raise `ModuleError` when it says nothing, too late, or nonsense.

        `memory` has heard the call; without one the call must carry everything.
        """
        memory = memory or Memory(call)
        key, label = memory.key, (call.reading, call.base)

        def line() -> bytes:
            # Of a program that was started anew nothing is kept, which is known only when it has been started.
            is_delta = self._kept.pop(key, None) == label and call.base > 0
            return write_call(call if is_delta else memory.whole(call))

        said = read_line(schema, self.ask(line))
        if said.pop("whole", False) is True:
            said = read_line(schema, self.ask(lambda: write_call(memory.whole(call))))
        does_keep = said.pop("keeps", False) is True
        answer = read_answer(schema, memory, said)
        if does_keep and not answer.error:
            self._kept[key] = call.reading, call.seen
        return answer

    def ask(self, line: Callable[[], bytes]) -> bytes:
        """Write a line and return the line that comes back. A program that ended after its last answer is started anew."""
        if self._process is not None and (self._pending or self._process.poll() is not None or self._speaks_unasked()):
            self.stop()
        if self._process is not None and self._answers:
            answer = self._exchange(line())
            if answer:
                return answer
            self.stop()  # it went away between two calls, which it may do
        process = self._start()
        answer = self._exchange(line())
        if answer:
            return answer
        with suppress(subprocess.TimeoutExpired):
            process.wait(END_GRACE_S)
        status = process.returncode
        self.stop()
        raise ModuleError(f"The program {self.argv[0]} ended without an answer{_status(status)}.{self._last_words()}")

    def stop(self) -> None:
        """End the program: its standard input is closed, and after a moment it is killed."""
        process, self._process = self._process, None
        if process is None:
            return
        with suppress(BrokenPipeError):
            _pipe(process.stdin).close()
        try:
            process.wait(END_GRACE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        _pipe(process.stdout).close()
        _pipe(process.stderr).close()

    def _start(self) -> subprocess.Popen[bytes]:
        self._answers, self._pending, self._stderr = 0, b"", b""
        self._kept.clear()
        pipe = subprocess.PIPE
        try:
            # In the group of this process: whoever ends that ends the program with it.
            process = subprocess.Popen(self.argv, stdin=pipe, stdout=pipe, stderr=pipe, bufsize=0)
        except OSError as error:
            raise ModuleError(f"The program {self.argv[0]} cannot be started: {error.strerror}.") from None
        for stream in (process.stdin, process.stdout, process.stderr):
            os.set_blocking(_pipe(stream).fileno(), False)
        self._process = process
        return process

    def _exchange(self, line: bytes) -> bytes:
        """Write `line` and return the answer without its end, or b"" when the program ended instead."""
        process = self._process
        assert process is not None
        ends_at = time.monotonic() + self._limit_s
        rest = memoryview(line)
        with selectors.DefaultSelector() as selector:
            selector.register(_pipe(process.stdin), selectors.EVENT_WRITE)
            selector.register(_pipe(process.stdout), selectors.EVENT_READ)
            selector.register(_pipe(process.stderr), selectors.EVENT_READ)
            while True:
                ready = selector.select(max(0.0, ends_at - time.monotonic()))
                if not ready and time.monotonic() >= ends_at:
                    process.kill()
                    self.stop()
                    raise self._too_late()
                for key, _ in ready:
                    stream = key.fileobj
                    if stream is process.stdin:
                        rest = self._write(rest)
                        if not rest:
                            selector.unregister(stream)
                        continue
                    data = os.read(key.fd, 1 << 16)
                    if stream is process.stderr:
                        self._stderr = (self._stderr + data)[-STDERR_TAIL_BYTES:]
                        if not data:
                            selector.unregister(stream)
                        continue
                    self._pending += data
                    answer, end, after = self._pending.partition(b"\n")
                    if end:
                        self._pending = after
                        self._answers += 1
                        return answer
                    if not data:
                        return b""
                    if len(answer) > LINE_LIMIT_BYTES:
                        self.stop()
                        raise ModuleError(f"The program {self.argv[0]} answered with more than {LINE_LIMIT_BYTES} bytes.")

    def _write(self, rest: memoryview) -> memoryview:
        assert self._process is not None
        try:
            return rest[os.write(_pipe(self._process.stdin).fileno(), rest) :]
        except BlockingIOError:
            return rest
        except BrokenPipeError:  # it does not read any more; it may still have something to say
            return rest[len(rest) :]

    def _too_late(self) -> ModuleError:
        what = f"The program {self.argv[0]} did not answer within {self._limit_s:g} s and was ended."
        return ModuleError(what + self._last_words(), "It should read one line at a time, and flush what it writes.")

    def _speaks_unasked(self) -> bool:
        """Whether there is output that belongs to no call: then nobody knows which answer is to what."""
        assert self._process is not None
        with suppress(BlockingIOError):
            self._pending += os.read(_pipe(self._process.stdout).fileno(), 1 << 16)
        return bool(self._pending)

    def _last_words(self) -> str:
        words = self._stderr.decode(errors="replace").strip()
        return f" It said: {words[-STDERR_TAIL_BYTES:]}" if words else ""


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None
    return stream


def _status(status: int | None) -> str:
    if status is None:
        return ""
    return f" (signal {-status})" if status < 0 else f" (exit status {status})"


def write_call(call: ControllerCall) -> bytes:
    """Return a call as the line that programs read; a file has a member `path`, where its content can be read."""
    data = msgspec.to_builtins(call)
    for name in ("type", "project", "reading"):
        data.pop(name, None)
    data.setdefault("spent_core_s", 0.0)
    data["key"] = f"{call.project}/{call.instance}"
    if not call.base:
        return msgspec.json.encode({"call": "full", **_with_paths(data)}) + b"\n"
    for name in ("outputs", "state"):  # it knows what it answered
        del data[name]
    return msgspec.json.encode({"call": "delta", **_with_paths(data)}) + b"\n"


def _with_paths(data: Any) -> Any:
    if isinstance(data, dict):
        if isinstance(data.get("blob"), str) and isinstance(data.get("size"), int):
            path = path_of(data["blob"])
            return {**data, "path": path} if path else data
        return {name: _with_paths(value) for name, value in data.items()}
    if isinstance(data, list):
        return [_with_paths(item) for item in data]
    return data


def read_line(schema: FunctionSchema, line: bytes) -> dict[str, Any]:
    """Return a line as what it is an object of; raise `ModuleError` when it is none."""
    shown = line[:200].decode(errors="replace")
    try:
        data = json.loads(line)  # which also takes NaN and Infinity, as many libraries write them
    except (ValueError, RecursionError) as error:
        raise ModuleError(f"{schema.name} answered with a line that is no JSON ({error}): {shown}") from None
    if not isinstance(data, dict):
        raise ModuleError(f"{schema.name} must answer with a JSON object, not: {shown}")
    return data


def read_answer(schema: FunctionSchema, memory: Memory, said: Mapping[str, Any]) -> ControllerAnswer:
    """Return an answer, checked against the function's outputs and state, only with what differs; raise `ModuleError`."""
    unknown = sorted(said.keys() - _MEMBERS.keys())
    if unknown:
        known = ", ".join([*_MEMBERS, *_OWN_MEMBERS])
        raise ModuleError(f"{schema.name} answered with the unknown member {unknown[0]!r}.", f"Known: {known}.")
    try:
        answer = msgspec.convert({**said, "type": "controller"}, ControllerAnswer)
    except msgspec.ValidationError as error:
        shown = json.dumps(said)[:200]
        raise ModuleError(f"{schema.name} answered with something that cannot be used: {error}. The line: {shown}") from None
    lengths: dict[str, int] = {}
    outputs = _checked(schema, "out", schema.outputs, answer.outputs, memory.outputs.plain, lengths)
    state = _checked(schema, "state", schema.state, answer.state, memory.state.plain, lengths)
    return msgspec.structs.replace(answer, outputs=outputs, state=state, lengths=lengths)


def _checked(
    schema: FunctionSchema,
    side: str,
    fields: Sequence[Field],
    given: Mapping[str, Any],
    before: Mapping[str, Any],
    lengths: dict[str, int],
) -> dict[str, Any]:
    kinds = {field.name: field.kind for field in fields}
    changes: dict[str, Any] = {}
    for key, value in given.items():
        try:
            members = _members(schema, kinds, side, key, given)
            value = to_json(decode(type_at(kinds, members, side), value, f"{side}.{key}"))
        except (UsageError, UnknownPath, WrongType) as error:
            raise ModuleError(f"{schema.name} answered with a wrong value: {error.message}", error.hint) from None
        field = str(members[0])
        if len(members) == 1:
            shorter: dict[str, int] = {}
            compare(field, before.get(field), value, changes, shorter)
            lengths.update((f"{side}.{name}", length) for name, length in shorter.items())
            continue
        if members[1] == APPEND:
            members = (field, len(before.get(field) or ()))
        if not is_same(value, read(before, members)):
            changes[show_path("", "", members).removeprefix(".")] = value
    return changes


def _members(
    schema: FunctionSchema, kinds: Mapping[str, Type], side: str, key: str, given: Mapping[str, Any]
) -> tuple[Member, ...]:
    """Return what a key of an answer leads through; raise for what is no place, or cannot be written like this."""
    members = members_of(key)
    field = str(members[0])
    if field not in kinds:
        raise ModuleError(f"{schema.name} answered with {side}.{key}, which it does not have.", f"It has: {', '.join(kinds)}.")
    if len(members) > 1 and field in given:
        raise UsageError(f"{side}.{key} is given beside the whole of {field}.", "Give the whole, or parts of it.")
    if APPEND in members and (len(members) != 2 or members[1] != APPEND):
        raise UsageError(f"{side}.{key}: [+] adds to a field, and stands at the end.")
    if any(isinstance(member, int) and member > INDEX_LIMIT for member in members):
        raise UsageError(f"{side}.{key}: an array has at most {INDEX_LIMIT} elements.")
    return members


def placed(argv: Sequence[str | Path], folder: Path) -> tuple[str, ...]:
    """Return how a program is started: `{folder}` and `{python}` filled in, `./x` taken from the folder.

    Raises `ModuleError` when there is no program named.
    """
    if not argv:
        raise ModuleError("no program is named.", 'Write the program and its arguments: ["python3", "{folder}/mine.py"].')
    filled = [str(part).replace("{folder}", str(folder)).replace("{python}", sys.executable) for part in argv]
    first, *rest = filled
    return (str(folder / first) if first.startswith("./") else first, *rest)
