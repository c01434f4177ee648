"""Bugs planted into the rooms that write: each is one that a power cut, and nothing gentler, brings to light."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import apsw
from tests.proof.early import Plant, acknowledge_before_commit
from tests.proof.life import Life

from copernicus.blobs.folder import BLOB_MODE, BlobFolder
from copernicus.blobs.hashing import hash_bytes
from copernicus.blobs.places import Places
from copernicus.blobs.upload import Upload
from copernicus.model.values import FileRef
from copernicus.server.projects.service import Projects
from copernicus.server.storage.sqlite import book
from copernicus.server.storage.sqlite.database import open_database


def synchronous_normal() -> AbstractContextManager[Any]:
    """SQLite syncs its log when it is folded into the book, not at every commit."""

    def open_it(path: Path, migrations: Any) -> apsw.Connection:
        connection = open_database(path, migrations)
        connection.pragma("synchronous", "normal")
        return connection

    return patch.object(book, "open_database", open_it)


def no_sync_of_the_blobs_folder() -> AbstractContextManager[Any]:
    """A blob's content is synced, its name is not."""
    return patch("copernicus.blobs.folder.sync_folder", lambda folder: None)


def names_of_new_folders_not_synced() -> AbstractContextManager[Any]:
    """A blob's content and name are synced, the name of the folder around it is not."""
    return patch.object(Places, "make", lambda self, folder: folder.mkdir(mode=0o700, parents=True, exist_ok=True))


@contextmanager
def renamed_before_synced() -> Iterator[None]:
    """The blob gets its name first, and is synced after that."""
    place = BlobFolder._place

    def place_and_sync(self: BlobFolder, temporary: Path, blob: str) -> None:
        place(self, temporary, blob)
        with open(self.path(blob), "rb") as file:
            os.fsync(file.fileno())

    def finish(self: Upload) -> bool:
        if self.received < self.size:
            return False
        os.fchmod(self._descriptor, BLOB_MODE)
        self._home.commit(self._partial, self.blob)
        self.is_complete = True
        return True

    with (
        patch.object(BlobFolder, "_settle", lambda self, descriptor: os.fchmod(descriptor, BLOB_MODE)),
        patch.object(BlobFolder, "_place", place_and_sync),
        patch.object(Upload, "finish", finish),
    ):
        yield


def synced_before_written() -> AbstractContextManager[Any]:
    """The bytes stand in a buffer of the program while the file is synced."""

    def put_bytes(self: BlobFolder, data: bytes, name: str = "file") -> FileRef:
        blob = hash_bytes(data)
        if not self.has(blob):
            temporary = self._temporary(len(data))
            with open(temporary, "xb") as file:
                file.write(data)
                self._settle(file.fileno())
            self.commit(temporary, blob)
        return FileRef(blob, len(data), name)

    return patch.object(BlobFolder, "put_bytes", put_bytes)


@contextmanager
def row_before_its_blob() -> Iterator[None]:
    """Requests and results are written down first, the files that they name a moment later."""
    file, ask, bring = Life.file, Life.ask, Life.bring
    due: list[str] = []

    def refer(self: Life, content: str) -> FileRef:
        due.append(content)
        return FileRef(hash_bytes(content.encode()), len(content.encode()), "file")

    def store(self: Life) -> None:
        while due:
            file(self, due.pop())

    async def ask_first(self: Life, *edits: Any) -> None:
        await ask(self, *edits)
        store(self)

    async def bring_first(self: Life, path: str, **files: str) -> int:
        number = await bring(self, path, **files)
        store(self)
        return number

    with (
        patch.object(Life, "file", refer),
        patch.object(Life, "ask", ask_first),
        patch.object(Life, "bring", bring_first),
        patch.object(Projects, "_must_be_here", lambda self, edits: None),
    ):
        yield


PLANTS: dict[str, tuple[Plant, set[str]]] = {
    "acknowledge before commit": (acknowledge_before_commit, {"lost"}),
    "synchronous NORMAL for FULL": (synchronous_normal, {"lost"}),
    "no fsync of the blob's folder": (no_sync_of_the_blobs_folder, {"lost blob", "missing blob"}),
    "names of new folders not synced": (names_of_new_folders_not_synced, {"lost blob", "missing blob"}),
    "temp blob visible: rename before fsync": (renamed_before_synced, {"short blob"}),
    "fsync before the bytes are written": (synced_before_written, {"short blob"}),
    "a row stored before its blob is durable": (row_before_its_blob, {"missing blob"}),
}
"""By name: how to plant it, and as what it must be found, first of all."""
