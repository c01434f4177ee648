"""Snapshots of projects as files beside the book: `<project>-<seq>.snapshot`, one line of JSON and then the bytes.

They only save time: whoever deletes them loses nothing, and one that is damaged, or of another version, is passed over.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import msgspec
from blake3 import blake3

from copernicus.config.files import make_private_folder, write_atomic

KEPT = 2
_NAME = re.compile(r"([0-9a-z]+)-([0-9]+)\.snapshot")


class Head(msgspec.Struct, frozen=True):
    """What a snapshot is of: the network of `project` after record `seq`, whose hash is `record`.

    `form` says which programs can read it; `checksum` is that of its `size` bytes.
    """

    project: str
    seq: int
    record: str
    form: str
    size: int
    checksum: str


class SnapshotFolder:
    """The snapshots of one server. `form` is the only one that is read."""

    def __init__(self, folder: Path, form: str) -> None:
        self.folder, self._form = folder, form

    def heads(self, project: str, before: int | None = None) -> Iterator[Head]:
        """What there is of a project (of records below `before`), the newest first."""
        for seq in sorted(self._seqs(project), reverse=True):
            if before is None or seq < before:
                head = self._head(self._path(project, seq))
                if head is not None and (head.project, head.seq, head.form) == (project, seq, self._form):
                    yield head

    def size(self, project: str) -> int:
        """How many bytes the newest one has, 0 when there is none."""
        seqs = self._seqs(project)
        with suppress(OSError):
            return self._path(project, max(seqs)).stat().st_size if seqs else 0
        return 0

    def read(self, head: Head) -> bytes | None:
        """The bytes of a snapshot; None when they are not what was written."""
        with suppress(OSError), open(self._path(head.project, head.seq), "rb") as file:
            file.readline()
            data = file.read()
            if len(data) == head.size and blake3(data).hexdigest() == head.checksum:
                return data
        return None

    def put(self, project: str, seq: int, record: str, data: bytes) -> None:
        """Keep a snapshot, durable when this returns, and the one before it; raise `OSError` as the disk gives it."""
        make_private_folder(self.folder)
        for left in self.folder.glob(f".{project}-*.tmp"):
            left.unlink(missing_ok=True)
        head = Head(project, seq, record, self._form, len(data), blake3(data).hexdigest())
        write_atomic(self._path(project, seq), msgspec.json.encode(head) + b"\n" + data)
        for old in sorted(self._seqs(project))[:-KEPT]:
            self._path(project, old).unlink(missing_ok=True)

    def drop(self, project: str) -> None:
        """Delete all snapshots of a project."""
        for seq in self._seqs(project):
            self._path(project, seq).unlink(missing_ok=True)

    def _path(self, project: str, seq: int) -> Path:
        return self.folder / f"{project}-{seq}.snapshot"

    def _seqs(self, project: str) -> list[int]:
        try:
            names = [_NAME.fullmatch(path.name) for path in self.folder.iterdir()]
        except OSError:
            return []
        return [int(name[2]) for name in names if name is not None and name[1] == project]

    def _head(self, path: Path) -> Head | None:
        with suppress(OSError, msgspec.MsgspecError), open(path, "rb") as file:
            return msgspec.json.decode(file.readline(4096), type=Head)
        return None
