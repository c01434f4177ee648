"""What is asked of module code, and what it answers: the sentences between the engine and the pool's processes.

Values are plain JSON data (see `model.values`). Everything here is data; nothing knows of processes or pipes.
"""

from __future__ import annotations

from typing import Any

import msgspec

from copernicus.model.jobs import JobDescription


class CommandCall(msgspec.Struct, frozen=True, tag="command"):
    """Ask a Python command for the description of its job. Pure: may be asked any number of times."""

    function: str
    inputs: dict[str, Any]


class CommandAnswer(msgspec.Struct, frozen=True, tag="command"):
    """The job, or why there is none (`error`: last lines, with file and line)."""

    description: JobDescription | None = None
    error: str = ""


class PureCall(msgspec.Struct, frozen=True, tag="pure"):
    """Ask a pure function for its outputs."""

    function: str
    inputs: dict[str, Any]


class PureAnswer(msgspec.Struct, frozen=True, tag="pure"):
    """The outputs (absent ones left out), or why there are none."""

    outputs: dict[str, Any] = {}
    error: str = ""


class ChildView(msgspec.Struct, frozen=True, omit_defaults=True):
    """A child as its controller sees it. `has_ended`, `was_updated`, `has_failed` are relative to the last applied call."""

    name: str
    function: str
    outputs: dict[str, Any] = {}
    runs: int = 0
    is_running: bool = False
    is_done: bool = False
    is_held: bool = False
    error: str = ""
    core_s: float = 0.0
    has_ended: bool = False
    was_updated: bool = False
    has_failed: bool = False


class ControllerCall(msgspec.Struct, frozen=True, tag="controller"):
    """One call of a controller, for all that is newer than what its last applied call had seen.

    `seen` is the sequence number that this call sees; it comes back with the answer. `changed` names the inputs that
    are newer. The same call has the same `seed`.
    """

    instance: int
    function: str
    seen: int
    seed: int
    inputs: dict[str, Any]
    changed: list[str]
    outputs: dict[str, Any]
    state: dict[str, Any]
    children: list[ChildView]
    spent_core_s: float = 0.0


class ChildStart(msgspec.Struct, frozen=True, omit_defaults=True):
    """Make a child, or set the inputs of the one that has this name (another function: an error).

    `connections` maps an input to a source: `child:out.field` for a sibling, `self:in.field` for the controller's own
    input; members and elements may follow the field.
    """

    name: str
    function: str
    inputs: dict[str, Any] = {}
    connections: dict[str, str] = {}


class ChildSet(msgspec.Struct, frozen=True, omit_defaults=True):
    """Set inputs of an existing child; inputs that are not named stay."""

    name: str
    inputs: dict[str, Any] = {}
    connections: dict[str, str] = {}


class ChildHold(msgspec.Struct, frozen=True):
    """Hold a child, with the reason that people will read."""

    name: str
    why: str


class ControllerAnswer(msgspec.Struct, frozen=True, tag="controller", omit_defaults=True):
    """What shall be. `outputs` and `state` hold only the fields that differ, each whole (None: unset).

    With `error` set nothing else of the answer counts. `note` and `warning` None leave what stands there.
    """

    outputs: dict[str, Any] = {}
    state: dict[str, Any] = {}
    starts: list[ChildStart] = []
    sets: list[ChildSet] = []
    holds: list[ChildHold] = []
    resumes: list[str] = []
    removes: list[str] = []
    note: str | None = None
    warning: str | None = None
    error: str = ""


class ConvertCall(msgspec.Struct, frozen=True, tag="convert", omit_defaults=True):
    """Ask a function's conversion what inputs and state of an earlier version become; types are those of that version."""

    function: str
    inputs: dict[str, Any]
    types: dict[str, str] = {}
    state: dict[str, Any] = {}
    state_types: dict[str, str] = {}


class ConvertAnswer(msgspec.Struct, frozen=True, tag="convert", omit_defaults=True):
    """Inputs and state as the function has them now; None: they stay as they were."""

    inputs: dict[str, Any] | None = None
    state: dict[str, Any] | None = None
    error: str = ""


class Converted(msgspec.Struct, frozen=True):
    """What the module's code made of an instance's inputs and state; None: they stay. `seq` is what it looked at."""

    seq: int
    inputs: dict[str, Any] | None = None
    state: dict[str, Any] | None = None


Call = CommandCall | PureCall | ControllerCall | ConvertCall
Answer = CommandAnswer | PureAnswer | ControllerAnswer | ConvertAnswer
