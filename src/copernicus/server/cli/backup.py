"""`cpc-server backup` and `cpc-server restore`."""

from __future__ import annotations

import json
import re
import sys
import time
from pathlib import Path

import click
import msgspec

from copernicus.config import settings as server_settings
from copernicus.errors import CopernicusError, UsageError
from copernicus.program import File
from copernicus.server.cli import Selected
from copernicus.server.cli.setup import checked_project_dir
from copernicus.server.cli.upkeep.backups import Made, find_backup, make_backup, remove_old
from copernicus.server.cli.upkeep.restoring import restore_backup

UNITS_S = {"m": 60.0, "h": 3600.0, "d": 24 * 3600.0}


@click.command()
@click.option("--every", "-every", metavar="TIME", help="Go on making one every so often: 30m, 6h, 1d; ends with Ctrl-C.")
@click.option("--keep", "-keep", type=click.IntRange(1), metavar="N", help="Delete all but the newest N afterwards.")
@click.option("--json", "-json", "is_json", is_flag=True, help="Print JSON, a line for each backup.")
@click.argument("dir", type=File())
@click.pass_obj
def backup(selected: Selected, every: str | None, keep: int | None, is_json: bool, dir: Path) -> None:
    """Make a complete backup of the server in a new folder within DIR.

    The server may run. Files that the backup before has as well are shared with it. There are keys in it: keep it private.
    """
    pause_s = interval_s(every) if every is not None else None
    folder = dir.expanduser().absolute()
    if pause_s is None:
        report(one_backup(selected, folder, keep), is_json=is_json)
        return
    due = time.monotonic()
    while True:
        try:
            report(one_backup(selected, folder, keep), is_json=is_json)
        except (CopernicusError, OSError) as error:
            click.echo(f"ERROR: {error} The next try follows in {every}.", err=True)
        due = max(due + pause_s, time.monotonic())
        time.sleep(max(0.0, due - time.monotonic()))


def one_backup(selected: Selected, folder: Path, keep: int | None) -> Made:
    """Make one, and remove old ones once it is there; settings are read anew each time."""
    settings = server_settings.load(selected.folder)
    made = make_backup(selected.folder, Path(settings.run_dir) if settings.run_dir else None, folder, time.time())
    if keep is not None:
        remove_old(folder, keep)
    return made


def report(made: Made, *, is_json: bool) -> None:
    """Say what was made."""
    if is_json:
        click.echo(json.dumps(msgspec.to_builtins(made)))
    else:
        shared = made.files - made.new_files
        click.echo(f"Made {made.path}: {made.projects} projects, {made.files} files ({made.bytes} bytes).")
        click.echo(f"{made.new_files} files ({made.new_bytes} bytes) were copied, {shared} are shared with the backup before.")
        if made.lost_results:
            click.echo(f"{made.lost_results} files that nothing needs any more are damaged and not in it: cpc-server verify")
    sys.stdout.flush()


def interval_s(text: str) -> float:
    """Return the seconds that "30m", "6h" or "1d" stand for; raise `UsageError`."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([mhd])", text.strip())
    if not found or not float(found[1]):
        raise UsageError(f"{text!r} is not a length of time.", "Write 30m, 6h or 1d.")
    return float(found[1]) * UNITS_S[found[2]]


@click.command()
@click.option("--json", "-json", "is_json", is_flag=True, help="Print JSON.")
@click.argument("dir", type=File())
@click.argument("project_dir", type=File())
@click.pass_obj
def restore(selected: Selected, is_json: bool, dir: Path, project_dir: Path) -> None:
    """Restore the newest backup in DIR (or the backup DIR itself) to PROJECT_DIR, which must not be there yet.

    Settings, keys and users are restored as well when there is no server set up; one that is set up must be the same, and
    stopped. What was given out after the backup counts no more: jobs that had been given to workers are done again.
    """
    target = checked_project_dir(project_dir)
    done = restore_backup(find_backup(dir.expanduser().absolute()), selected.folder, target, time.time())
    if is_json:
        click.echo(json.dumps(msgspec.to_builtins(done)))
        return
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(done.made_at))
    click.echo(f"Restored {len(done.projects)} projects as of {when} to {done.project_dir}.")
    if done.is_server_new:
        click.echo(f"The server's settings, keys and users came with them, into {selected.folder}.")
        click.echo("Your own bundle, if it is lost as well: cpc-server bundle")
    click.echo("Start the server: cpc-server start")
