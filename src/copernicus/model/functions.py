"""Functions as data: the schema that a module declares, the server keeps in the project, and people read."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from copernicus.model.types import Type, parse_type

FunctionKind = Literal["command", "pure", "controller", "network", "scatter"]


class Field(msgspec.Struct, frozen=True, omit_defaults=True):
    """One input, output or state member: its name, type (text form), help, and default (plain JSON).

    An input with a default, or of optional type, need not be given.
    """

    name: str
    type: str
    help: str = ""
    default: Any = None

    @property
    def kind(self) -> Type:
        """The type, read."""
        return parse_type(self.type)

    @property
    def is_required(self) -> bool:
        """Whether an instance must wait until this input is there."""
        return self.default is None and not self.kind.is_optional


class InnerInstance(msgspec.Struct, frozen=True):
    """An instance inside a network function. `values` are constants given to its inputs (plain JSON)."""

    name: str
    function: str
    values: dict[str, Any] = {}


class InnerConnection(msgspec.Struct, frozen=True):
    """A connection inside a network, in paths such as `self:in.conf`, `grompp:out.tpr`, `self:out.tpr`."""

    source: str
    destination: str


class FunctionSchema(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the engine knows of a function. `name` is `module::function`.

    kind        what else is set
    command     is_deterministic
    pure        version (part of the key)
    controller  state (its memory)
    network     instances, connections
    scatter     base (function that is spread out), whole (inputs that are not lifted)
    any         renamed (fields of earlier versions: "in.a" → "b"), converts (module code knows earlier versions)
    """

    name: str
    kind: FunctionKind
    inputs: tuple[Field, ...] = ()
    outputs: tuple[Field, ...] = ()
    help: str = ""
    version: int = 1
    is_deterministic: bool = False
    state: tuple[Field, ...] = ()
    instances: tuple[InnerInstance, ...] = ()
    connections: tuple[InnerConnection, ...] = ()
    base: str = ""
    whole: tuple[str, ...] = ()
    renamed: dict[str, str] = {}
    converts: bool = False

    def input(self, name: str) -> Field | None:
        """Return the input called `name`, or None."""
        return next((field for field in self.inputs if field.name == name), None)

    def output(self, name: str) -> Field | None:
        """Return the output called `name`, or None."""
        return next((field for field in self.outputs if field.name == name), None)


class ModuleSchema(msgspec.Struct, frozen=True, omit_defaults=True):
    """A workflow module: its functions, or why it could not be loaded (`error`, with file and line).

    `citations` are the works that those who use the module should cite.
    """

    name: str
    help: str = ""
    functions: tuple[FunctionSchema, ...] = ()
    error: str = ""
    citations: tuple[str, ...] = ()
