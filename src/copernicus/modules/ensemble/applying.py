"""Python functions as jobs: what `client.map` makes of each call."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Annotated, Any

from copernicus.errors import ModuleError
from copernicus.modules.ensemble.bags import module
from copernicus.plugin.functions import File, Job, file, text

FUNCTION = re.compile(r"(?P<module>[A-Za-z_]\w*(\.[A-Za-z_]\w*)*):(?P<name>[A-Za-z]\w*)")


@dataclass(frozen=True)
class Applied:
    """What one call of a Python function brings.

    Attributes:
        result: what it returned, as JSON
        stdout: what it printed
    """

    result: str
    stdout: File


@module.command
def apply(
    call: Annotated[str, 'JSON: {"function": "module:function", "args": [...], "kwargs": {...}}'],
    large: Annotated[File | None, "args and kwargs, where they are too long to stand in `call`"] = None,
    cores: int = 1,
    priority: int = 0,
) -> Job[Applied]:
    """Calls a Python function on a worker whose owner allows its module (cpc-worker --allow python:MODULE).

    The function is found by its name on the worker; no code travels. Arguments and result are JSON.
    """
    asked = _asked(call)
    match = FUNCTION.fullmatch(str(asked.get("function", "")))
    if match is None:
        raise ModuleError(f"{asked.get('function')!r} is no name of a function.", "Write it as module:function.")
    argv, needs = [match["name"]], {}
    if "args" in asked or "kwargs" in asked:
        given = {"args": asked.get("args", []), "kwargs": asked.get("kwargs", {})}
        argv.append(json.dumps(given, ensure_ascii=False, separators=(",", ":")))
    elif large is not None:
        needs = {"arguments.json": large}
    else:
        raise ModuleError("The call has no arguments.", 'Give "args", if need be an empty list.')
    outputs = Applied(result=text("result.json"), stdout=file("stdout"))
    return Job(f"python:{match['module']}", argv, outputs, cores=cores, priority=priority, needs=needs)


def _asked(call: str) -> dict[str, Any]:
    try:
        asked = json.loads(call)
    except ValueError as error:
        raise ModuleError(f"The call is not JSON: {error}.") from None
    if not isinstance(asked, dict) or set(asked) - {"function", "args", "kwargs"}:
        raise ModuleError("The call is not a JSON object of function, args and kwargs.")
    return asked


apply_each = module.scatter("apply_each", apply, whole=["cores", "priority"])
