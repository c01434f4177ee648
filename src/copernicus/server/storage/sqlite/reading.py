"""The half of the book in SQLite that reads: every row is checked against its checksum."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import msgspec

from copernicus.errors import CorruptData
from copernicus.server.storage.abc import HostRecord, JobRecord, ProjectRow
from copernicus.server.storage.sqlite.database import database_errors, open_reader, row_checksum


class BookReader:
    """Reads a book that was opened for writing before, here or by another process, with a connection of its own.

    Reading raises `CorruptData` when a row does not match its checksum.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._reader: apsw.Connection | None = None

    def close(self) -> None:
        """Close the connection."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _is_there(self) -> bool:
        return True

    def _rows(self, statement: str, bindings: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
        if self._reader is None:
            if not self._is_there():
                return
            self._reader = open_reader(self.path)
        with database_errors(self.path):
            yield from self._reader.execute(statement, bindings)

    def projects(self) -> list[ProjectRow]:
        """See `BookStore.projects`; raise `CorruptData` at a project that is damaged."""
        found, priorities = [], self._priorities()
        statement = "SELECT id, name, created_at, checksum FROM projects ORDER BY created_at, id"
        for id, name, created_at, checksum in self._rows(statement):
            if row_checksum(b"", id, name, created_at) != checksum:
                raise self._damaged(f"project {id}")
            found.append(ProjectRow(id, name, created_at, priorities.get(id, 0)))
        return found

    def _priorities(self) -> dict[str, int]:
        found = {}
        for project, priority, checksum in self._rows("SELECT project, priority, checksum FROM priorities"):
            if row_checksum(b"priority", project, priority) != checksum:
                raise self._damaged(f"the priority of project {project}")
            found[project] = priority
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

    def borrowed(self) -> list[bytes]:
        """See `BookStore.borrowed`; raise `CorruptData` at one that is damaged."""
        found = []
        for number, data, checksum in self._rows("SELECT number, data, checksum FROM borrowed ORDER BY number"):
            if row_checksum(data, "borrowed", number) != checksum:
                raise self._damaged(f"the borrowed attempt {number}")
            found.append(data)
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
        statement = "SELECT answer, checksum FROM answers WHERE request_id = ? AND who = ?"
        for answer, checksum in self._rows(statement, (request_id, who)):
            if row_checksum(answer, request_id, who) != checksum:
                raise self._damaged(f"the answer to request {request_id}")
            return bytes(answer)
        return None


_decode_job = msgspec.json.Decoder(JobRecord).decode
_decode_host = msgspec.json.Decoder(HostRecord).decode
