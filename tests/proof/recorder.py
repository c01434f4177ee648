"""The recorder: stands between the server's rooms and the disk, and tells a `Disk` all that is written, named and synced.

SQLite is heard through a VFS of its own, everything else through the system calls of Python's `os`. Nothing is really
synced, so that thousands of cuts fit in a minute.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import apsw
from tests.proof.disk import FOLDER, Disk, FolderSynced, Named, Synced, Truncated, Wrote, parent

SHARED_INDEX = "-shm"
"""Memory that connections share, in a file: SQLite makes it anew after a cut, whatever it holds."""


class Recorder(apsw.VFS):  # type: ignore[misc]
    """Tells `disk` what happens under `root`. Files elsewhere are written as always, though never synced."""

    def __init__(self, disk: Disk, root: Path) -> None:
        self.disk, self.root = disk, root
        self.of_sqlite: set[str] = set()
        self._sizes: dict[int, int] = {}
        self._by_inode: dict[int, int] = {}
        self._folders = {root.stat().st_ino: ""}
        super().__init__("power cuts", "unix", makedefault=True)

    def relative(self, path: str | os.PathLike[str]) -> str | None:
        """The path on the disk, None for one that lies elsewhere."""
        path = Path(path)
        return str(path.relative_to(self.root)) if path.is_relative_to(self.root) else None

    def adopt(self, left: dict[str, bytes | None]) -> None:
        """What lies under `root` already is durable."""
        for path, content in left.items():
            inode = (self.root / path).stat().st_ino
            if content is None:
                self._folders[inode] = path
                self.disk.tell(Named(path, FOLDER))
            else:
                self._by_inode[inode] = number = self.disk.create(path)
                self._sizes[number] = len(content)
                self.disk.tell(Wrote(number, 0, content), Synced(number))
        self.disk.tell(*(FolderSynced(path) for path in ("", *left) if not left.get(path)))

    # --- SQLite

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:
        """Open a file of SQLite's."""
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        place = self.relative(path) if path else None
        opened = _Unsynced("unix", name, flags) if place is None else _Recorded(self, place, name, flags)
        if place is not None:
            if place not in self.of_sqlite:
                self.look()  # it may have been made by other hands
                self.of_sqlite.add(place)
            if place not in self.disk.names:
                self.disk.create(place)
        return opened

    def xDelete(self, filename: str, syncdir: bool) -> None:
        """Delete a file of SQLite's."""
        super().xDelete(filename, False)
        place = self.relative(filename)
        if place is not None:
            self.disk.tell(Named(place, None), *([FolderSynced(parent(place))] if syncdir else []))

    # --- everything else

    def look(self) -> None:
        """See which files are new or have grown in the folders where files are written under names of their own."""
        for folder in sorted(set(self._folders.values())):
            if len(folder.rpartition("/")[2]) == 2:
                continue  # whole blobs: they come by their names alone
            with os.scandir(self.root / folder) as entries:
                found = sorted((entry.name, entry.stat(follow_symlinks=False)) for entry in entries if entry.is_file())
            for name, status in found:
                place = f"{folder}/{name}" if folder else name
                if place in self.of_sqlite or name.endswith(SHARED_INDEX):
                    continue
                if place not in self.disk.names:
                    self._by_inode[status.st_ino] = number = self.disk.create(place)
                    self._sizes[number] = 0
                number = self.disk.names[place]
                if status.st_size > self._sizes.setdefault(number, 0):
                    with open(self.root / place, "rb") as file:
                        file.seek(self._sizes[number])
                        self.disk.tell(Wrote(number, self._sizes[number], file.read()))
                    self._sizes[number] = status.st_size

    def sync(self, descriptor: int) -> None:
        """In place of `os.fsync` and `os.fdatasync`."""
        self.look()
        status = os.fstat(descriptor)
        if stat.S_ISDIR(status.st_mode):
            if status.st_ino in self._folders:
                self.disk.tell(FolderSynced(self._folders[status.st_ino]))
        elif status.st_ino in self._by_inode:
            self.disk.tell(Synced(self._by_inode[status.st_ino]))

    def replace(self, real: Callable[..., None], old: os.PathLike[str], new: os.PathLike[str]) -> None:
        """In place of `os.replace`."""
        self.look()
        real(old, new)
        before, after = self.relative(old), self.relative(new)
        if before is not None and after is not None:
            self.disk.rename(before, after)

    def unlink(self, real: Callable[..., None], path: os.PathLike[str], **more: Any) -> None:
        """In place of `os.unlink`."""
        self.look()
        real(path, **more)
        place = None if more else self.relative(path)
        if place is not None:
            self.disk.tell(Named(place, None))

    def mkdir(self, real: Callable[..., None], path: os.PathLike[str], *mode: int, **more: Any) -> None:
        """In place of `os.mkdir`."""
        real(path, *mode, **more)
        place = None if more.get("dir_fd") else self.relative(path)
        if place is not None:
            self._folders[os.stat(path).st_ino] = place
            self.disk.tell(Named(place, FOLDER))


class _Unsynced(apsw.VFSFile):  # type: ignore[misc]
    """A file that is written as always; the tests do not wait for the real disk."""

    def xSync(self, flags: int) -> None:
        """Nothing."""


class _Recorded(apsw.VFSFile):  # type: ignore[misc]
    """A file of SQLite's on the recorded disk."""

    def __init__(self, recorder: Recorder, place: str, name: Any, flags: list[int]) -> None:
        self._disk, self._place = recorder.disk, place
        # SQLite's own way to files ("unix") syncs the folder together with a journal or log that it may have made.
        of_log = apsw.SQLITE_OPEN_WAL | apsw.SQLITE_OPEN_MAIN_JOURNAL | apsw.SQLITE_OPEN_SUPER_JOURNAL
        self._is_folder_due = bool(flags[0] & of_log and flags[0] & apsw.SQLITE_OPEN_CREATE)
        super().__init__("unix", name, flags)

    def xWrite(self, data: bytes, offset: int) -> None:
        """Write, and tell."""
        super().xWrite(data, offset)
        self._disk.tell(Wrote(self._disk.names[self._place], offset, bytes(data)))

    def xTruncate(self, newsize: int) -> None:
        """Truncate, and tell."""
        super().xTruncate(newsize)
        self._disk.tell(Truncated(self._disk.names[self._place], newsize))

    def xSync(self, flags: int) -> None:
        """Tell."""
        self._disk.tell(Synced(self._disk.names[self._place]))
        if self._is_folder_due:
            self._is_folder_due = False
            self._disk.tell(FolderSynced(parent(self._place)))


@contextmanager
def recording(disk: Disk, root: Path, left: dict[str, bytes | None] | None = None) -> Iterator[None]:
    """Record what this process does under `root`, which holds what a cut left (or nothing) and counts as durable."""
    before = apsw.vfs_names()[0]
    recorder = Recorder(disk, root)
    recorder.adopt(left or {})
    heard = {name: getattr(recorder, name) for name in ("replace", "unlink", "mkdir")}
    real = {name: getattr(os, name) for name in heard}

    def between(name: str) -> Callable[..., None]:
        return lambda *what, **more: heard[name](real[name], *what, **more)

    try:
        with patch.multiple(os, fsync=recorder.sync, fdatasync=recorder.sync, **{name: between(name) for name in heard}):
            yield
    finally:
        recorder.unregister()
        apsw.set_default_vfs(before)
