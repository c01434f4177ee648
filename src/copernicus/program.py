"""What the three programs share: how a command line is run, and how a failure is told: one line on stderr."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from copernicus.errors import CopernicusError, UsageError
from copernicus.terminal import clean, columns, wrapped

USAGE_STATUS, FAILURE_STATUS, INTERRUPTED_STATUS = 2, 1, 130
MARK = "ERROR:"
_UNITS_DAYS = {"": 1.0, "h": 1 / 24, "d": 1.0, "w": 7.0, "y": 365.0}
_KINDS = {"integer": "a whole number", "float": "a number"}


class Word(click.types.StringParamType):
    """Text that is not empty: what an unset variable of a shell script leaves is refused, not taken for "not given"."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return `value` as it is."""
        return _not_empty(self, value, param, ctx)


class File(click.Path):
    """The path of a file or folder, as a `pathlib.Path`, not empty; it need not exist."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path."""
        return super().convert(_not_empty(self, value, param, ctx), param, ctx)


def _not_empty(kind: Any, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
    if not str(value).strip():
        kind.fail("it is empty.", param, ctx)
    return value


@dataclass(frozen=True)
class Look:
    """One thing that a `doctor` looked at: what is said of it, and what to do when `is_well` is false."""

    what: str
    is_well: bool
    said: str
    hint: str = ""

    def __str__(self) -> str:
        return f"{'✓' if self.is_well else '✗'} {self.what:<12} {self.said} {self.hint}".rstrip()


def look(what: str, check: Callable[[], str]) -> Look:
    """Make one check, which returns what is to be said; what it raises is what is wrong."""
    try:
        return Look(what, True, check())
    except CopernicusError as error:
        return Look(what, False, error.message, error.hint)
    except OSError as error:
        return Look(what, False, f"{error.filename or what}: {error.strerror}.")


def life_in_days(text: str) -> float:
    """Return the days that "30", "30d", "12h", "8w" or "2y" stand for; raise `UsageError`."""
    found = re.fullmatch(r"(\d{1,9}(?:\.\d+)?)([hdwy]?)", text.strip(), re.ASCII)
    if not found:
        raise UsageError(f"{text!r} is not a length of time.", "Write 30 or 30d (days), 12h, 8w or 2y.")
    return float(found[1]) * _UNITS_DAYS[found[2]]


def run(
    command: click.Command, words: Sequence[str], name: str, context: object = None, *, is_debug: Callable[[], bool]
) -> int:
    """Do what `words` say as the program `name` and return the exit status.

    A failure is one line on stderr and a status that is not 0; a traceback comes only when `is_debug` says so.
    """
    try:
        status = _status_of(command, words, name, context)
        if sys.stdout is not None:  # somebody may have closed it
            sys.stdout.flush()
    except BrokenPipeError:
        _drop_output()  # nobody reads any more
        return FAILURE_STATUS
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED_STATUS
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return USAGE_STATUS
    except Exception as error:
        if is_debug():
            import traceback

            traceback.print_exception(error)
        if isinstance(error, OSError):
            _drop_output()
        message, status = told(error, name)
        first, *rest = [piece for line in f"{MARK} {clean(message)}".splitlines() for piece in _fitting(line)]
        click.echo("\n".join([click.style(MARK, fg="red") + first.removeprefix(MARK), *rest]), err=True)
        return status
    return status if isinstance(status, int) else 0


def _drop_output() -> None:
    """What is still buffered and cannot be written shall not complain once more at the end."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _status_of(command: click.Command, words: Sequence[str], name: str, context: object) -> object:
    try:
        return command.main(list(words), name, standalone_mode=False, obj=context)
    except SystemExit as end:
        return end.code


def told(error: Exception, name: str) -> tuple[str, int]:
    """Return what a person is told of `error`, and the exit status of the program `name`."""
    if isinstance(error, click.ClickException):
        return _misused(error), USAGE_STATUS
    if isinstance(error, CopernicusError):
        return str(error), FAILURE_STATUS
    if isinstance(error, UnicodeEncodeError):
        return "What was typed is not valid Unicode text (UTF-8).", FAILURE_STATUS
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}." if error.filename else f"{error.strerror or error}.", FAILURE_STATUS
    fault = f"{type(error).__name__}: {error}"
    return f"A fault of {name} itself: {fault}. Run it again with --debug and report what it says.", FAILURE_STATUS


def _fitting(line: str) -> list[str]:
    """The line as it is, but in a terminal broken between words."""
    return wrapped(line, columns(sys.stderr), " " * len(MARK))


def _misused(error: click.ClickException) -> str:
    if isinstance(error, click.BadParameter) and isinstance(error.param, click.Argument):
        error.param_hint = f"'{(error.param.name or '').upper()}'"
    message = " ".join(error.format_message().split())
    message = re.sub(r"is not a valid (integer|float)( range)?", lambda match: f"is not {_KINDS[match[1]]}", message)
    if not message.endswith((".", "?", "-h")):
        message += "."
    if isinstance(error, click.UsageError) and error.ctx is not None:
        message += f" See: {error.ctx.command_path} -h"
    return message
