"""Commands about projects as a whole: list, make, remove, choose."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from copernicus.client import memory
from copernicus.client.cli.context import Context, command, is_terminal, pass_context
from copernicus.client.output import text
from copernicus.errors import Refused, UnknownPath
from copernicus.model.jobs import PRIORITY_MAX, PRIORITY_MIN


@command("projects")
@pass_context
def projects_command(context: Context) -> None:
    """List the projects that you may see; the current one is marked with a star."""
    rows = context.client.projects()
    current = memory.load().projects.get(context.client.identity, "")

    def lines() -> Iterator[str]:
        head = ("", "NAME", "INSTANCES", "JOBS", "PRIORITY", "MADE")
        cells = [
            ("*" if row.name == current else "", row.name, text.counts(row.states) or "none", text.counts(row.jobs) or "none",
             str(row.priority or ""), text.moment(row.created_at))
            for row in rows
        ]  # fmt: skip
        yield from text.table(head, cells) or ["There are no projects. Make one with: cpcc start NAME"]

    context.show(rows, lines)


@command("start")
@click.argument("name")
@pass_context
def start_command(context: Context, name: str) -> None:
    """Make a project called NAME, and choose it."""
    context.client.start_project(name)
    _choose(context, name)
    context.show({"project": name}, lambda: [f"Project {name} was made, and is the current one."])


@command("rm")
@click.argument("name")
@click.option("-k", "--keep", "is_kept", is_flag=True, help="Save it before, as NAME.tar.gz in the current folder.")
@click.option("-f", "--force", "is_forced", is_flag=True, help="Do not ask.")
@pass_context
def rm_command(context: Context, name: str, is_kept: bool, is_forced: bool) -> None:
    """Remove the project NAME for good: its instances, values, files, jobs and log.

    On a terminal you are asked before; a script is not.
    """
    client = context.client
    if is_kept:
        from copernicus.client.archives import SUFFIX, save

        save(client.caller, name, Path(f"{name}{SUFFIX}"))
        context.note(f"Saved {name}{SUFFIX}.")
    if not is_forced and is_terminal():
        _existing(context, name)
        if not click.confirm(f"Remove project {name} with all that is in it?", err=True):
            raise Refused("Nothing was removed.")
    note = client.remove_project(name)
    with memory.locked():
        known = memory.load()
        if known.projects.get(client.identity) == name:
            memory.save(known.with_project(client.identity, ""))
    from copernicus.client.staging import Staging

    Staging(client.identity, name).forget()
    context.show({"project": name}, lambda: [note or f"Project {name} was removed."])


@command("rename-project")
@click.argument("name")
@click.argument("new_name", metavar="NEW")
@pass_context
def rename_project_command(context: Context, name: str, new_name: str) -> None:
    """Call the project NAME NEW from now on. Whoever has access to it keeps it; your open transaction in it goes on.

    Workers that were started for the project (-p NAME) must be started for its new name. An instance is renamed with: cpcc
    rename
    """
    from copernicus.client.staging import Staging

    client = context.client
    note = client.rename_project(name, new_name)
    with memory.locked():
        known = memory.load()
        if known.projects.get(client.identity) == name:
            memory.save(known.with_project(client.identity, new_name))
        Staging(client.identity, name).move(new_name)
    context.show({"project": new_name}, lambda: [note])


class _Priority(click.IntRange):
    """A number that may begin with a minus, where whatever else does so is an option that is not there."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """See `click.ParamType.convert`."""
        if isinstance(value, str) and value.startswith("--"):
            raise click.NoSuchOption(value, ctx=ctx)
        return super().convert(value, param, ctx)


@command("project-priority", context_settings={"ignore_unknown_options": True})
@click.argument("priority", type=_Priority(PRIORITY_MIN, PRIORITY_MAX))
@click.argument("name", required=False)
@pass_context
def project_priority_command(context: Context, priority: int, name: str | None) -> None:
    """Let the jobs of project NAME (the current one) go before those of others (PRIORITY up to 30), or behind (down to -30).

    It is added to the priority that each job has, and holds at once, for jobs that wait, too. Super users only.
    """
    chosen = name or context.project_name
    note = context.client.set_priority(chosen, priority)
    context.show({"project": chosen, "priority": priority}, lambda: [note])


@command("cd")
@click.argument("name")
@pass_context
def cd_command(context: Context, name: str) -> None:
    """Choose the project NAME: commands without -p are about it from now on."""
    _existing(context, name)
    _choose(context, name)
    context.show({"project": name}, lambda: [f"The current project is {name}."])


@command("pwd")
@pass_context
def pwd_command(context: Context) -> None:
    """Show the name of the current project."""
    name = context.project_name
    context.show({"project": name}, lambda: [name])


def _existing(context: Context, name: str) -> None:
    names = [row.name for row in context.client.projects()]
    if name not in names:
        there = f"Projects: {', '.join(names)}." if names else "There are none; make one with: cpcc start NAME"
        raise UnknownPath(f"There is no project {name!r}.", there)


def _choose(context: Context, name: str) -> None:
    with memory.locked():
        memory.save(memory.load().with_project(context.client.identity, name))
