"""Commands for authors of modules."""

from __future__ import annotations

from pathlib import Path

import click

from copernicus.client.cli.context import Context, change_command, command, pass_context
from copernicus.client.cli.transactions import make
from copernicus.model.edits import UpgradeModule


@command("new-module")
@click.argument("name")
@click.argument("folder", type=click.Path(path_type=Path), required=False)
@pass_context
def new_module_command(context: Context, name: str, folder: Path | None) -> None:
    """Write a module called NAME that works, to be changed into your own: into FOLDER, or into ~/.copernicus/modules.

    It has a program, a command that runs it as a job, a controller that runs it until an error is small enough, and a test.
    """
    from copernicus.client.skeleton import write_module
    from copernicus.config.places import settings_home

    modules = settings_home() / "modules"
    parent = folder.expanduser() if folder is not None else modules
    written = write_module(name, parent)
    where = written[0].parent

    def lines() -> list[str]:
        placed = (
            "" if parent.absolute() == modules else f"Server and workers look for it in {modules}: move it, or link it there.\n"
        )
        return [
            *(f"{path}" for path in written),
            f"Test it with: pytest {where}",
            f"{placed}They find it when they start anew (cpc-server stop, cpc-server start). Then: cpcc info {name}",
        ]

    context.show({"module": name, "files": [str(path) for path in written]}, lines)


@change_command("upgrade")
@click.argument("module")
@pass_context
def upgrade_command(context: Context, module: str) -> None:
    """Make instances of functions of MODULE that have changed since they were made instances of the installed ones.

    Inputs and memory are converted as the module declares. Nothing is done anew by that: results stand until an input changes.
    """
    make(context, UpgradeModule(module))
