"""The lines of JSON between the pool and a process that runs module code."""

from __future__ import annotations

import msgspec

from copernicus.dataflow.calls import Answer, Call
from copernicus.model.functions import ModuleSchema

# The longest line either side takes.
LINE_LIMIT_BYTES = 64 * 1024 * 1024
MEMORY_LIMIT_BYTES = 64 * 1024 * 1024
"""How much of lines a process keeps of the controllers that it runs."""


class Request(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing asked: the answer to a call, or (`catalog`) which modules there are."""

    id: int
    call: Call | None = None
    catalog: bool = False


class Reply(msgspec.Struct, frozen=True, omit_defaults=True):
    """What came out; replies come in the order of the requests.

    `does_keep`: the process has what the next call of this instance can be a difference to. `took_s`: for how long module
    code ran.
    """

    id: int
    answer: Answer | None = None
    modules: list[ModuleSchema] | None = None
    does_keep: bool = False
    took_s: float = 0.0
