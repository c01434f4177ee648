"""The book in SQLite: projects, logs, jobs, remembered answers; one writer, group commit, a checksum on every row."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import apsw
import msgspec

from copernicus.errors import CopernicusError
from copernicus.server.storage.abc import (
    AppendRecord,
    Change,
    DropBorrowed,
    DropProject,
    DropRetired,
    PutBorrowed,
    PutHost,
    PutJob,
    PutProject,
    PutRetired,
    RememberAnswer,
    Unit,
)
from copernicus.server.storage.groups import GroupWriter
from copernicus.server.storage.sqlite.database import check_sqlite, database_errors, open_database, row_checksum
from copernicus.server.storage.sqlite.reading import BookReader

ANSWERS_KEPT_S, NEWEST_KEPT = 7 * 24 * 3600.0, 100_000
"""An answer is kept for so long, and the newest ones in any case: that a wall clock is set makes no request a new one."""
_PRUNE_EVERY_S = 3600.0

MIGRATIONS = (
    """
    CREATE TABLE projects (
        id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, created_at REAL NOT NULL, checksum BLOB NOT NULL
    ) STRICT;
    CREATE TABLE records (
        project TEXT NOT NULL, seq INTEGER NOT NULL, data BLOB NOT NULL, checksum BLOB NOT NULL, UNIQUE (project, seq)
    ) STRICT;
    CREATE TABLE jobs (
        id INTEGER PRIMARY KEY AUTOINCREMENT, project TEXT NOT NULL, key TEXT NOT NULL,
        data BLOB NOT NULL, checksum BLOB NOT NULL, UNIQUE (project, key)
    ) STRICT;
    CREATE TABLE answers (
        request_id TEXT NOT NULL, who TEXT NOT NULL, answer BLOB NOT NULL, checksum BLOB NOT NULL, at REAL NOT NULL,
        UNIQUE (request_id, who)
    ) STRICT;
    CREATE INDEX answers_by_time ON answers (at);
    """,
    """
    CREATE TABLE retired (blob TEXT PRIMARY KEY, since REAL NOT NULL) STRICT, WITHOUT ROWID;
    """,
    """
    CREATE TABLE epochs (floor INTEGER PRIMARY KEY, begun_at REAL NOT NULL, checksum BLOB NOT NULL) STRICT;
    """,
    """
    CREATE TABLE hosts (name TEXT PRIMARY KEY, data BLOB NOT NULL, checksum BLOB NOT NULL) STRICT, WITHOUT ROWID;
    """,
    """
    CREATE TABLE priorities (project TEXT PRIMARY KEY, priority INTEGER NOT NULL, checksum BLOB NOT NULL) STRICT, WITHOUT ROWID;
    """,
    """
    CREATE TABLE borrowed (number INTEGER PRIMARY KEY, data BLOB NOT NULL, checksum BLOB NOT NULL) STRICT;
    """,
)

_PUT_PROJECT = (
    "INSERT INTO projects (id, name, created_at, checksum) VALUES (?, ?, ?, ?)"
    " ON CONFLICT (id) DO UPDATE SET name = excluded.name, checksum = excluded.checksum"
)
_PUT_PRIORITY = """INSERT INTO priorities (project, priority, checksum) VALUES (?, ?, ?)
    ON CONFLICT (project) DO UPDATE SET priority = excluded.priority, checksum = excluded.checksum"""
_DROP_PRIORITY = "DELETE FROM priorities WHERE project = ?"
_DROP = (
    "DELETE FROM records WHERE project = ?",
    "DELETE FROM jobs WHERE project = ?",
    "DELETE FROM priorities WHERE project = ?",
    "DELETE FROM projects WHERE id = ?",
)
_APPEND = "INSERT INTO records (project, seq, data, checksum) VALUES (?, ?, ?, ?)"
_PUT_JOB = """INSERT INTO jobs (id, project, key, data, checksum) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (id) DO UPDATE SET project = excluded.project, key = excluded.key,
    data = excluded.data, checksum = excluded.checksum"""
_REMEMBER = """INSERT INTO answers (request_id, who, answer, checksum, at) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (request_id, who) DO UPDATE SET
    answer = excluded.answer, checksum = excluded.checksum, at = excluded.at"""
_PUT_RETIRED = "INSERT INTO retired (blob, since) VALUES (?, ?) ON CONFLICT (blob) DO UPDATE SET since = excluded.since"
_PUT_HOST = """INSERT INTO hosts (name, data, checksum) VALUES (?, ?, ?)
    ON CONFLICT (name) DO UPDATE SET data = excluded.data, checksum = excluded.checksum"""
_PUT_BORROWED = """INSERT INTO borrowed (number, data, checksum) VALUES (?, ?, ?)
    ON CONFLICT (number) DO UPDATE SET data = excluded.data, checksum = excluded.checksum"""
_DROP_BORROWED = "DELETE FROM borrowed WHERE number = ?"
_DROP_HOST = "DELETE FROM hosts WHERE name = ?"
_DROP_RETIRED = "DELETE FROM retired WHERE blob = ?"
_PRUNE = "DELETE FROM answers WHERE at < ? AND rowid <= (SELECT max(rowid) FROM answers) - ?"


class SqliteBook(BookReader):
    """A `BookStore` in one file, made (with its folder, mode 0700) by the first unit that changes something.

    One connection in the writer's thread writes and checkpoints; a second one, in the event loop, only reads. `claim` is
    called before the file is made; it raises `CopernicusError` when somebody else uses the folder.
    """

    def __init__(self, path: Path, claim: Callable[[], None] = lambda: None) -> None:
        check_sqlite()
        super().__init__(path)
        self._claim = claim
        self._writer: apsw.Connection | None = None
        self._pruned_at = 0.0
        self._answers: dict[tuple[str, str], bytes] = {}
        if path.exists():
            self._writer = open_database(path, MIGRATIONS)
        self._groups = GroupWriter(self._commit, self._reopen, "book writer")

    # --- writing

    def submit(self, unit: Unit) -> asyncio.Future[None]:
        """See `BookStore.submit`."""
        for change in unit.changes:
            if isinstance(change, RememberAnswer):
                place = change.request_id, change.who
                self._answers[place] = change.answer  # a repeated request must find it before the disk has it
                unit.then(partial(self._forget_answer, place))
        return self._groups.submit(unit)

    def _forget_answer(self, place: tuple[str, str]) -> None:
        self._answers.pop(place, None)

    def when_refused(self, action: Callable[[CopernicusError], None]) -> None:
        """See `BookStore.when_refused`."""
        self._groups.when_refused(action)

    async def recover(self) -> None:
        """See `BookStore.recover`."""
        super().close()
        await self._groups.recover()
        self._answers.clear()

    def close(self) -> None:
        """See `BookStore.close`."""
        self._groups.close()
        super().close()
        if self._writer is not None:  # last: it leaves one whole file without a log
            self._writer.close()
            self._writer = None

    def _commit(self, units: list[Unit]) -> None:
        """In the writer's thread: all units in one transaction, one fsync."""
        if not any(unit.changes for unit in units):
            return
        with database_errors(self.path):
            if self._writer is None:
                self._claim()
                self._writer = open_database(self.path, MIGRATIONS)
            execute = self._writer.execute
            execute("BEGIN IMMEDIATE")
            try:
                for unit in units:
                    for change in unit.changes:
                        self._write(execute, change)
                execute("COMMIT")
            except BaseException:
                if self._writer.in_transaction:
                    execute("ROLLBACK")
                raise

    def _write(self, execute: Callable[..., Any], change: Change) -> None:
        match change:
            case PutJob(job):
                data = msgspec.json.encode(job)
                execute(_PUT_JOB, (job.id, job.project, job.key, data, row_checksum(data, job.id)))
            case AppendRecord(project, seq, data):
                execute(_APPEND, (project, seq, data, row_checksum(data, project, seq)))
            case RememberAnswer(request_id, who, answer, at):
                execute(_REMEMBER, (request_id, who, answer, row_checksum(answer, request_id, who), at))
                if at - self._pruned_at > _PRUNE_EVERY_S:
                    self._pruned_at = at
                    execute(_PRUNE, (at - ANSWERS_KEPT_S, NEWEST_KEPT))
            case PutProject(project):
                checksum = row_checksum(b"", project.id, project.name, project.created_at)
                execute(_PUT_PROJECT, (project.id, project.name, project.created_at, checksum))
                if project.priority:
                    checksum = row_checksum(b"priority", project.id, project.priority)
                    execute(_PUT_PRIORITY, (project.id, project.priority, checksum))
                else:
                    execute(_DROP_PRIORITY, (project.id,))
            case PutRetired(blob, since):
                execute(_PUT_RETIRED, (blob, since))
            case DropRetired(blob):
                execute(_DROP_RETIRED, (blob,))
            case PutHost(host) if host.is_blank:
                execute(_DROP_HOST, (host.name,))
            case PutHost(host):
                data = msgspec.json.encode(host)
                execute(_PUT_HOST, (host.name, data, row_checksum(data, "host", host.name)))
            case PutBorrowed(number, data):
                execute(_PUT_BORROWED, (number, data, row_checksum(data, "borrowed", number)))
            case DropBorrowed(number):
                execute(_DROP_BORROWED, (number,))
            case DropProject(project):
                for statement in _DROP:
                    execute(statement, (project,))

    def _reopen(self) -> None:
        """In the writer's thread: a connection that saw a failed fsync is not to be trusted again."""
        if self._writer is not None:
            with database_errors(self.path):
                self._writer.close(True)
            self._writer = None
        if self.path.exists():
            self._writer = open_database(self.path, MIGRATIONS)

    def _is_there(self) -> bool:
        return self._writer is not None

    def answer(self, request_id: str, who: str) -> bytes | None:
        """See `BookStore.answer`."""
        return self._answers.get((request_id, who)) or super().answer(request_id, who)
