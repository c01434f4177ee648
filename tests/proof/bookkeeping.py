"""What a book must hold after so many units, and what one does hold: two readings that share no code."""

from __future__ import annotations

from pathlib import Path

import apsw
import msgspec
from tests.proof.life import Promise

from copernicus.server.storage.abc import (
    AppendRecord,
    Change,
    DropProject,
    DropRetired,
    PutJob,
    PutProject,
    PutRetired,
    RememberAnswer,
)

Rows = dict[tuple[object, ...], object]
ANSWERS = "answer"


def _change(rows: Rows, change: Change) -> None:
    match change:
        case PutProject(project):
            rows["project", project.id] = project.name, project.created_at
        case DropProject(project):
            for row in [row for row in rows if row[:2] in (("project", project), ("record", project))]:
                del rows[row]
            for row in [row for row, value in rows.items() if row[0] == "job" and value[0] == project]:  # type: ignore[index]
                del rows[row]
        case AppendRecord(project, seq, data):
            rows["record", project, seq] = bytes(data)
        case PutJob(job):
            rows["job", job.id] = job.project, job.key, msgspec.json.encode(job)
        case RememberAnswer(request_id, who, answer, at):
            rows[ANSWERS, request_id, who] = bytes(answer), at
        case PutRetired(blob, since):
            rows["retired", blob] = since
        case DropRetired(blob):
            rows.pop(("retired", blob), None)


class Prefixes:
    """The states that the book may be in: after no unit, after the first one, after the first two …"""

    def __init__(self, units: list[Promise], rows: Rows | None = None) -> None:
        """The first state is that of `rows`, which are changed."""
        rows = {} if rows is None else rows
        self.hashes = [_hash(rows)]
        self.answers = [{row: value for row, value in rows.items() if row[0] == ANSWERS}]
        for unit in units:
            for change in unit.changes:
                _change(rows, change)
            self.hashes.append(_hash(rows))
            self.answers.append({row: value for row, value in rows.items() if row[0] == ANSWERS})

    def units_in(self, rows: Rows) -> int | None:
        """How many units stand in the rows of a book (the most, if several numbers fit); None when some stand half there."""
        found, answers = _hash(rows), {row: value for row, value in rows.items() if row[0] == ANSWERS}
        for count in reversed(range(len(self.hashes))):
            if self.hashes[count] == found and _is_pruned(self.answers[count], answers):
                return count
        return None


def _hash(rows: Rows) -> int:
    """A hash of everything but the answers, some of which may have had their time."""
    return hash(frozenset(item for item in rows.items() if item[0][0] != ANSWERS))


def _is_pruned(all_answers: Rows, found: Rows) -> bool:
    """Whether `found` are all answers but for some that are older than a week."""
    newest: float = max((value[1] for value in all_answers.values()), default=0.0)  # type: ignore[index]
    if any(all_answers.get(row) != value for row, value in found.items()):
        return False
    week_s = 7 * 24 * 3600.0
    return all(row in found or value[1] < newest - week_s for row, value in all_answers.items())  # type: ignore[index]


def read_rows(book: Path) -> tuple[Rows, str]:
    """All rows of a book's file, read without the book's code, and what SQLite says about the file's integrity."""
    rows: Rows = {}
    if not book.exists():
        return rows, "ok"
    connection = apsw.Connection(str(book), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        ask = connection.execute
        for id, name, created_at in ask("SELECT id, name, created_at FROM projects"):
            rows["project", id] = name, created_at
        for project, seq, data in ask("SELECT project, seq, data FROM records"):
            rows["record", project, seq] = data
        for id, project, key, data in ask("SELECT id, project, key, data FROM jobs"):
            rows["job", id] = project, key, data
        for request_id, who, answer, at in ask("SELECT request_id, who, answer, at FROM answers"):
            rows[ANSWERS, request_id, who] = answer, at
        for blob, since in ask("SELECT blob, since FROM retired"):
            rows["retired", blob] = since
        return rows, "; ".join(str(row[0]) for row in ask("PRAGMA integrity_check"))
    finally:
        connection.close()
