"""`cpc-server verify`: is everything that the server has stored whole?"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click
import msgspec

from copernicus.config import settings as server_settings
from copernicus.program import File
from copernicus.server.cli import Selected
from copernicus.server.cli.upkeep.backups import find_backup, inspect_backup
from copernicus.server.cli.upkeep.findings import Inspection
from copernicus.server.cli.upkeep.inspecting import inspect


@click.command()
@click.option("--json", "-json", "is_json", is_flag=True, help="Print JSON.")
@click.argument("backup", required=False, type=File())
@click.pass_obj
def verify(selected: Selected, is_json: bool, backup: Path | None) -> None:
    """Read everything that is stored, and say what is wrong. Exit status: 0 nothing, 1 something.

    It may be done while the server runs. With BACKUP, a backup is read instead (of several, the newest).
    """
    if backup is not None:
        found = inspect_backup(find_backup(backup))
    else:
        settings = server_settings.load(selected.folder)
        found = inspect(selected.folder, Path(settings.run_dir) if settings.run_dir else None)
    report(found, is_json=is_json)
    sys.exit(1 if found.findings else 0)


def report(found: Inspection, *, is_json: bool) -> None:
    """Print what was looked at, and each finding in a line."""
    if is_json:
        click.echo(json.dumps(msgspec.to_builtins(found)))
        return
    click.echo(
        f"Looked at {found.projects} projects ({found.records} records of their logs), {found.jobs} jobs,"
        f" {found.files} files ({found.bytes} bytes)."
    )
    for one in found.findings:
        click.echo(str(one))
    if not found.findings:
        click.echo("All is well.")
