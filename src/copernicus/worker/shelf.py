"""The worker's own blobs: input files that were fetched, result files that wait for the server."""

from __future__ import annotations

import os
import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from copernicus.blobs.folder import BlobFolder
from copernicus.blobs.hashing import hash_bytes
from copernicus.errors import CorruptData
from copernicus.model.jobs import StagedFile
from copernicus.model.values import FileRef
from copernicus.worker.harvest import STREAMS, steps_of

LIMIT_BYTES = 20 * 1024**3
MEMORY_BYTES = 64 * 1024**2
Fetch = Callable[[FileRef, Path], None]


class Shelf:
    """A cache of blobs with a limit; what is pinned stays. `fetch(file, path)` brings a blob from the server."""

    def __init__(self, folder: Path, fetch: Fetch, limit_bytes: int = LIMIT_BYTES) -> None:
        # Not durable: inputs can be fetched again, and results that survive a power cut are checked by their hash.
        self.blobs = BlobFolder(folder, is_durable=False)
        self._folder = folder
        self._fetch = fetch
        self._limit_bytes = limit_bytes
        self._small: OrderedDict[str, bytes] = OrderedDict()
        self._small_bytes = 0
        self._sizes: OrderedDict[str, int] = OrderedDict()
        self._pins: Counter[str] = Counter()
        self._fetching: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()

    def remember(self, blob: str, data: bytes) -> None:
        """Keep a small file that came inside a message: the server sends it once. Wrong content is not kept.

        The newest stay in memory, older ones go to disk.
        """
        if hash_bytes(data) != blob:
            return  # whoever needs it fetches it
        pushed_out = []
        with self._lock:
            if blob not in self._small:
                self._small_bytes += len(data)
            self._small[blob] = data
            self._small.move_to_end(blob)
            while self._small_bytes > MEMORY_BYTES:
                pushed_out.append(self._small.popitem(last=False)[1])
                self._small_bytes -= len(pushed_out[-1])
        for content in pushed_out:
            self._note(self.blobs.put_bytes(content))

    def stage(self, files: Iterable[StagedFile], work: Path) -> None:
        """Put files into a work folder, each checked by its hash; of two with one name the later one counts.

        Raises `ValueError` for a name that leads out of the folder, `CorruptData`, `NoSpace`, `OSError`, and what
        `fetch` raises.
        """
        for staged in {staged.name: staged for staged in files}.values():
            steps = steps_of(staged.name)
            if staged.name in STREAMS:
                raise ValueError(f"the file name {staged.name!r} is taken by what the program prints")
            target = work / staged.name
            if len(steps) > 1:
                target.parent.mkdir(parents=True, exist_ok=True)
            data = self._small.get(staged.file.blob)
            if data is None:
                with self.present(staged.file):
                    self.blobs.link_into(staged.file, target)
                continue
            with open(target, "xb", buffering=0) as file:
                file.write(data)

    @contextmanager
    def present(self, file: FileRef) -> Iterator[None]:
        """See to it that a blob is here, and stays while the context lasts."""
        self.pin(file.blob)
        try:
            with self._lock:
                turn = self._fetching.setdefault(file.blob, threading.Lock())
            with turn:
                if not self.blobs.has(file.blob):
                    self._bring(file)
            yield
        finally:
            self.unpin(file.blob)

    def keep(self, path: Path, name: str) -> FileRef:
        """Take a file over from a work folder, pinned until `unpin`; raise `UsageError`, `NoSpace`."""
        file = self.blobs.put_file(path, name, is_moved=True)
        self.pin(file.blob)
        self._note(file)
        return file

    def pin(self, blob: str) -> None:
        """Keep a blob until it is unpinned as many times."""
        with self._lock:
            self._pins[blob] += 1

    def unpin(self, blob: str) -> None:
        """Take back one pin."""
        with self._lock:
            self._pins[blob] -= 1
            if self._pins[blob] <= 0:
                del self._pins[blob]

    def _bring(self, file: FileRef) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._folder / f"fetched-{file.blob}"
        try:
            self._fetch(file, path)
            stored = self.blobs.put_file(path, file.name, is_moved=True)
        finally:
            path.unlink(missing_ok=True)
        if stored.blob != file.blob:
            self.blobs.remove(stored.blob)
            raise CorruptData(f"The file {file.name} came with the wrong content.", "It is fetched again.")
        self._note(stored)

    def _note(self, file: FileRef) -> None:
        """Remember a blob as just used, and remove the longest unused ones above the limit."""
        with self._lock:
            self._sizes[file.blob] = file.size
            self._sizes.move_to_end(file.blob)
            surplus = sum(self._sizes.values()) - self._limit_bytes
            for blob in list(self._sizes) if surplus > 0 else ():
                if surplus <= 0:
                    break
                if not self._pins[blob]:
                    surplus -= self._sizes.pop(blob)
                    self.blobs.remove(blob)


def size_on_disk(path: Path) -> int:
    """Return the bytes that a file really takes, 0 when it is not there."""
    try:
        return os.lstat(path).st_blocks * 512
    except OSError:
        return 0
