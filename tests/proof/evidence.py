"""Evidence: what a stopped server's book says, read with Python's own SQLite and none of the server's code."""

from __future__ import annotations

import json
import shutil
import sqlite3
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class JobEvidence:
    """One job in the book; `attempts` are (number, outcome) in the order in which they were recorded."""

    job: int
    key: str
    state: str
    attempts: list[tuple[int, str]] = field(default_factory=list)


@dataclass
class Evidence:
    """One project. `seqs` are the log's sequence numbers in order; `filings` maps keys to results filed since last begun."""

    jobs: list[JobEvidence] = field(default_factory=list)
    seqs: list[int] = field(default_factory=list)
    filings: dict[str, int] = field(default_factory=dict)
    begun: dict[str, int] = field(default_factory=dict)


def read_book(book: Path, project: str) -> Evidence:
    """Return what `book.sqlite` holds about a project; the files are copied first, so that reading changes nothing."""
    with tempfile.TemporaryDirectory() as folder:
        for file in book.parent.glob(f"{book.name}*"):
            shutil.copy(file, folder)
        connection = sqlite3.connect(Path(folder) / book.name)
        try:
            return _evidence(connection, project)
        finally:
            connection.close()


def _evidence(connection: sqlite3.Connection, project: str) -> Evidence:
    (identity,) = connection.execute("SELECT id FROM projects WHERE name = ?", (project,)).fetchone()
    evidence = Evidence()
    for job, key, data in connection.execute("SELECT id, key, data FROM jobs WHERE project = ? ORDER BY id", (identity,)):
        row = json.loads(data)
        attempts = [(attempt["attempt"], attempt.get("outcome", "")) for attempt in row.get("attempts", [])]
        evidence.jobs.append(JobEvidence(job, key, row["state"], attempts))
    for seq, data in connection.execute("SELECT seq, data FROM records WHERE project = ? ORDER BY seq", (identity,)):
        evidence.seqs.append(seq)
        for fact in _facts(json.loads(data)):
            _count(evidence, fact)
    return evidence


def _facts(record: Any) -> list[list[Any]]:
    """Return the facts of a record, whatever stands around them: lists that begin with a fact's name."""
    if isinstance(record, dict):
        return [fact for member in record.values() for fact in _facts(member)]
    if isinstance(record, list):
        if record and record[0] in ("begin", "filed", "reopen"):
            return [record]
        return [fact for member in record for fact in _facts(member)]
    return []


def _count(evidence: Evidence, fact: list[Any]) -> None:
    kind, key = fact[0], fact[1]
    if kind == "filed":
        evidence.filings[key] = evidence.filings.get(key, 0) + 1
    else:  # begun (again), or reopened: one more result may be filed
        evidence.begun[key] = evidence.begun.get(key, 0) + 1
