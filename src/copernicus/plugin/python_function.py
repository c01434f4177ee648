"""The program behind `python:MODULE`: calls one function of the module that the worker's owner allows, and no other.

Its arguments are the function's name and, as JSON, what it is called with: `{"args": [...], "kwargs": {...}}`; without
the latter that stands in `arguments.json`. The result goes to `result.json`. Nothing but JSON comes in or goes out.
"""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from copernicus.errors import CopernicusError, Refused, TooLarge
from copernicus.model.plain import from_text, to_text

MODULE_VARIABLE = "CPC_PYTHON_MODULE"
"""Names the module. The worker sets it for the executable; a job may set nothing that begins like that."""
ARGUMENTS, RESULT = "arguments.json", "result.json"
MOST_RESULT_BYTES = 8 * 1024**2


def main(argv: list[str]) -> int:
    """Call the function and write its result; a refusal is one line on stderr, an exception its traceback."""
    try:
        module = importlib.import_module(os.environ[MODULE_VARIABLE])
        given = from_text(argv[1] if len(argv) > 1 else Path(ARGUMENTS).read_text(encoding="utf-8"))
        function = function_of(module, argv[0])
        try:
            result = function(*given["args"], **given["kwargs"])
        except Exception as error:
            # From the function on: what called it is of no interest to its author.
            traceback.print_exception(error.with_traceback(error.__traceback__ and error.__traceback__.tb_next))
            return 1
        text = to_text(result, f"what {argv[0]} returned")
        if len(text.encode()) > MOST_RESULT_BYTES:
            raise TooLarge(f"What {argv[0]} returned is larger than 8 MiB.", "Let it write a file where all can read it.")
    except CopernicusError as error:
        print(error, file=sys.stderr)
        return 1
    Path(RESULT).write_text(text, encoding="utf-8")
    return 0


def function_of(module: ModuleType, name: str) -> Callable[..., Any]:
    """Return the public function `name` that `module` itself defines, or lists in `__all__`; raise `Refused`.

    What a module has only imported is not its own to offer: a module with `import os` does not offer the whole system.
    """
    found = getattr(module, name, None) if name.isidentifier() and not name.startswith("_") else None
    is_own = name in getattr(module, "__all__", ()) or getattr(found, "__module__", None) == module.__name__
    if not callable(found) or not is_own:
        raise Refused(
            f"The module {module.__name__} offers no function {name!r}.",
            "It must be defined there (or stand in __all__), and have no underscore in front.",
        )
    return found  # type: ignore[no-any-return]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
