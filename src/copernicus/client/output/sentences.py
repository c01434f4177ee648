"""Edits in words: what was done, and what waits for the commit."""

from __future__ import annotations

from collections.abc import Sequence

from copernicus.client.output.text import clean, fitting
from copernicus.model import edits as e
from copernicus.wire import messages as m

LONGEST = 60


def done(edit: e.Edit, told: str) -> str:
    """Return a sentence about an edit that was made; `told` is what the server said: the place chosen for `[+]`, or words."""
    match edit:
        case e.ImportModule(module=module):
            words = f"Imported {module}."
        case e.DeclareFunction(schema=schema):
            words = f"Declared the function {schema.name}."
        case e.MakeInstance(function=function, name=name):
            words = f"Made {name}, an instance of {function}. It is held until: cpcc activate"
        case e.RemoveInstance(path=path):
            words = f"Removed {path}."
        case e.RenameInstance(path=path, name=name):
            words = f"{path} is called {name} now."
        case e.Connect(source=source, destination=destination):
            return f"Connected {source} to {_chosen(destination, told)}."
        case e.Disconnect(destination=destination):
            words = f"Disconnected {destination}."
        case e.SetText(path=path, text=text):
            return f"Set {_chosen(path, told)} to {_short(text)}."
        case e.SetValue(path=path):
            return f"Set {_chosen(path, told)}."
        case e.SetFile(path=path, file=file):
            return f"Set {_chosen(path, told)} to the content of {clean(file.name)}."
        case e.Unset(path=path):
            words = f"Unset {path}."
        case e.Activate(path=path):
            words = f"Activated {path or 'the project'}."
        case e.Deactivate(path=path):
            words = f"Deactivated {path or 'the project'}."
        case e.ClearError(path=path):
            words = f"Cleared the errors of {path or 'the project'}."
        case e.ForceRerun(path=path):
            words = f"{path} is done anew."
    return f"{told[0].upper()}{told[1:].rstrip('.')}." if told else words


def staged(edit: e.Edit, told: str) -> str:
    """Return an edit that waits, as the command that made it, with the place that `[+]` would be now."""
    match edit:
        case e.ImportModule(module=module):
            return f"import {module}"
        case e.DeclareFunction(schema=schema):
            return f"function {schema.name}"
        case e.MakeInstance(function=function, name=name):
            return f"instance {function} {name}"
        case e.RenameInstance(path=path, name=name):
            return f"rename {path} {name}"
        case e.Connect(source=source, destination=destination):
            return f"connect {source} {_chosen(destination, told)}"
        case e.Disconnect(destination=destination):
            return f"disconnect {destination}"
        case e.SetText(path=path, text=text):
            return f"set {_chosen(path, told)} {_short(text)}"
        case e.SetValue(path=path):
            return f"set {_chosen(path, told)}"
        case e.SetFile(path=path, file=file):
            return f"setf {_chosen(path, told)} {clean(file.name)}"
        case e.UpgradeModule(module=module):
            return f"upgrade {module}"
    return f"{edit.__struct_config__.tag} {edit.path}".rstrip()


def beforehand(edits: Sequence[e.Edit], told: Sequence[str]) -> list[str]:
    """Return what the server said about edits that were only looked at; it names no places that `[+]` would be."""
    about_places = e.Connect | e.SetText | e.SetValue | e.SetFile
    return [done(edit, line) for edit, line in zip(edits, told, strict=False) if line and not isinstance(edit, about_places)]


def undone(reply: m.UndoReply) -> list[str]:
    """Return the lines about a transaction that was, or would be, taken back."""
    first, *others = reply.told
    return fitting(f"{'Taken back' if reply.seq is not None else 'To be taken back'}: {first}.") + [
        line for other in others for line in fitting(f"{other}.")
    ]


def _chosen(path: str, told: str) -> str:
    return told if told and "[+]" in path else path


def _short(text: str) -> str:
    shown = clean(text).replace("\n", "\\n")
    if not shown:
        return "the empty text"
    return shown if len(shown) <= LONGEST else shown[: LONGEST - 1] + "…"
