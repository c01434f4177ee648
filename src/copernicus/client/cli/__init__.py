"""The program `cpcc`: finds the command, keeps failures to one clear line. Commands are loaded when they are called."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, NoReturn

import click

from copernicus import program
from copernicus.client.cli.context import Context, global_options
from copernicus.client.cli.names import ALIASES, GROUPS, find, near

NAMES_WIDTH = 16


class Cpcc(click.Group):
    """The group of all commands; it knows their names, and imports only the one that is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names, without aliases, in the order of the help."""
        return [row.name for rows in GROUPS.values() for row in rows]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command, also by one of its other names."""
        row = find(cmd_name)
        if row is None:
            return None
        module = import_module(f"copernicus.client.cli.{row.module}")
        found = getattr(module, row.attribute)
        return found if isinstance(found, click.Command) else None

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Make the context; where a shell asks what a word may become, the options are told where to look."""
        if extra.get("resilient_parsing"):
            from copernicus.client.cli.candidates import prepare

            prepare(self)
        return super().make_context(info_name, args, parent, **extra)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that `args` begins with; an unknown one is answered with the nearest names."""
        if args and find(args[0]) is None and not args[0].startswith("-"):
            guesses = near(args[0])
            hint = f" Did you mean {' or '.join(guesses)}?" if guesses else " All commands: cpcc -h"
            raise click.UsageError(f"There is no command {args[0]!r}.{hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands by what they are about."""
        for title, rows in GROUPS.items():
            with formatter.section(title):
                other = {row.name: [alias for alias, name in ALIASES.items() if name == row.name] for row in rows}
                formatter.write_dl([(", ".join([row.name, *other[row.name]]).ljust(NAMES_WIDTH), row.help) for row in rows])


def run(words: Sequence[str], context: Context) -> int:
    """Do what `words` say and return the exit status; a failure is one line on stderr and a status that is not 0."""
    return program.run(cpcc, words, "cpcc", context, is_debug=lambda: context.is_debug)


def _version(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value:
        from copernicus import __version__

        click.echo(f"cpcc {__version__}")
        ctx.exit()


cpcc = Cpcc(
    "cpcc",
    help="Send commands to a Copernicus server: make projects, set them up, watch them, fetch results.",
    epilog="Help on one command: cpcc COMMAND -h. First steps: cpcc add-server HOST, cpcc login root, cpcc start NAME.",
    params=[
        *global_options(),
        click.Option(
            ["--version"], is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Show the version."
        ),
    ],
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    subcommand_metavar="COMMAND [ARGUMENTS]",
)


def main() -> NoReturn:
    """Run `cpcc`."""
    status = run(sys.argv[1:], Context())
    sys.stderr.flush()
    # Without taking the interpreter apart: that takes a fifth of the time of a short command, and all is closed or flushed.
    os._exit(status)
