"""Copies of files that a running program may be writing: whole ones of its checkpoint, of its outputs what is there so far."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterable
from pathlib import Path

from copernicus.model.values import FileRef
from copernicus.worker.harvest import STREAMS
from copernicus.worker.live_folder import LiveFolder, open_inside
from copernicus.worker.shelf import Shelf

SETTLED_S = 1.0
TRIES = 5
PIECE_BYTES = 4 * 1024**2
Sign = tuple[int, int, int]
"""Inode, size in bytes, time of the last change in ns."""


class Gone(Exception):
    """The attempt has ended meanwhile."""


class Changing(Exception):
    """The program was writing every time; the text says which file."""


class Copies:
    """Copies into `folder`, then onto the shelf, where they stay pinned until `let_go`. For one thread.

    `wait(seconds)` lets time pass. A file of which a copy is known by its sign is not copied again.
    """

    def __init__(self, shelf: Shelf, folder: Path, wait: Callable[[float], object]) -> None:
        self._shelf, self._folder, self._wait = shelf, folder, wait
        self.pinned: list[FileRef] = []

    def path(self, file: FileRef) -> Path:
        """Return where a copy lies."""
        return self._shelf.blobs.path(file.blob)

    def let_go(self) -> None:
        """The copies are needed no more."""
        for file in self.pinned:
            self._shelf.unpin(file.blob)
        self.pinned.clear()

    def whole(self, live: LiveFolder, patterns: Iterable[str]) -> dict[str, FileRef]:
        """Return copies of the files that match, none of which changed while it was taken; raise `Changing`, `Gone`, `OSError`.

        A file that is replaced by another one under its name is whole at any time. One that is written in place counts as
        whole when nothing was written for a second, and of several files none may be written or replaced meanwhile: a
        program that pauses for longer inside of its writing can be taken by surprise.
        """
        patterns = list(patterns)
        why = "the program was writing its checkpoint"
        for _ in range(TRIES):
            names = [name for name in live.names(patterns) if name not in STREAMS]
            if not names:
                return {}
            before = {name: sign_of(live, name) for name in names}
            self._wait(SETTLED_S)
            try:
                return self._undisturbed(live, before)
            except Changing as error:
                why = str(error)
            except FileNotFoundError:  # moved away, to come back as another one
                continue
        raise Changing(why)

    def _undisturbed(self, live: LiveFolder, before: dict[str, Sign]) -> dict[str, FileRef]:
        copies: dict[str, FileRef] = {}
        signs: dict[str, Sign] = {}
        for name, sign in before.items():
            now = sign_of(live, name)
            if now[0] == sign[0] and now != sign:
                raise Changing(f"the program was writing {name}")
            copies[name], signs[name] = self._copy(live, name, is_whole=True)
        if len(signs) > 1:
            changed = next((name for name, sign in signs.items() if sign_of(live, name) != sign), None)
            if changed is not None:
                raise Changing(f"the program was writing {changed}")
        return copies

    def so_far(self, live: LiveFolder, names: Iterable[str], known: dict[Sign, FileRef]) -> dict[str, FileRef]:
        """Return copies of files as long as they are now; those that vanish are left out. Raise `Gone`, `OSError`."""
        copies = {}
        for name in names:
            try:
                sign = sign_of(live, name)
                if sign in known:
                    copies[name] = known[sign]
                else:
                    copies[name], sign = self._copy(live, name, is_whole=False)
                    known[sign] = copies[name]
            except (FileNotFoundError, ValueError):
                continue
        return copies

    def _copy(self, live: LiveFolder, name: str, *, is_whole: bool) -> tuple[FileRef, Sign]:
        with live.held() as folder:
            if folder is None:
                raise Gone
            source = open_inside(folder, name)
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._folder / f"copy-{secrets.token_hex(8)}"
        try:
            sign = _sign(os.fstat(source))
            with open(path, "xb", buffering=0) as target:
                _copy_bytes(live, source, target.fileno(), sign[1])
            if is_whole and _sign(os.fstat(source)) != sign:
                raise Changing(f"the program was writing {name}")
            file = self._shelf.keep(path, name.rsplit("/", 1)[-1])
        finally:
            os.close(source)
            path.unlink(missing_ok=True)
        self.pinned.append(file)
        return file, sign


def sign_of(live: LiveFolder, name: str) -> Sign:
    """Return by what a file of a running attempt is told from what it was before; raise `Gone`, `FileNotFoundError`."""
    with live.held() as folder:
        if folder is None:
            raise Gone
        return _sign(os.lstat(folder / name))


def _sign(status: os.stat_result) -> Sign:
    return status.st_ino, status.st_size, status.st_mtime_ns


def _copy_bytes(live: LiveFolder, source: int, target: int, size: int) -> None:
    """Copy piece by piece, so that an attempt that ends need not wait; after its end the file may be another job's."""
    done = 0
    while done < size:
        with live.held() as folder:
            if folder is None:
                raise Gone
            piece = os.pread(source, min(PIECE_BYTES, size - done), done)
        if not piece:
            return  # it became shorter
        view = memoryview(piece)
        while view:
            view = view[os.write(target, view) :]
        done += len(piece)
