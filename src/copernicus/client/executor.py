"""Python functions on workers, in the form of `concurrent.futures`: one bag of jobs, whose elements are the calls.

    with BagExecutor(project) as executor:
        future = executor.submit("mymodule:simulate", 300.0, seed=1)
        print(future.result())

The bag is an instance of `ensemble::apply_each`: `cpcc ls` shows it, it goes on without this program, and a later one
finds it again by its name.
"""

from __future__ import annotations

import concurrent.futures
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from copernicus.client.bags import free_name
from copernicus.client.futures import BagFuture, Watcher
from copernicus.errors import Refused, UsageError
from copernicus.model import edits as e
from copernicus.model.plain import to_text
from copernicus.model.values import FileRef

if TYPE_CHECKING:
    from copernicus.client.project import Project

FUNCTION = "ensemble::apply_each"
LARGE_BYTES = 32 * 1024
"""Of arguments: longer ones travel as a file."""
Function = str | Callable[..., Any]


class BagExecutor(concurrent.futures.Executor):
    """Calls Python functions on workers; `submit` and `map` as `concurrent.futures` has them, futures too.

    A function is given by its name ("module:function"), or as a function that can be imported under its own name: no code
    travels. A worker's owner must allow its module (`cpc-worker --allow python:MODULE`). Arguments and results are what
    JSON can say, floats to the last bit. One executor at a time gives calls to a bag.

    name      of the instance; when there is one of that name, this goes on with it, and `futures` are its calls
    cores     for each call
    priority  higher goes first
    """

    def __init__(self, project: Project, name: str = "", *, cores: int = 1, priority: int = 0) -> None:
        self.project = project
        self.futures: list[BagFuture] = []
        self._settings = {"cores": cores, "priority": priority}
        self._lock = threading.Lock()
        self._is_shut = self._has_files = False
        self._is_made = bool(name) and name in project
        self.name = name or free_name(project, "map")
        self._watcher = Watcher(project, self.name)
        if self._is_made:
            instance = project[self.name]
            if instance.function != FUNCTION:
                raise Refused(f"{name} is an instance of {instance.function}, not of {FUNCTION}.", "Choose another name.")
            self._has_files = len(instance.inputs["large"]) > 0
            self._add(len(instance.inputs["call"]))

    def submit(self, fn: Function, /, *args: Any, **kwargs: Any) -> BagFuture:
        """Have `fn(*args, **kwargs)` called on a worker; return its future at once. Raises `WrongType`."""
        return self._give([_call(fn, args, kwargs)])[0]

    def map(
        self, fn: Function, *iterables: Iterable[Any], timeout: float | None = None, chunksize: int = 1, **other: Any
    ) -> Iterator[Any]:  # fmt: skip
        """Have `fn` called for the elements of the iterables; yield the results in order, as they come.

        All calls are made at once, in one transaction (`chunksize` means nothing here). Raises what a call raised, as
        `RemoteError`, and `TimeoutError` when `timeout` seconds from now a result has not come.
        """
        return results(self._give([_call(fn, args, {}) for args in zip(*iterables, strict=False)]), timeout)

    def replace(self, fn: Function, *iterables: Iterable[Any]) -> list[BagFuture]:
        """Make the bag these calls and no others; return their futures.

        What was called before with the same arguments is not called again: after an interruption, or with more elements.
        """
        calls = [_call(fn, args, {}) for args in zip(*iterables, strict=False)]
        with self._lock:
            self._watcher.forget()
            self.futures.clear()
        return self._give(calls, is_whole=True)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls; with `wait` return when all have ended. They do not need this program to go on."""
        self._is_shut = True
        if cancel_futures:
            for future in self.futures:
                future.cancel()
        if wait:
            concurrent.futures.wait(self.futures)
            self._watcher.stop()

    def _give(self, calls: Sequence[Call], *, is_whole: bool = False) -> list[BagFuture]:
        if self._is_shut:
            raise RuntimeError("cannot schedule new futures after shutdown")
        with self._lock:
            first = len(self.futures)
            edits = [] if self._is_made else self._making()
            if is_whole and self._has_files:
                edits.append(e.Unset(f"{self.name}:in.large"))
                self._has_files = False
            texts = []
            for place, call in enumerate(calls, start=first):
                # An element that is not there would be waited for: after the first file each call has one.
                self._has_files = self._has_files or call.size > LARGE_BYTES
                texts.append(call.name if self._has_files else call.text)
                if self._has_files:
                    edits.append(e.SetFile(f"{self.name}:in.large[{place}]", self._upload(call.arguments)))
            if is_whole or not first:
                edits.append(e.SetValue(f"{self.name}:in.call", texts))
            else:
                edits += [e.SetValue(f"{self.name}:in.call[{first + n}]", text) for n, text in enumerate(texts)]
            self.project.apply(edits)
            self._is_made = True
            return self._add(len(calls))

    def _making(self) -> list[e.Edit]:
        sets = [e.SetValue(f"{self.name}:in.{place}", value) for place, value in self._settings.items()]
        return [e.ImportModule("ensemble"), e.MakeInstance(FUNCTION, self.name), *sets, e.Activate(self.name)]

    def _upload(self, text: str) -> FileRef:
        with tempfile.TemporaryDirectory(prefix="cpc-") as folder:
            path = Path(folder) / "arguments.json"
            path.write_text(text, encoding="utf-8")
            return self.project.client.upload(path)

    def _add(self, count: int) -> list[BagFuture]:
        first = len(self.futures)
        new = [BagFuture(self.project, self.name, index) for index in range(first, first + count)]
        self.futures += new
        self._watcher.watch(new)
        return new


def results(futures: Sequence[BagFuture], timeout_s: float | None = None) -> Iterator[Any]:
    """Yield the results in order, each as soon as it is there; raise `TimeoutError` when one is not there in time."""
    import time

    ends_at = None if timeout_s is None else time.monotonic() + timeout_s
    for future in futures:
        yield future.result(None if ends_at is None else max(0.0, ends_at - time.monotonic()))


def name_of(function: Function) -> str:
    """Return "module:function" for a function; raise `UsageError` for one that no worker could find by its name."""
    if isinstance(function, str):
        if function.count(":") != 1:
            raise UsageError(f"{function!r} is no name of a function.", "Write it as module:function.")
        return function
    module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", "")
    if module in (None, "__main__") or not name.isidentifier():
        raise UsageError(
            f"{getattr(function, '__qualname__', function)!r} cannot be found on a worker by its name.",
            "Put it at the top of a module that workers can import; no code travels.",
        )
    return f"{module}:{name}"


@dataclass(frozen=True)
class Call:
    """One call: the whole of it as text, and its two halves apart."""

    text: str
    name: str
    arguments: str

    @property
    def size(self) -> int:
        """Of the whole, in bytes."""
        return len(self.text.encode())


def _call(function: Function, args: Sequence[Any], kwargs: dict[str, Any]) -> Call:
    given = {"args": list(args), "kwargs": kwargs}
    to_text(given["args"], "args")
    named = {"function": name_of(function)}
    return Call(to_text(named | given, "call"), to_text(named), to_text(given))
