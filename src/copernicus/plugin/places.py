"""Where in an author's source something was said: `file:line` for error messages."""

from __future__ import annotations

import contextlib
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from copernicus.errors import ModuleError

_KIT = str(Path(__file__).parent)
SHOWN_FRAMES = 3


def caller() -> str:
    """Return `file:line` of the nearest caller outside the author's kit."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_KIT):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


def caller_names() -> dict[str, Any]:
    """Return the names that stand where the kit was called: annotations may speak of them."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_KIT):
        frame = frame.f_back
    return dict(frame.f_locals)


def definition(python: Callable[..., Any]) -> str:
    """Return `file:line` of a Python function."""
    code = getattr(python, "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}" if code is not None else repr(python)


def refuse(where: str, message: str, hint: str = "") -> ModuleError:
    """Return the error that says what is wrong at `where`."""
    return ModuleError(f"{where}: {message}", hint)


def explain(error: BaseException) -> str:
    """Return what went wrong in module code: the message, then the last frames (file, line, function) outside the kit."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"SyntaxError: {error.msg} ({error.filename}:{error.lineno})"
    kind = "" if isinstance(error, ModuleError) else f"{type(error).__name__}: "
    text = str(error) or "no message"
    frames = _frames(error.__traceback__)
    return "\n".join([f"{kind}{text}", *frames])


def _frames(trace: TracebackType | None) -> list[str]:
    frames = [frame for frame in traceback.extract_tb(trace) if not _is_machinery(frame.filename)]
    return [f"  at {frame.filename}:{frame.lineno} in {frame.name}" for frame in frames[-SHOWN_FRAMES:]]


def _is_machinery(filename: str) -> bool:
    return filename.startswith((_KIT, "<frozen ", contextlib.__file__)) or "/importlib/" in filename
