"""The command that fetches files: one, several, or all that an array holds."""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import click

from copernicus.client.cli.context import Context, command, pass_context
from copernicus.client.output import text
from copernicus.errors import UnknownPath, UsageError
from copernicus.model.types import decode, parse_type
from copernicus.model.values import FileRef, Value
from copernicus.program import Word


class Found(NamedTuple):
    """A file, and the path of the place where it stands."""

    path: str
    file: FileRef


@command("getf")
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option(
    "-f", "--file", "target", type=Word(), metavar="FILE", help="Where to write it (a folder: under its own name; -: stdout)."
)
@click.option("--partial", "is_partial", is_flag=True, help="As it is now, of a job that runs; also JOB/NAME or PATH/NAME.")
@pass_context
def getf_command(context: Context, paths: tuple[str, ...], target: str | None, is_partial: bool) -> None:
    """Fetch the file at PATH into the current folder, under its own name, or to the FILE named with -f.

    Of an array all files are fetched, each under its own name; where these are the same, the place stands before it. FILE is
    replaced if it exists; without -f nothing is ever replaced. A file appears only when it is whole and checked.

    With --partial PATH is an output that a running job is making, or an instance or a job's number, a slash, and the name
    of a file in the job's folder: 17/stdout, mdrun/md.log. It is fetched as it is now; the program may be writing it.
    """
    found = [one for path in paths for one in (_partial(context, path) if is_partial else _files(context, path))]
    if target == "-":
        _to_stdout(context, found)
        return
    places = _targets(found, target)
    fetched = [{"file": str(_fetched(context, one, place)), "size": one.file.size, "path": one.path}
               for one, place in zip(found, places, strict=True)]  # fmt: skip
    plain = {"file": fetched[0]["file"], "size": fetched[0]["size"]} if len(paths) == len(found) == 1 else fetched
    context.show(plain, lambda: [text.shown(f"{place} ({text.size(one.file.size)})")
                                 for one, place in zip(found, places, strict=True)])  # fmt: skip


def _files(context: Context, path: str) -> list[Found]:
    from copernicus.client.files import file_of

    reply = context.project.get_reply(path)
    kind = parse_type(reply.type)
    if kind.kind != "array" or reply.value is None:
        return [Found(reply.path, file_of(reply))]
    found = list(_inside(reply.path, decode(kind, reply.value, reply.path)))
    if not found:
        file_of(reply) if "file" not in str(kind) else None
        raise UnknownPath(f"There is no file in {reply.path} yet.", f"See: cpcc why {reply.path.rpartition(':')[0]}")
    return found


def _partial(context: Context, path: str) -> list[Found]:
    reply = context.project.get_partial(path)
    assert reply.file is not None
    if reply.provisional is not None:
        when = text.moment(reply.provisional.at)
        context.note(f"Job {reply.job} does not run now; this is of attempt {reply.attempt}, {when}.")
    return [Found(path, reply.file)]


def _inside(path: str, value: Value) -> Iterator[Found]:
    if isinstance(value, FileRef):
        yield Found(path, value)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _inside(f"{path}[{index}]", item)
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from _inside(f"{path}.{name}", item)


def _targets(found: Sequence[Found], given: str | None) -> list[Path]:
    """Where each file goes; raise `UsageError` before anything is fetched when one would replace what it should not."""
    if len(found) == 1 and given and not Path(given).is_dir():
        return [Path(given)]
    if len(found) > 1 and given and not Path(given).is_dir():
        raise UsageError(f"These are {len(found)} files, and {given} is no folder.", f"Make one: mkdir {given}")
    own = [_own_name(one.file) for one in found]
    names = [name if own.count(name) == 1 else f"{_label(one.path)}_{name}" for one, name in zip(found, own, strict=True)]
    targets = [Path(given or "") / name for name in names]
    for target in targets:
        if target.exists():
            hint = f"To replace it, name it: -f {target}" if len(found) == 1 else "Fetch them into an empty folder: -f FOLDER"
            raise UsageError(f"{target} exists.", hint)
    return targets


def _own_name(file: FileRef) -> str:
    name = Path(file.name).name
    if not name or name.startswith("."):
        raise UsageError(f"The file's own name, {file.name!r}, is not one to write to.", "Name it with -f FILE.")
    return name


def _label(path: str) -> str:
    return re.sub(r"\W+", "_", path).strip("_")


def _fetched(context: Context, one: Found, place: Path) -> Path:
    from copernicus.client.cli.progress import bar

    with bar(f"Fetching {text.clean(one.file.name)}") as progress:
        return context.client.download(one.file, place, progress)


def _to_stdout(context: Context, found: Sequence[Found]) -> None:
    with tempfile.TemporaryDirectory(prefix="cpcc-") as folder:
        for one in found:
            with open(_fetched(context, one, Path(folder) / "file"), "rb") as content:
                shutil.copyfileobj(content, sys.stdout.buffer)
