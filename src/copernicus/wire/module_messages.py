"""Messages about modules and their functions."""

from __future__ import annotations

from copernicus.model.functions import FunctionSchema, ModuleSchema
from copernicus.wire.message import Message


class ModulesRequest(Message, frozen=True):
    """List the modules that the server has, broken ones included."""


class ModulesReply(Message, frozen=True):
    """Modules without their functions' details: `functions` holds names and help only in `help`."""

    modules: list[ModuleSchema]


class InfoRequest(Message, frozen=True):
    """Describe a module ("gromacs") or a function ("gromacs::grompp"); with `project` also its own ("project::NAME")."""

    name: str
    project: str = ""


class InfoReply(Message, frozen=True):
    """Exactly one of the two is set."""

    module: ModuleSchema | None = None
    function: FunctionSchema | None = None
