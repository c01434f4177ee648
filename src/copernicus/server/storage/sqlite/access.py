"""Users, sessions, bundles and peers in SQLite."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from copernicus.server.storage.abc import BundleRow, PeerRecord, SessionRow, UserRow
from copernicus.server.storage.sqlite.database import database_errors, open_database, open_reader

ACCESS_MIGRATIONS = (
    """
    CREATE TABLE users (
        name TEXT PRIMARY KEY, password_hash TEXT NOT NULL, is_super INTEGER NOT NULL,
        created_at REAL NOT NULL, is_disabled INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE grants (
        user TEXT NOT NULL REFERENCES users (name) ON DELETE CASCADE, project TEXT NOT NULL, PRIMARY KEY (user, project)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX grants_of_project ON grants (project);
    CREATE TABLE sessions (
        token_hash TEXT PRIMARY KEY, user TEXT NOT NULL REFERENCES users (name) ON DELETE CASCADE,
        created_at REAL NOT NULL, used_at REAL NOT NULL, expires_at REAL NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX sessions_of_user ON sessions (user);
    CREATE TABLE bundles (
        serial TEXT PRIMARY KEY, role TEXT NOT NULL, user TEXT NOT NULL, projects TEXT NOT NULL,
        created_at REAL NOT NULL, expires_at REAL NOT NULL, revoked_at REAL
    ) STRICT, WITHOUT ROWID;
    """,
    """
    CREATE TABLE peers (id TEXT PRIMARY KEY, data BLOB NOT NULL) STRICT;
    """,
    """
    ALTER TABLE bundles ADD COLUMN life_s REAL NOT NULL DEFAULT 0;
    """,
)


class SqliteAccessStore:
    """`access.sqlite`: one connection that writes, one that reads, so that a lookup never waits for an fsync."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer = open_database(path, ACCESS_MIGRATIONS)
        self._reader = open_reader(path)
        self._write_lock, self._read_lock = threading.Lock(), threading.Lock()

    def user(self, name: str) -> UserRow | None:
        """See `AccessStore`, here and below."""
        rows = self._read("SELECT name, password_hash, is_super, created_at, is_disabled FROM users WHERE name = ?", name)
        return _user(rows[0]) if rows else None

    def users(self) -> list[UserRow]:
        """All users, by name."""
        return [
            _user(row)
            for row in self._read("SELECT name, password_hash, is_super, created_at, is_disabled FROM users ORDER BY name")
        ]

    def put_user(self, user: UserRow) -> None:
        """Insert or replace a user."""
        self._write(
            (
                "INSERT INTO users (name, password_hash, is_super, created_at, is_disabled) VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT (name) DO UPDATE SET password_hash = excluded.password_hash,"
                " is_super = excluded.is_super, is_disabled = excluded.is_disabled",
                (user.name, user.password_hash, int(user.is_super), user.created_at, int(user.is_disabled)),
            )
        )

    def remove_user(self, name: str) -> None:
        """Remove a user; grants and sessions go with it, its bundles are revoked."""
        self._write(
            ("UPDATE bundles SET revoked_at = unixepoch() WHERE user = ? AND revoked_at IS NULL", (name,)),
            ("DELETE FROM users WHERE name = ?", (name,)),
        )

    def grants(self, user: str) -> frozenset[str]:
        """The projects of a user."""
        return frozenset(row[0] for row in self._read("SELECT project FROM grants WHERE user = ?", user))

    def members(self, project: str) -> list[str]:
        """The users of a project."""
        return [row[0] for row in self._read("SELECT user FROM grants WHERE project = ? ORDER BY user", project)]

    def grant(self, user: str, project: str) -> None:
        """Give access."""
        self._write(("INSERT INTO grants (user, project) VALUES (?, ?) ON CONFLICT DO NOTHING", (user, project)))

    def withdraw(self, user: str, project: str) -> None:
        """Take access back."""
        self._write(("DELETE FROM grants WHERE user = ? AND project = ?", (user, project)))

    def rename_project(self, project: str, name: str) -> None:
        """Move access and bundles to another name."""
        limited = [bundle for bundle in self.bundles() if project in bundle.projects]
        self._write(
            ("INSERT INTO grants (user, project) SELECT user, ? FROM grants WHERE project = ? ON CONFLICT DO NOTHING",
             (name, project)),
            ("DELETE FROM grants WHERE project = ?", (project,)),
            *(
                ("UPDATE bundles SET projects = ? WHERE serial = ?",
                 (json.dumps([name if one == project else one for one in bundle.projects]), bundle.serial))
                for bundle in limited
            ),
        )  # fmt: skip

    def forget_project(self, project: str) -> None:
        """Take access to a project back from everybody."""
        self._write(("DELETE FROM grants WHERE project = ?", (project,)))

    def session(self, token_hash: str) -> SessionRow | None:
        """One session."""
        rows = self._read(
            "SELECT token_hash, user, created_at, used_at, expires_at FROM sessions WHERE token_hash = ?", token_hash
        )
        return SessionRow(*rows[0]) if rows else None

    def put_session(self, session: SessionRow) -> None:
        """Insert or replace a session."""
        values = (session.token_hash, session.user, session.created_at, session.used_at, session.expires_at)
        self._write(
            (
                "INSERT OR REPLACE INTO sessions (token_hash, user, created_at, used_at, expires_at) VALUES (?, ?, ?, ?, ?)",
                values,
            )
        )

    def remove_session(self, token_hash: str) -> None:
        """End a session."""
        self._write(("DELETE FROM sessions WHERE token_hash = ?", (token_hash,)))

    def remove_sessions(self, user: str) -> None:
        """End all sessions of a user."""
        self._write(("DELETE FROM sessions WHERE user = ?", (user,)))

    def remove_expired_sessions(self, now: float, idle_before: float) -> None:
        """End old sessions."""
        self._write(("DELETE FROM sessions WHERE expires_at <= ? OR used_at <= ?", (now, idle_before)))

    def bundle(self, serial: str) -> BundleRow | None:
        """One bundle."""
        rows = self._read(
            "SELECT serial, role, user, projects, created_at, expires_at, revoked_at, life_s FROM bundles WHERE serial = ?",
            serial,
        )
        return _bundle(rows[0]) if rows else None

    def bundles(self) -> list[BundleRow]:
        """All bundles."""
        return [
            _bundle(row)
            for row in self._read(
                "SELECT serial, role, user, projects, created_at, expires_at, revoked_at, life_s FROM bundles"
                " ORDER BY created_at, serial"
            )
        ]

    def put_bundle(self, bundle: BundleRow) -> None:
        """Insert or replace a bundle."""
        values = (
            bundle.serial,
            bundle.role,
            bundle.user,
            json.dumps(bundle.projects),
            bundle.created_at,
            bundle.expires_at,
            bundle.revoked_at,
            bundle.life_s,
        )
        self._write(
            (
                "INSERT OR REPLACE INTO bundles (serial, role, user, projects, created_at, expires_at, revoked_at, life_s)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                values,
            )
        )

    def peers(self) -> list[PeerRecord]:
        """All peers."""
        rows = self._read("SELECT data FROM peers ORDER BY rowid")
        return [msgspec.json.decode(data, type=PeerRecord) for (data,) in rows]

    def put_peer(self, peer: PeerRecord) -> None:
        """Insert or replace a peer."""
        statement = "INSERT INTO peers (id, data) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET data = excluded.data"
        self._write((statement, (peer.id, msgspec.json.encode(peer))))

    def close(self) -> None:
        """Close both connections."""
        with self._read_lock, self._write_lock:
            self._reader.close()
            self._writer.close()

    def _read(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with self._read_lock, database_errors(self._path):
            return list(self._reader.execute(query, values))

    def _write(self, *statements: tuple[str, Sequence[object]]) -> None:
        with self._write_lock, database_errors(self._path):
            self._writer.execute("BEGIN IMMEDIATE")  # waits for another process instead of failing half way
            try:
                for statement, values in statements:
                    self._writer.execute(statement, values)
                self._writer.execute("COMMIT")
            except BaseException:
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")
                raise


def _user(row: tuple[Any, ...]) -> UserRow:
    name, password_hash, is_super, created_at, is_disabled = row
    return UserRow(name, password_hash, bool(is_super), created_at, bool(is_disabled))


def _bundle(row: tuple[Any, ...]) -> BundleRow:
    serial, role, user, projects, created_at, expires_at, revoked_at, life_s = row
    return BundleRow(serial, role, user, tuple(json.loads(projects)), created_at, expires_at, revoked_at, life_s)
