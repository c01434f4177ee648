"""A new module that works from the start: a program, a command that runs it, a controller, a README, a test."""

from __future__ import annotations

import keyword
import re
from importlib.metadata import entry_points
from importlib.resources import files
from pathlib import Path

from copernicus.errors import Refused, UsageError

PLACE = "@NAME@"
SUFFIX = ".in"
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_LONGEST = 60


def write_module(name: str, parent: Path) -> list[Path]:
    """Write the module `name` into the folder `parent/name`, which must not exist, and return its files.

    Raises `UsageError` for a name that no module can have, `Refused` when something is there already.
    """
    if not _NAME.fullmatch(name) or keyword.iskeyword(name) or len(name) > _LONGEST:
        raise UsageError(
            f"{name!r} cannot be the name of a module.",
            f"Names are at most {_LONGEST} letters, digits and _, begin with a letter, and are no words of Python.",
        )
    if name in entry_points(group="copernicus.functions").names:
        raise Refused(f"There is an installed module {name}.", "Choose another name.")
    folder = parent / name
    if folder.exists() or folder.is_symlink():
        raise Refused(f"{folder} is already there.", "Choose another name or folder, or remove it.")
    folder.mkdir(parents=True)
    written = []
    for template in sorted(files(__package__).iterdir(), key=lambda each: each.name):
        if template.name.endswith(SUFFIX):
            path = folder / template.name.removesuffix(SUFFIX).replace("NAME", name)
            path.write_text(template.read_text("utf-8").replace(PLACE, name), "utf-8")
            written.append(path)
    return written
