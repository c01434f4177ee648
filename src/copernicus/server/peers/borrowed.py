"""The book of what was borrowed: attempts at other servers' jobs that workers of this one have, and what is to be told of them.

Nothing here decides anything: the owner has given the attempt its number, and only it ends the job.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from copernicus.model.jobs import LeasedJob, Report
from copernicus.model.values import FileRef
from copernicus.server.storage.abc import BookStore, DropBorrowed, PutBorrowed, Unit
from copernicus.wire.messages import CheckpointRequest

FIRST = 1 << 52
"""Numbers from here on are those of borrowed attempts; a server's own jobs never come near. All are exact in JSON."""
_FILE_KINDS = ("file", "files")


def number_of(owner: str, job: int, attempt: int) -> int:
    """The number by which this server's workers know an attempt at another one's job: always the same, and nobody else's."""
    digest = hashlib.blake2b(f"{owner} {job} {attempt}".encode(), digest_size=8).digest()
    return FIRST + (int.from_bytes(digest) & (FIRST - 1))


class Borrowed(msgspec.Struct, frozen=True, omit_defaults=True):
    """One attempt: `lease` as the owner gave it (in its own numbers), for one worker that came with `bundle`.

    `checkpoint` and `report` are what is still to be told, in the owner's numbers, too; with a report it is over here.
    """

    number: int
    owner: str
    lease: LeasedJob
    worker: str
    bundle: str
    at: float
    checkpoint: CheckpointRequest | None = None
    report: Report | None = None

    def files(self) -> Iterator[FileRef]:
        """All files that it needs or names."""
        yield from (staged.file for staged in (*self.lease.description.files, *self.lease.checkpoint))
        yield from self.brought()

    def brought(self) -> Iterator[FileRef]:
        """The files that what is still to be told names."""
        if self.checkpoint is not None:
            yield from (staged.file for staged in self.checkpoint.files)
            for value in self.checkpoint.outputs.values():
                yield from _files_in(value)
        if self.report is not None:
            yield from (staged.file for staged in self.report.checkpoint)
            for name, output in self.lease.description.outputs.items():
                if output.kind in _FILE_KINDS:
                    yield from _files_in(self.report.outputs.get(name))


class Book:
    """All borrowed attempts, in memory as in the store."""

    def __init__(self, store: BookStore) -> None:
        self._store = store
        self.load()

    def load(self) -> None:
        """Read the store anew."""
        self._rows: dict[int, Borrowed] = {}
        self._of_worker: dict[str, dict[int, None]] = {}
        for data in self._store.borrowed():
            self._enter(msgspec.json.decode(data, type=Borrowed))

    def __iter__(self) -> Iterator[Borrowed]:
        return iter(list(self._rows.values()))

    def get(self, number: int) -> Borrowed | None:
        """One attempt, or None."""
        return self._rows.get(number)

    def of_worker(self, worker: str, bundle: str) -> list[Borrowed]:
        """The attempts that a worker has."""
        rows = (self._rows[number] for number in self._of_worker.get(worker, ()))
        return [row for row in rows if row.bundle == bundle]

    def of_owner(self, owner: str) -> list[Borrowed]:
        """The attempts at jobs of one owner."""
        return [row for row in self._rows.values() if row.owner == owner]

    def put(self, unit: Unit, row: Borrowed) -> None:
        """Make `row` what stands here, in memory at once and durable with `unit`."""
        unit.add(PutBorrowed(row.number, msgspec.json.encode(row)))
        self._enter(row)

    def drop(self, unit: Unit, row: Borrowed) -> None:
        """The owner has been told everything."""
        unit.add(DropBorrowed(row.number))
        self._rows.pop(row.number, None)
        numbers = self._of_worker.get(row.worker, {})
        numbers.pop(row.number, None)
        if not numbers:
            self._of_worker.pop(row.worker, None)

    def blobs(self) -> set[str]:
        """The files that must stay."""
        return {file.blob for row in self._rows.values() for file in row.files()}

    def owner_of(self, blob: str) -> tuple[str, int] | None:
        """Whom to ask for an input, and its size; None when no borrowed attempt needs it."""
        for row in self._rows.values():
            for staged in (*row.lease.description.files, *row.lease.checkpoint):
                if staged.file.blob == blob:
                    return row.owner, staged.file.size
        return None

    def _enter(self, row: Borrowed) -> None:
        self._rows[row.number] = row
        self._of_worker.setdefault(row.worker, {})[row.number] = None


def _files_in(value: Any) -> Iterator[FileRef]:
    for one in value if isinstance(value, Iterable) and not isinstance(value, (Mapping, str)) else [value]:
        if isinstance(one, Mapping) and "blob" in one:
            yield msgspec.convert(one, FileRef)
