"""What every command of `cpcc` shares: the global flags, the connection, the current project, what is printed where."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import click

from copernicus.errors import UsageError
from copernicus.program import Word
from copernicus.terminal import is_terminal as is_at_terminal

if TYPE_CHECKING:
    from copernicus.client.api import Client, Project
    from copernicus.client.staging import Staging

Function = TypeVar("Function", bound=Callable[..., Any])


def connect(bundle: str | None) -> Client:
    """Return the client that the flags, the session and the bundles of this user lead to."""
    from copernicus.client.api import Client

    return Client.connect(bundle)


class Context:
    """One call of `cpcc`. `opener` makes the client, so that tests can put their own server behind the commands."""

    def __init__(self, opener: Callable[[str | None], Client] = connect) -> None:
        self.opener = opener
        self.bundle: str | None = None
        self.project_flag: str | None = None
        self.is_json = False
        self.is_debug = False
        self.is_preview = False

    @cached_property
    def client(self) -> Client:
        """The connection, made when it is first needed."""
        return self.opener(self.bundle)

    @property
    def project_name(self) -> str:
        """The project of `-p`, or the current one; raise `UsageError` when there is neither."""
        if self.project_flag:
            return self.project_flag
        from copernicus.client import memory

        name = memory.load().projects.get(self.client.identity, "")
        if not name:
            raise UsageError("No project is chosen.", "Name it with -p PROJECT, choose it with: cpcc cd PROJECT")
        return name

    @property
    def project(self) -> Project:
        """The project that the command is about."""
        return self.client.project(self.project_name)

    @property
    def staging(self) -> Staging:
        """The open transaction of this identity in this project."""
        from copernicus.client.staging import Staging

        return Staging(self.client.identity, self.project_name)

    def say(self, lines: str | Iterable[str]) -> None:
        """Print lines for a person on stdout (nothing with --json)."""
        if not self.is_json:
            for line in [lines] if isinstance(lines, str) else lines:
                click.echo(line)

    def show(self, data: Any, lines: Callable[[], Iterable[str]]) -> None:
        """Print an answer: `data` exactly with --json, else the lines that `lines` makes of it."""
        if not self.is_json:
            self.say(lines())
            return
        from copernicus.client.output import json

        click.echo(json.text(data))

    def note(self, line: str) -> None:
        """Print a remark that is no part of the answer, on stderr."""
        click.echo(line, err=True)


pass_context = click.make_pass_decorator(Context, ensure=True)


def _keep(name: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    def keep(ctx: click.Context, param: click.Parameter, value: Any) -> None:
        if value:
            setattr(ctx.ensure_object(Context), name, value)

    return keep


def global_options(*, is_brief: bool = False) -> list[click.Option]:
    """Return the flags that may stand before and after the command; `is_brief` hides the rarer ones in the help."""
    return [
        click.Option(
            ["-p", "--project"], type=Word(), metavar="PROJECT", expose_value=False, callback=_keep("project_flag"),
            help="The project, instead of the current one.",
        ),
        click.Option(
            ["--json"], is_flag=True, expose_value=False, callback=_keep("is_json"), help="Print JSON, for programs.",
        ),
        click.Option(
            ["-c", "--bundle"], type=Word(), metavar="BUNDLE", expose_value=False, callback=_keep("bundle"), hidden=is_brief,
            help="The connection bundle to use (client.cnx).",
        ),
        click.Option(
            ["--debug"], is_flag=True, expose_value=False, callback=_keep("is_debug"), hidden=is_brief,
            help="Show tracebacks.",
        ),
    ]  # fmt: skip


def preview_option() -> click.Option:
    """Return the flag of all commands that change a project; what it asks for is done by `transactions.make` and its like."""
    return click.Option(
        ["--preview"], is_flag=True, expose_value=False, callback=_keep("is_preview"),
        help="Only say what would follow: what is evaluated anew, which jobs end. Nothing is changed.",
    )  # fmt: skip


class Command(click.Command):
    """A command that also takes the global flags."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params.extend(global_options(is_brief=True))

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Make the context; only where a shell asks what a word may become, arguments are told where to look."""
        if extra.get("resilient_parsing"):
            from copernicus.client.cli.candidates import prepare

            prepare(self)
        return super().make_context(info_name, args, parent, **extra)


def command(name: str, **settings: Any) -> Callable[[Callable[..., Any]], Command]:
    """Make a command of `cpcc` of a function."""
    return click.command(name, cls=Command, **settings)


def change_command(name: str, **settings: Any) -> Callable[[Callable[..., Any]], Command]:
    """Make a command of `cpcc` that changes a project, and can say before what would follow."""

    def make(function: Callable[..., Any]) -> Command:
        made = command(name, **settings)(function)
        made.params.append(preview_option())
        return made

    return make


def is_terminal() -> bool:
    """Say whether a person can be asked (stdin is a terminal)."""
    return is_at_terminal(sys.stdin)
