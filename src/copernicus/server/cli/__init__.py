"""`cpc-server`: set a server up, start and stop it, make bundles, change settings."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import NoReturn

import click

from copernicus.config.places import host_name, server_folder, server_label
from copernicus.program import Word, run

FILES = {
    "setup": "setup",
    "start": "run",
    "stop": "run",
    "status": "run",
    "bundle": "bundle",
    "config": "settings",
    "config-list": "settings",
    "config-values": "settings",
    "verify": "verify",
    "backup": "backup",
    "restore": "backup",
    "migrate": "migrate",
    "doctor": "doctor",
    "openapi": "openapi",
    "install-service": "service",
}
SETTINGS = {"help_option_names": ["-h", "-help", "--help"], "max_content_width": 110}


class Selected:
    """Which server the command is about: the one called `name`, or this host's own, or the default one."""

    def __init__(self, name: str) -> None:
        self.name = name

    @property
    def folder(self) -> Path:
        """The server's own folder."""
        own = server_folder(host_name())
        return own if not self.name and own.exists() else server_folder(self.name)

    @property
    def label(self) -> str:
        """Its name, for people and bundles."""
        return server_label(self.folder)


class Commands(click.Group):
    """The commands, each read from its file when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        return [*FILES, *self.commands]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return one command, None when there is none of that name."""
        if cmd_name not in FILES:
            return super().get_command(ctx, cmd_name)
        found = getattr(importlib.import_module(f"{__name__}.{FILES[cmd_name]}"), cmd_name.replace("-", "_"))
        return found if isinstance(found, click.Command) else None


@click.group(cls=Commands, context_settings=SETTINGS)
@click.option("-c", "--conf", "name", type=Word(), metavar="CONFNAME", help="The server set up under this name.")
@click.option("-debug", "--debug", is_flag=True, help="Show tracebacks.")
@click.pass_context
def cli(context: click.Context, name: str | None, debug: bool) -> None:
    """Set up and run a Copernicus server."""
    context.obj = Selected(name or "")


@cli.command()
def version() -> None:
    """Print the version."""
    from copernicus import __version__

    click.echo(f"Copernicus {__version__}")


def main() -> NoReturn:
    """Run `cpc-server`: a failure is one line on stderr and a status that is not 0 (2 when the command line is wrong)."""
    is_debug = any(flag in sys.argv for flag in ("--debug", "-debug"))
    sys.exit(run(cli, sys.argv[1:], "cpc-server", is_debug=lambda: is_debug))
