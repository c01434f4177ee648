"""Edits: what a person asks a project to change. A list of them is one transaction."""

from __future__ import annotations

from typing import Any

import msgspec

from copernicus.model.functions import FunctionSchema
from copernicus.model.values import FileRef


class _Edit(msgspec.Struct, frozen=True, tag_field="edit", omit_defaults=True):
    """Base of all edits; on the wire the member `edit` names the class."""


class ImportModule(_Edit, frozen=True, tag="import"):
    """Make a module's functions known to the project."""

    module: str


class DeclareFunction(_Edit, frozen=True, tag="declare"):
    """Keep a network function of the project's own (`project::name`), so that instances of it can be made."""

    schema: FunctionSchema


class MakeInstance(_Edit, frozen=True, tag="instance"):
    """Make an instance of `function` (`module::name`) under `name` at the top of the project; it starts held."""

    function: str
    name: str


class RemoveInstance(_Edit, frozen=True, tag="rm-instance"):
    """Disconnect and remove an instance that a user made; readers keep their values."""

    path: str


class RenameInstance(_Edit, frozen=True, tag="rename"):
    """Give an instance that a user made another name; connections, results and jobs stay as they are."""

    path: str
    name: str


class Connect(_Edit, frozen=True, tag="connect"):
    """Make the place `destination` a view of the place `source`."""

    source: str
    destination: str


class Disconnect(_Edit, frozen=True, tag="disconnect"):
    """Remove the connection that ends at `destination`; it keeps what it showed, as its own."""

    destination: str


class SetText(_Edit, frozen=True, tag="set"):
    """Set a place from text typed by a person; it is read by the type of the place."""

    path: str
    text: str


class SetValue(_Edit, frozen=True, tag="set-value"):
    """Set a place from plain JSON data (see `model.values`); `FileRef` objects for files are allowed inside."""

    path: str
    value: Any


class SetFile(_Edit, frozen=True, tag="setf"):
    """Set a place of type file to a blob that has been uploaded."""

    path: str
    file: FileRef


class Unset(_Edit, frozen=True, tag="unset"):
    """Remove a value; at the end of an array this shortens it."""

    path: str


class Activate(_Edit, frozen=True, tag="activate"):
    """Let an instance (or, with an empty path, the whole project) and all below it run."""

    path: str = ""


class Deactivate(_Edit, frozen=True, tag="deactivate"):
    """Hold an instance (or, with an empty path, the whole project). `is_now`: jobs that run stop with a checkpoint."""

    path: str = ""
    is_now: bool = False


class ClearError(_Edit, frozen=True, tag="clear-error"):
    """Forget the errors of an instance and all below it; failed jobs get a fresh budget of attempts."""

    path: str = ""


class ForceRerun(_Edit, frozen=True, tag="force-rerun"):
    """Strike the current evaluation out and make it anew, from nothing."""

    path: str


class UpgradeModule(_Edit, frozen=True, tag="upgrade"):
    """Make instances of functions of `module` that have changed instances of the installed ones."""

    module: str


Edit = (
    ImportModule | DeclareFunction | MakeInstance | RemoveInstance | RenameInstance | Connect | Disconnect | SetText | SetValue
    | SetFile | Unset | Activate | Deactivate | ClearError | ForceRerun | UpgradeModule
)  # fmt: skip
