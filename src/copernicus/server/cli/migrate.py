"""`cpc-server migrate`: bring what an earlier version has stored to the form that this one uses."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import click
import msgspec

from copernicus.config import settings as server_settings
from copernicus.config.places import ServerPlaces
from copernicus.config.running import FolderLock
from copernicus.server.app import BOOK_NAME
from copernicus.server.cli import Selected
from copernicus.server.cli.upkeep.books import reading
from copernicus.server.storage.sqlite.access import ACCESS_MIGRATIONS
from copernicus.server.storage.sqlite.book import MIGRATIONS
from copernicus.server.storage.sqlite.database import check_schema, copy_database, kept_before, open_database, open_reader


class Migrated(msgspec.Struct, frozen=True):
    """One database: its schema before, the newest one, and the copy that was kept of it as it was ("": none was needed)."""

    path: str
    schema: int
    newest: int
    kept: str = ""


@click.command()
@click.option("--dry-run", "-dry-run", "is_dry", is_flag=True, help="Try it on copies, and change nothing.")
@click.option("--json", "-json", "is_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def migrate(selected: Selected, is_dry: bool, is_json: bool) -> None:
    """Bring the databases of an earlier version to this version's schema; the server must be stopped.

    A copy of each is kept beside it. (A server that is started does the same.)
    """
    settings = server_settings.load(selected.folder)
    run_dir = Path(settings.run_dir) if settings.run_dir else None
    found: list[tuple[Path, Sequence[str]]] = [(ServerPlaces(selected.folder).access, ACCESS_MIGRATIONS)]
    if run_dir is not None and (run_dir / BOOK_NAME).exists():
        found.append((run_dir / BOOK_NAME, MIGRATIONS))
    with ExitStack() as held:
        for folder in [] if is_dry else [path.parent for path, _ in found]:
            held.callback(FolderLock(folder).release)
        rows = [(tried if is_dry else migrated)(path, steps) for path, steps in found]
    if is_json:
        click.echo(json.dumps(msgspec.to_builtins(rows)))
        return
    for row in rows:
        click.echo(told(row, is_dry=is_dry))


def told(row: Migrated, *, is_dry: bool) -> str:
    """Say what was done with one database."""
    if row.schema == row.newest:
        return f"{row.path} has the newest schema ({row.newest})."
    if is_dry:
        return f"{row.path} has schema {row.schema}; a copy of it was brought to schema {row.newest}: that works."
    return f"{row.path} was brought from schema {row.schema} to {row.newest}; as it was, it is in {row.kept}."


def schema_of(path: Path, steps: Sequence[str]) -> int:
    """Return the schema of a database; raise `SettingsError` when a newer version wrote it."""
    with reading(path) as connection:
        return check_schema(connection, path, steps)


def migrated(path: Path, steps: Sequence[str]) -> Migrated:
    """Bring a database to the newest schema."""
    schema = schema_of(path, steps)
    if schema == len(steps):
        return Migrated(str(path), schema, schema)
    open_database(path, steps).close()
    return Migrated(str(path), schema, len(steps), str(kept_before(path, schema)))


def tried(path: Path, steps: Sequence[str]) -> Migrated:
    """Bring a copy of a database to the newest schema."""
    schema = schema_of(path, steps)
    if schema < len(steps):
        with tempfile.TemporaryDirectory(prefix=".migration-", dir=path.parent) as folder:
            copy, connection = Path(folder) / path.name, open_reader(path)
            try:
                copy_database(connection, path, copy)
            finally:
                connection.close()
            open_database(copy, steps).close()
    return Migrated(str(path), schema, len(steps))
