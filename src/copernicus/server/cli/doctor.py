"""`cpc-server doctor`: would this server run well here? A quick look at everything around it."""

from __future__ import annotations

import json
import resource
import shutil
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import click

from copernicus.config import settings as server_settings
from copernicus.config.places import ServerPlaces
from copernicus.config.running import holder
from copernicus.config.settings import ServerSettings
from copernicus.errors import NoSpace, Refused, SettingsError, Unreachable
from copernicus.model.counts import sized
from copernicus.program import look
from copernicus.server.app import BOOK_NAME
from copernicus.server.cli import Selected
from copernicus.server.cli.migrate import schema_of
from copernicus.server.cli.run import answers, check_port, own_fingerprint
from copernicus.server.cli.setup import checked_project_dir
from copernicus.server.cli.upkeep.findings import Inspection
from copernicus.server.cli.upkeep.inspecting import check_server
from copernicus.server.storage.sqlite.access import ACCESS_MIGRATIONS
from copernicus.server.storage.sqlite.book import MIGRATIONS
from copernicus.server.storage.sqlite.database import check_sqlite

LEAST_DESCRIPTORS = 1024
"""Enough for some three hundred workers: connections, and files on their way."""


@click.command()
@click.option("--json", "-json", "is_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def doctor(selected: Selected, is_json: bool) -> None:
    """Look at everything that the server needs, running or not. Exit status: 0 all is well, 1 something is not.

    The data itself is read by cpc-server verify.
    """
    folder = selected.folder
    settings = server_settings.load(folder)
    checks: dict[str, Callable[[], str]] = {
        "own folder": lambda: of_folder(folder),
        "SQLite": of_sqlite,
        "databases": lambda: of_databases(folder, settings),
        "projects": lambda: f"{checked_project_dir(Path(settings.run_dir))} can be written",
        "disk": lambda: of_disk(settings),
        "descriptors": of_descriptors,
        "ports": lambda: of_ports(folder, settings),
    }
    rows = [look(what, check) for what, check in checks.items()]
    if is_json:
        click.echo(json.dumps([asdict(row) for row in rows]))
    else:
        for row in rows:
            click.echo(str(row))
    sys.exit(0 if all(row.is_well for row in rows) else 1)


def of_folder(folder: Path) -> str:
    """Settings, keys and users; raise the first thing that is wrong with them."""
    found = Inspection()
    check_server(folder, found)
    for one in found.findings:
        raise Refused(f"{one.what}: {one.problem}", one.hint)
    return f"{folder}: settings, keys and users are whole, and private"


def of_sqlite() -> str:
    """Raise `SettingsError` when the SQLite is one that can lose data."""
    check_sqlite()
    return "of a version that is safe"


def of_databases(folder: Path, settings: ServerSettings) -> str:
    """Say whether the databases have the newest schema; raise `SettingsError` when a newer version wrote them."""
    found = [(ServerPlaces(folder).access, ACCESS_MIGRATIONS), (Path(settings.run_dir) / BOOK_NAME, MIGRATIONS)]
    old = [path.name for path, steps in found if path.exists() and schema_of(path, steps) < len(steps)]
    return f"{' and '.join(old)}: of an older version, brought to this one at the next start" if old else "of this version"


def of_disk(settings: ServerSettings) -> str:
    """Say what is free where the projects are; raise `NoSpace` when new data would be refused."""
    path = Path(settings.run_dir)
    usage = shutil.disk_usage(next(place for place in (path, *path.parents) if place.exists()))
    if usage.free <= settings.disk_reserve_bytes:
        reserve = f"of which {sized(settings.disk_reserve_bytes)} are kept in reserve"
        raise NoSpace(f"{sized(usage.free)} are free, {reserve}: new data is refused.", "Free some space, or see: cpcc usage")
    return f"{sized(usage.free)} of {sized(usage.total)} are free"


def of_descriptors() -> str:
    """Raise `SettingsError` when a process started from here could open too few files for many workers."""
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most != resource.RLIM_INFINITY and most < LEAST_DESCRIPTORS:
        raise SettingsError(
            f"A process may open {most} files only.", f"Raise the limit before the start: ulimit -n {LEAST_DESCRIPTORS}"
        )
    return "no limit" if most == resource.RLIM_INFINITY else f"a process may open {most}"


def of_ports(folder: Path, settings: ServerSettings) -> str:
    """Say whether the server answers, or could; raise `Unreachable`, `SettingsError` when not."""
    running = holder(folder)
    where = "all addresses" if settings.listen_host is None else settings.listen_host
    if running is None:
        for name in ("client_secure_port", "server_secure_port"):
            check_port(settings.listen_host or "", getattr(settings, name), name)
        return f"{settings.client_secure_port} and {settings.server_secure_port} on {where} are free; the server is not running"
    if not answers(settings, own_fingerprint(folder)):
        raise Unreachable(f"The server (process {running.pid}) runs, but does not answer.", "Look into its log, or wait.")
    return f"the server answers on {where}, ports {settings.client_secure_port} and {settings.server_secure_port}"
