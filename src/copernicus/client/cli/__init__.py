"""The program `cpcc`: finds the command, keeps failures to one clear line. Commands are loaded when they are called."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn

import click

from copernicus.client.cli.context import Context, global_options
from copernicus.client.cli.names import ALIASES, GROUPS, find, near
from copernicus.errors import CopernicusError

USAGE_STATUS, FAILURE_STATUS, INTERRUPTED_STATUS = 2, 1, 130
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
    try:
        status = cpcc.main(list(words), "cpcc", standalone_mode=False, obj=context)
        sys.stdout.flush()
    except BrokenPipeError:
        # Nobody reads any more; what is still buffered shall not complain at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILURE_STATUS
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED_STATUS
    except Exception as error:
        return _tell(error, is_debug=context.is_debug)
    return status if isinstance(status, int) else 0


def _tell(error: Exception, *, is_debug: bool) -> int:
    if is_debug:
        import traceback

        traceback.print_exception(error)
    status = FAILURE_STATUS
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show()
        return USAGE_STATUS
    if isinstance(error, click.ClickException):
        message, status = error.format_message(), USAGE_STATUS
        if isinstance(error, click.UsageError) and error.ctx is not None and error.ctx.parent is not None:
            message += f" See: {error.ctx.command_path} -h"
    elif isinstance(error, CopernicusError):
        message = str(error)
    elif isinstance(error, UnicodeEncodeError):
        message = "What was typed is not valid Unicode text (UTF-8)."
    elif isinstance(error, OSError):
        message = f"{error.filename}: {error.strerror}." if error.filename else f"{error}."
    else:
        message = f"A fault of cpcc itself: {type(error).__name__}: {error}. Run it again with --debug and report what it says."
    click.echo(f"{click.style('ERROR:', fg='red')} {message}", err=True)
    return status


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
    sys.exit(run(sys.argv[1:], Context()))
