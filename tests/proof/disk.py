"""A disk that can lose power: everything it was told, in order, and what may be left of it after a cut at any moment."""

from __future__ import annotations

import random
import threading
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

SECTOR_BYTES = 512
FOLDER = -1
"""Stands for a folder where else the number of a file stands."""


@dataclass(frozen=True, slots=True)
class Wrote:
    """Bytes went to a file."""

    file: int
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Truncated:
    """A file got another size."""

    file: int
    size: int


@dataclass(frozen=True, slots=True)
class Synced:
    """What a file holds is durable from here on; its name is not."""

    file: int


@dataclass(frozen=True, slots=True)
class Named:
    """A path means this file (or `FOLDER`) now, or nothing (None)."""

    path: str
    file: int | None


@dataclass(frozen=True, slots=True)
class FolderSynced:
    """The names in a folder are durable from here on."""

    path: str


Event = Wrote | Truncated | Synced | Named | FolderSynced


def parent(path: str) -> str:
    """The folder of a path, "" for what lies at the top."""
    folder = str(PurePosixPath(path).parent)
    return "" if folder == "." else folder


class Disk:
    """What the programs told the disk. Paths are relative to its top; files have numbers, which their names point to."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.names: dict[str, int] = {}
        self._files = 0
        self._lock = threading.Lock()

    def tell(self, *events: Event) -> None:
        """Note what happened; it is done in the order of these notes."""
        with self._lock:
            for event in events:
                self.events.append(event)
                if isinstance(event, Named):
                    if event.file is None:
                        self.names.pop(event.path, None)
                    else:
                        self.names[event.path] = event.file

    def create(self, path: str) -> int:
        """A new, empty file; return its number."""
        with self._lock:
            self._files += 1
            number = self._files
        self.tell(Named(path, number))
        return number

    def rename(self, old: str, new: str) -> None:
        """A file has another path; either name may be on the disk before the other."""
        self.tell(Named(new, self.names[old]), Named(old, None))


class Platter:
    """What is surely on the disk after the events that it took, and what may or may not be."""

    def __init__(self) -> None:
        self._files: dict[int, bytearray] = defaultdict(bytearray)
        self._unsynced: dict[int, list[Wrote | Truncated]] = defaultdict(list)
        self._names: dict[str, int] = {}
        self._unsynced_names: dict[str, list[Named]] = defaultdict(list)

    def take(self, event: Event) -> None:
        """One more thing happened."""
        match event:
            case Wrote() | Truncated():
                self._unsynced[event.file].append(event)
            case Synced(file):
                for change in self._unsynced.pop(file, []):
                    _apply(self._files[file], change, 0)
            case Named(path):
                self._unsynced_names[parent(path)].append(event)
            case FolderSynced(path):
                for named in self._unsynced_names.pop(path, []):
                    _name(self._names, named)

    def after_cut(self, chance: random.Random) -> dict[str, bytes | None]:
        """Draw one of the many states that the disk may have when power comes back: the bytes of each path, None: a folder."""
        names = dict(self._names)
        for folder in sorted(self._unsynced_names):
            for named in _kept_names(self._unsynced_names[folder], chance):
                _name(names, named)
        left: dict[str, bytes | None] = {}
        contents = {file: self._content(file, chance) for file in sorted(set(names.values()) - {FOLDER})}
        for path, file in sorted(names.items()):
            if all(str(above) in names for above in PurePosixPath(path).parents if str(above) != "."):
                left[path] = None if file == FOLDER else contents[file]
        return left

    def _content(self, file: int, chance: random.Random) -> bytes:
        content, changes = bytearray(self._files.get(file, b"")), self._unsynced.get(file, [])
        if not changes:
            return bytes(content)
        filler = chance.choice((0, 0, 0, 0xA5))  # what stands where a file grew and its bytes never came
        match chance.choice(("lost", "kept", "cut off", "scattered", "scattered")):
            case "kept":
                for change in changes:
                    _apply(content, change, filler)
            case "cut off":
                whole = chance.randrange(len(changes))
                for change in changes[:whole]:
                    _apply(content, change, filler)
                _tear(content, changes[whole], filler, chance, 0.5)
            case "scattered":
                share = chance.choice((0.1, 0.5, 0.9))
                for change in changes:
                    _tear(content, change, filler, chance, share)
        return bytes(content)


def _apply(content: bytearray, change: Wrote | Truncated, filler: int) -> None:
    if isinstance(change, Truncated):
        del content[change.size :]
        content.extend(bytes(change.size - len(content)))
        return
    if len(content) < change.offset:
        content.extend(bytes([filler]) * (change.offset - len(content)))
    content[change.offset : change.offset + len(change.data)] = change.data


def _tear(content: bytearray, change: Wrote | Truncated, filler: int, chance: random.Random, share: float) -> None:
    """Each sector of a write comes through, or does not: of two writes of one place the later may be lost alone, which is
    what a disk does that reorders."""
    if isinstance(change, Truncated):
        if chance.random() < share:
            _apply(content, change, filler)
        return
    start, end = change.offset, change.offset + len(change.data)
    while start < end:
        stop = min(end, (start // SECTOR_BYTES + 1) * SECTOR_BYTES)
        if chance.random() < share:
            _apply(content, Wrote(change.file, start, change.data[start - change.offset : stop - change.offset]), filler)
        start = stop


def _kept_names(changes: list[Named], chance: random.Random) -> list[Named]:
    """The names that came through: the first so many of the folder, or of each name by itself."""
    if chance.random() < 0.5:
        return changes[: chance.randint(0, len(changes))]
    by_path: dict[str, list[Named]] = defaultdict(list)
    for named in changes:
        by_path[named.path].append(named)
    return [named for path in by_path for named in by_path[path][: chance.randint(0, len(by_path[path]))]]


def _name(names: dict[str, int], named: Named) -> None:
    if named.file is None:
        names.pop(named.path, None)
    else:
        names[named.path] = named.file


def lay_out(left: dict[str, bytes | None], folder: Path) -> None:
    """Make real files of what a cut left."""
    folder.mkdir(parents=True)
    for path, content in left.items():
        if content is None:
            (folder / path).mkdir(mode=0o700)
        else:
            (folder / path).write_bytes(content)
