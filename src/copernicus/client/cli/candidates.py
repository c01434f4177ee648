"""What a word on the command line of `cpcc` may become: projects, paths, functions, as the server has them now.

Silent and quick: whatever goes wrong, or takes longer than a moment, there are no candidates.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from copernicus.client.cli.context import Context

LIMIT_S = 1.5
MOST = 200
SIDES = ("in.", "out.")
PROJECT_COMMANDS = {"cd", "rm", "status", "save", "rename-project", "usage"}


def of(parameter: click.Parameter, command: str) -> Callable[[Context, str], Iterable[str]] | None:
    """Return what finds candidates for an argument or option of a command, None where there is nothing to find."""
    name = parameter.name or ""
    if isinstance(parameter.type, click.Path) or name in ("file", "folder", "program", "value"):
        return None
    if name == "project" or (name == "name" and command in PROJECT_COMMANDS):
        return projects
    if name in ("path", "paths", "source", "destination", "target") and isinstance(parameter, click.Argument):
        return paths
    if name == "function" or (name == "name" and command == "info"):
        return functions
    return modules if name == "module" else None


def complete(find: Callable[[Context, str], Iterable[str]], ctx: click.Context, incomplete: str) -> list[str]:
    """Return the candidates that begin with `incomplete`; none when the server does not answer at once."""
    from copernicus.client.cli.context import Context

    try:
        context = ctx.find_object(Context) or Context()
        context.client.caller.timeout_s = LIMIT_S
        return [found for found in find(context, incomplete) if found.startswith(incomplete)][:MOST]
    except Exception:
        return []  # nobody wants to read of a failure in the middle of typing


def projects(context: Context, incomplete: str) -> Iterable[str]:
    """The names of projects."""
    return [row.name for row in context.client.projects()]


def modules(context: Context, incomplete: str) -> Iterable[str]:
    """The names of modules."""
    return [row.name for row in context.client.modules() if not row.error]


def functions(context: Context, incomplete: str) -> Iterable[str]:
    """The full names of functions, `module::function`."""
    return [function.name for module in context.client.modules() for function in module.functions]


def paths(context: Context, incomplete: str) -> Iterable[str]:
    """Instances, sides and places that go one step beyond what is there of a path."""
    around = re.sub(r"[:.\[][^:.\[]*$", "", incomplete) if re.search(r"[:.\[]", incomplete) else ""
    reply = context.project.list_page(around, limit=MOST)
    if reply.kind == "place":
        return [row.path for row in reply.places]
    rows = reply.instances[1:] if reply.kind == "instance" else reply.instances
    names = [row.path for row in rows]
    sides = [f"{around}:{side}" for side in SIDES] if around else []
    if len(names) == 1 and names[0] == incomplete:
        sides = [f"{incomplete}:{side}" for side in SIDES]
    return [*names, *sides]


def prepare(command: click.Command) -> None:
    """Tell the parameters of a command where to look; only done when a shell asks what a word may become."""
    for parameter in command.params:
        find = of(parameter, command.name or "")
        if find is not None:
            parameter._custom_shell_complete = _asking(find)


def _asking(find: Callable[[Context, str], Iterable[str]]) -> Callable[[Any, Any, str], list[Any]]:
    return lambda ctx, parameter, incomplete: complete(find, ctx, incomplete)
