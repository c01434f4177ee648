"""Commands: whatever can be typed explains itself."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from importlib.metadata import entry_points

import click
import pytest

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
