"""The book in SQLite: projects, logs, jobs, remembered answers; one writer, group commit, a checksum on every row."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import apsw
import msgspec
from blake3 import blake3

from copernicus.errors import CopernicusError, CorruptData
from copernicus.server.storage.abc import (
    AppendRecord,
    Change,
    DropProject,
    DropRetired,
    HostRecord,
    JobRecord,
    ProjectRow,
    PutHost,
    PutJob,
    PutProject,
    PutRetired,
    RememberAnswer,
    Unit,
)
from copernicus.server.storage.groups import GroupWriter
from copernicus.server.storage.sqlite.database import check_sqlite, database_errors, open_database, open_reader

ANSWERS_KEPT_S = 7 * 24 * 3600.0
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
)

_PUT_PROJECT = (
    "INSERT INTO projects (id, name, created_at, checksum) VALUES (?, ?, ?, ?)"
    " ON CONFLICT (id) DO UPDATE SET name = excluded.name, checksum = excluded.checksum"
)
_DROP = (
    "DELETE FROM records WHERE project = ?",
    "DELETE FROM jobs WHERE project = ?",
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
_DROP_HOST = "DELETE FROM hosts WHERE name = ?"
_DROP_RETIRED = "DELETE FROM retired WHERE blob = ?"
_PRUNE = "DELETE FROM answers WHERE at < ?"


def row_checksum(data: bytes, *place: object) -> bytes:
    """The hash of a row: its content and where it belongs, so that neither can change unnoticed."""
    return blake3("\0".join(map(str, place)).encode() + b"\0" + data).digest(16)


class SqliteBook:
    """A `BookStore` in one file, made (with its folder, mode 0700) by the first unit that changes something.

    One connection in the writer's thread writes and checkpoints; a second one, in the event loop, only reads. `claim` is
    called before the file is made; it raises `CopernicusError` when somebody else uses the folder. Reading raises
    `CorruptData` when a row does not match its checksum.
    """

    def __init__(self, path: Path, claim: Callable[[], None] = lambda: None) -> None:
        check_sqlite()
        self.path, self._claim = path, claim
        self._writer: apsw.Connection | None = None
        self._reader: apsw.Connection | None = None
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
        if self._reader is not None:
            self._reader.close()
            self._reader = None
        await self._groups.recover()
        self._answers.clear()

    def close(self) -> None:
        """See `BookStore.close`."""
        self._groups.close()
        for connection in (self._reader, self._writer):  # the writer last: it leaves one whole file without a log
            if connection is not None:
                connection.close()
        self._reader = self._writer = None

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
                    execute(_PRUNE, (at - ANSWERS_KEPT_S,))
            case PutProject(project):
                checksum = row_checksum(b"", project.id, project.name, project.created_at)
                execute(_PUT_PROJECT, (project.id, project.name, project.created_at, checksum))
            case PutRetired(blob, since):
                execute(_PUT_RETIRED, (blob, since))
            case DropRetired(blob):
                execute(_DROP_RETIRED, (blob,))
            case PutHost(host) if host.is_blank:
                execute(_DROP_HOST, (host.name,))
            case PutHost(host):
                data = msgspec.json.encode(host)
                execute(_PUT_HOST, (host.name, data, row_checksum(data, "host", host.name)))
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

    # --- reading

    def _rows(self, statement: str, bindings: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
        if self._reader is None:
            if self._writer is None:
                return
            self._reader = open_reader(self.path)
        with database_errors(self.path):
            yield from self._reader.execute(statement, bindings)

    def projects(self) -> list[ProjectRow]:
        """See `BookStore.projects`; raise `CorruptData` at a project that is damaged."""
        found = []
        for *row, checksum in self._rows("SELECT id, name, created_at, checksum FROM projects ORDER BY created_at, id"):
            if row_checksum(b"", *row) != checksum:
                raise self._damaged(f"project {row[0]}")
            found.append(ProjectRow(*row))
        return found

    def records(self, project: str, after: int = 0) -> Iterator[tuple[int, bytes]]:
        """See `BookStore.records`; raise `CorruptData` at a record that is damaged or missing."""
        statement = "SELECT seq, data, checksum FROM records WHERE project = ? AND seq > ? ORDER BY seq"
        for row in self._rows(statement, (project, after)):
            yield self._record(project, *row)

    def newest_records(self, project: str, before: int, count: int) -> list[tuple[int, bytes]]:
        """See `BookStore.newest_records`; raise `CorruptData` at a record that is damaged."""
        statement = "SELECT seq, data, checksum FROM records WHERE project = ? AND seq < ? ORDER BY seq DESC LIMIT ?"
        return [self._record(project, *row) for row in self._rows(statement, (project, before, count))]

    def _record(self, project: str, seq: int, data: bytes, checksum: bytes) -> tuple[int, bytes]:
        if row_checksum(data, project, seq) != checksum:
            raise self._damaged(f"record {seq} of project {project}")
        return seq, data

    def jobs(self) -> Iterator[JobRecord]:
        """See `BookStore.jobs`; raise `CorruptData` at a job that is damaged."""
        for row in self._rows("SELECT id, data, checksum FROM jobs ORDER BY id"):
            yield self._job(*row)

    def job(self, job: int) -> JobRecord | None:
        """See `BookStore.job`; raise `CorruptData` when it is damaged."""
        for row in self._rows("SELECT id, data, checksum FROM jobs WHERE id = ?", (job,)):
            return self._job(*row)
        return None

    def _job(self, number: int, data: bytes, checksum: bytes) -> JobRecord:
        if row_checksum(data, number) != checksum:
            raise self._damaged(f"job {number}")
        return _decode_job(data)

    def _damaged(self, what: str) -> CorruptData:
        return CorruptData(f"{self.path} is damaged: {what} does not match its checksum.", "Restore a backup.")

    def retired(self) -> dict[str, float]:
        """See `BookStore.retired`."""
        return {str(blob): float(since) for blob, since in self._rows("SELECT blob, since FROM retired")}

    def hosts(self) -> list[HostRecord]:
        """See `BookStore.hosts`; raise `CorruptData` at one that is damaged."""
        found = []
        for name, data, checksum in self._rows("SELECT name, data, checksum FROM hosts ORDER BY name"):
            if row_checksum(data, "host", name) != checksum:
                raise self._damaged(f"host {name}")
            found.append(_decode_host(data))
        return found

    def last_job(self) -> int:
        """See `BookStore.last_job`."""
        return next((int(row[0]) for row in self._rows("SELECT seq FROM sqlite_sequence WHERE name = 'jobs'")), 0)

    def attempt_floor(self) -> int:
        """See `BookStore.attempt_floor`; raise `CorruptData` when it is damaged."""
        highest = 0
        for floor, begun_at, checksum in self._rows("SELECT floor, begun_at, checksum FROM epochs"):
            if row_checksum(b"epoch", floor, begun_at) != checksum:
                raise self._damaged(f"epoch {floor}")
            highest = max(highest, floor)
        return highest

    def answer(self, request_id: str, who: str) -> bytes | None:
        """See `BookStore.answer`."""
        waiting = self._answers.get((request_id, who))
        if waiting is not None:
            return waiting
        statement = "SELECT answer, checksum FROM answers WHERE request_id = ? AND who = ?"
        for answer, checksum in self._rows(statement, (request_id, who)):
            if row_checksum(answer, request_id, who) != checksum:
                raise self._damaged(f"the answer to request {request_id}")
            return bytes(answer)
        return None


_decode_job = msgspec.json.Decoder(JobRecord).decode
_decode_host = msgspec.json.Decoder(HostRecord).decode
