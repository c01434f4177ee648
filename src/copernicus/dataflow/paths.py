"""Paths: how people name instances and places, read into parts.

`msm:sim_0:in.path[3].conf` is the instance `msm:sim_0`, the side `in`, and the members `("path", 3, "conf")`.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from copernicus.errors import UnknownPath, UsageError

Member = str | int
APPEND = -1
"""Stands for `[+]` in the members of a path, until a transaction has chosen the index."""
INDEX_LIMIT = 1_000_000
"""The highest index that can be named: a slip of the finger shall not fill the memory."""

SIDES = {
    "in": "in", "out": "out", "state": "state",
    # Words of the original's files for the border of a network's inside.
    "sub_in": "out", "sub_out": "in", "ext_in": "in", "ext_out": "out",
}  # fmt: skip

LONGEST_NAME = 100
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_MEMBER = re.compile(r"\.([A-Za-z_][A-Za-z0-9_-]*)|\[(\d{1,9}|\+)\]")


class Path(NamedTuple):
    """A path as it was written: names of instances from the top down, a side ("" for none), and members."""

    names: tuple[str, ...]
    side: str = ""
    members: tuple[Member, ...] = ()

    def __str__(self) -> str:
        return show_path(":".join(self.names), self.side, self.members)


def show_path(instance: str, side: str, members: tuple[Member, ...]) -> str:
    """Return the text of a path."""
    text = f"{instance}:{side}" if side else instance
    for member in members:
        if isinstance(member, str):
            text += f".{member}"
        else:
            text += "[+]" if member == APPEND else f"[{member}]"
    return text


def clean_name(name: str) -> str:
    """Return a name as it is kept (dashes become underscores); raise `UsageError` when it cannot be a name."""
    if not _NAME.fullmatch(name):
        raise UsageError(f"{name!r} cannot be a name.", "A name is letters, digits and underscores, and begins with a letter.")
    if len(name) > LONGEST_NAME:
        raise UsageError(f"A name has at most {LONGEST_NAME} characters, not {len(name)}.")
    name = name.replace("-", "_")
    if name == "self":
        raise UsageError("'self' cannot be a name: inside a network it is the network itself.")
    if name in SIDES:
        raise UsageError(f"{name!r} cannot be a name: it says which side of an instance is meant.")
    return name


def clean_function(name: str) -> str:
    """Return a function's name as `module::function`; `module:function` is understood as well."""
    module, colons, function = name.replace("-", "_").partition(":")
    function = function.removeprefix(":")
    if not colons or not module or not function:
        raise UsageError(f"{name!r} does not name a function.", "Write MODULE::FUNCTION; `cpcc list-modules` shows them.")
    return f"{module}::{function}"


def parse_path(text: str) -> Path:
    """Read a path; raise `UsageError` when it is none. `instance.in.field` is understood as `instance:in.field`."""
    names: list[str] = []
    position = 0
    while position < len(text):
        match = _NAME.match(text, position)
        if match is None:
            raise UsageError(f"{text!r} is not a path: a name is expected at {text[position:]!r}.", _FORM)
        word, position = match.group().replace("-", "_"), match.end()
        if word in SIDES and (names or text[position:]):
            return Path(tuple(names), SIDES[word], _members(text, position))
        names.append(word)
        if position == len(text):
            break
        if text[position] not in ":.":
            raise UsageError(f"{text!r} is not a path: unexpected {text[position:]!r}.", _FORM)
        position += 1
        if position == len(text):
            raise UsageError(f"{text!r} is not a path: it ends too early.", _FORM)
    return Path(tuple(names))


def _members(text: str, position: int) -> tuple[Member, ...]:
    members: list[Member] = []
    while position < len(text):
        match = _MEMBER.match(text, position)
        if match is None:
            raise UsageError(f"{text!r} is not a path: unexpected {text[position:]!r}.", _FORM)
        name, index = match.groups()
        if name:
            members.append(name.replace("-", "_"))
        else:
            members.append(APPEND if index == "+" else int(index))
        position = match.end()
    return tuple(members)


def must_have_members(path: Path, text: str) -> None:
    """Raise `UnknownPath` unless `path` names a place (a field of a side)."""
    if not path.side or not path.members:
        raise UnknownPath(f"{text!r} does not name a value.", _FORM)


_FORM = "Write it like INSTANCE:in.FIELD, INSTANCE:SUB:out.FIELD[3] or INSTANCE:in.FIELD[+]."
