"""Opening a database: version of SQLite, durability, schema migrations, errors in the house's words."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import apsw
from blake3 import blake3

from copernicus.config.files import make_private_folder, sync_folder
from copernicus.errors import CorruptData, NoSpace, SettingsError, Unavailable

OLDEST_SQLITE = (3, 51, 3)
_BUSY_MS = 5000


def check_sqlite(version: str = "") -> None:
    """Raise `SettingsError` when this SQLite can corrupt a database in WAL mode (3.7.0 to 3.51.2)."""
    version = version or apsw.sqlite_lib_version()
    if tuple(int(part) for part in version.split(".")[:3]) < OLDEST_SQLITE:
        wanted = ".".join(map(str, OLDEST_SQLITE))
        raise SettingsError(
            f"SQLite {version} can lose data (a fault of its write-ahead log); the server needs {wanted} or newer.",
            "Install a newer apsw: pip install --upgrade apsw",
        )


def open_database(path: Path, migrations: Sequence[str]) -> apsw.Connection:
    """Open (or make, mode 0600) the database at `path` for writing, every commit fsynced, at the newest schema.

    `migrations[n]` leads from schema version n to n + 1, each in a transaction of its own; of an older database a copy is
    kept. Raise `SettingsError` when a newer Copernicus wrote it, `CorruptData` when it is no whole database,
    `Unavailable`/`NoSpace` when the disk refuses.
    """
    check_sqlite()
    with database_errors(path):
        if not path.exists():
            make_private_folder(path.parent)
            os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
            sync_folder(path.parent)
        connection = apsw.Connection(str(path), statementcachesize=200)
        connection.set_busy_timeout(_BUSY_MS)
        connection.pragma("journal_mode", "wal")
        connection.pragma("synchronous", "full")
        connection.pragma("foreign_keys", True)
        connection.pragma("cell_size_check", True)
        _migrate(connection, path, migrations)
    return connection


def open_reader(path: Path) -> apsw.Connection:
    """Open the database at `path` for reading only; it must have been opened for writing before."""
    with database_errors(path):
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY, statementcachesize=200)
        connection.set_busy_timeout(_BUSY_MS)
    return connection


def schema_version(connection: apsw.Connection) -> int:
    """Return the schema version, 0 for a new database."""
    if not connection.table_exists(None, "schema_version"):
        return 0
    found = connection.execute("SELECT max(version) FROM schema_version").get
    return int(found or 0)


def check_schema(connection: apsw.Connection, path: Path, migrations: Sequence[str]) -> int:
    """Return the schema version of a database; raise `SettingsError` when a newer Copernicus wrote it."""
    version = schema_version(connection)
    if version > len(migrations):
        raise SettingsError(
            f"{path} was written by a newer Copernicus (schema {version}, known here: {len(migrations)}).",
            "Install that version, or restore a backup.",
        )
    return version


def copy_database(connection: apsw.Connection, path: Path, target: Path) -> None:
    """Write what an open database holds in this moment into a new file (mode 0600), durable when it returns.

    Whoever writes to the database meanwhile does not wait. Raise what `database_errors` says.
    """
    with database_errors(path):
        descriptor = os.open(target, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            connection.execute("VACUUM INTO ?", (str(target),))
            os.fsync(descriptor)
        except BaseException:
            target.unlink(missing_ok=True)
            raise
        finally:
            os.close(descriptor)
        sync_folder(target.parent)


def kept_before(path: Path, version: int) -> Path:
    """Return where a database of an older schema is kept as it was before it was brought to a newer one."""
    return path.with_name(f"{path.name}.schema-{version}")


def _migrate(connection: apsw.Connection, path: Path, migrations: Sequence[str]) -> None:
    version = check_schema(connection, path, migrations)
    if 0 < version < len(migrations) and not kept_before(path, version).exists():
        copy_database(connection, path, kept_before(path, version))
    for number in range(version, len(migrations)):
        with connection:  # one transaction: a crash leaves the old schema or the new one
            connection.execute("CREATE TABLE IF NOT EXISTS schema_version (version INTEGER PRIMARY KEY) STRICT")
            connection.execute(migrations[number])
            connection.execute("INSERT INTO schema_version (version) VALUES (?)", (number + 1,))


def row_checksum(data: bytes, *place: object) -> bytes:
    """The hash of a row: its content and where it belongs, so that neither can change unnoticed."""
    return blake3("\0".join(map(str, place)).encode() + b"\0" + data).digest(16)


@contextmanager
def database_errors(path: Path) -> Iterator[None]:
    """Turn errors of the disk and of SQLite into `NoSpace`, `CorruptData` or `Unavailable`."""
    try:
        yield
    except apsw.FullError:
        raise NoSpace(f"The disk that holds {path} is full.", "Free some space; the server then goes on.") from None
    except (apsw.CorruptError, apsw.NotADBError) as error:
        raise CorruptData(f"{path} is damaged: {error}.", "Stop the server and restore a backup.") from None
    except apsw.Error as error:
        raise Unavailable(f"{path} cannot be used: {error}.") from None
    except OSError as error:
        raise Unavailable(f"{path} cannot be used: {error.strerror}.") from None
