"""Commands: whatever can be typed explains itself."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from importlib.metadata import entry_points

import click
import pytest
from tests.house.source import files

from copernicus.client.cli.names import ALIASES, GROUPS, Row

PROGRAMS = ("cpcc", "cpc-server", "cpc-worker")


def root(program: str) -> click.Command:
    """Return the click command behind a console program."""
    (point,) = entry_points(group="console_scripts", name=program)
    target = point.load()
    if isinstance(target, click.Command):
        return target
    module = importlib.import_module(point.module)
    (found,) = {value for name in ("cli", "command", "cpcc", "cpc_server", "cpc_worker")
                if isinstance(value := getattr(module, name, None), click.Command)}  # fmt: skip
    return found


def unexplained(name: str, command: click.Command) -> Iterator[str]:
    """Yield the commands, and the options of them, that have no help text."""
    if not (command.help or "").strip():
        yield name
    for parameter in command.params:
        if isinstance(parameter, click.Option) and not parameter.help and not parameter.hidden:
            yield f"{name} {parameter.opts[0]}"
    if isinstance(command, click.Group):
        context = click.Context(command, info_name=name)
        for child in command.list_commands(context):
            found = command.get_command(context, child)
            if found is not None:
                yield from unexplained(f"{name} {child}", found)


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_command_and_option_has_help(program: str) -> None:
    assert list(unexplained(program, root(program))) == []


def test_a_silent_command_is_noticed() -> None:
    group = click.Group("g", help="A group.", commands=[click.Command("mute", params=[click.Option(["-x"])])])
    assert list(unexplained("g", group)) == ["g mute", "g mute -x"]


def arguments(command: click.Command) -> list[str]:
    """Return the names of what a command asks for beyond its flags."""
    return [parameter.name or "" for parameter in command.params if isinstance(parameter, click.Argument)]


@pytest.mark.parametrize("row", [row for rows in GROUPS.values() for row in rows], ids=lambda row: row.name)
def test_every_command_answers_programs_and_refuses_bad_input(row: Row) -> None:
    found = root("cpcc").get_command(click.Context(root("cpcc")), row.name)  # type: ignore[attr-defined]
    flags = {flag for parameter in found.params for flag in parameter.opts}
    assert {"--json", "-p", "-c"} <= flags, "a command is made with `client.cli.context.command`"
    assert row.help.endswith(".")
    assert found.name == row.name
    if arguments(found):
        called = re.compile(rf"\bcpcc (?:-\S+ \S* ?)*(?:{'|'.join(names_of(row))})\b|\"(?:{'|'.join(names_of(row))})\",")
        said = [path.name for path in files("tests", pattern="test_*.py") if called.search(path.read_text(encoding="utf-8"))]
        assert any(name.startswith(("test_bad_", "test_cpcc")) for name in said), "no test of its bad input"


def names_of(row: Row) -> list[str]:
    """Return all names of a command."""
    return [row.name, *(alias for alias, name in ALIASES.items() if name == row.name)]


def test_the_commands_that_are_promised_are_there() -> None:
    """Those of peers and pools come with the rooms behind them."""
    there = {*ALIASES, *(row.name for rows in GROUPS.values() for row in rows)}
    promised = [
        *("add-server", "forget-server", "list-server", "use-server", "server-info", "version", "ping", "stop-server"),
        *("readconf", "projects", "p", "start", "rm", "cd", "set-default", "pwd", "get-default", "ls", "list", "get", "getf"),
        *("get-file", "info", "list-modules", "log", "graph", "status", "s", "why", "watch", "cite", "import", "instance"),
        *("rm-instance", "connect", "disconnect", "set", "setf", "set-file", "unset", "activate", "deactivate", "hold"),
        *("transact", "commit", "rollback", "upload", "clear-error", "force-rerun", "run", "new-module", "queue", "q"),
        *("running", "r", "workers", "users", "add-user", "delete-user", "promote-user", "demote-user", "passwd"),
        *("grant-access", "revoke-access", "bundles", "bundle", "revoke-bundle"),
    ]
    assert sorted(set(promised) - there) == []
