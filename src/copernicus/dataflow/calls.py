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
    """A child as its controller sees it. `has_ended`, `was_updated`, `has_failed` are relative to the last applied call.

    In a call that carries a difference `outputs` has only what changed, with keys such as `field` (null: absent now) and
    `field[3]`; `lengths` says how long the arrays are of which elements are given. `partial` are provisional outputs of a
    child that its controller follows, filled in by whoever passes the call on; `was_glimpsed`: there are newer ones. `id` is
    never used again, `name` may be.
    """

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
    id: int = 0
    lengths: dict[str, int] = {}
    partial: dict[str, Any] = {}
    is_followed: bool = False
    was_glimpsed: bool = False


class ControllerCall(msgspec.Struct, frozen=True, tag="controller", omit_defaults=True):
    """One call of a controller, for all that is newer than what its last applied call had seen.

    `seen` is the sequence number that this call sees; it comes back with the answer. `changed` names the inputs that
    are newer. The same call has the same `seed`.

    With `base` 0 everything is there. Else this is the difference to what was there when the answer to the call that saw
    `base` had been applied: `inputs` (as the outputs of a `ChildView`, with `lengths`), the `children` that are new or
    other than they were, the names of those `removed`; outputs and state are as that answer left them. `project` and
    `reading` (which changes whenever the project is read from its log) are filled in by whoever passes the call on:
    together with `instance` and `base` they say exactly what the difference is to.
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
    base: int = 0
    lengths: dict[str, int] = {}
    removed: list[str] = []
    project: str = ""
    reading: str = ""


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
    """What shall be. `outputs` and `state` hold only what differs: a field, or a part of one such as `field[3]` (None:
    unset); `lengths` says of `out.field` and `state.field` that they become shorter, before anything is written.

    `follows` says of children whether their provisional outputs are wanted. With `error` set nothing else of the answer
    counts. `note` and `warning` None leave what stands there.
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
    lengths: dict[str, int] = {}
    follows: dict[str, bool] = {}


class Forgotten(msgspec.Struct, frozen=True, tag="forgotten"):
    """Whoever was called does not have what the difference is to: it wants to be called with everything."""


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
Answer = CommandAnswer | PureAnswer | ControllerAnswer | ConvertAnswer | Forgotten
