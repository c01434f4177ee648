"""The work folder of a running attempt, as other threads may read it while the program writes."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from copernicus.wire.stream_messages import STREAM_WINDOW_BYTES
from copernicus.worker.harvest import STREAMS, Harvest, natural_key, steps_of

MOST_WATCHED = 16


class LiveFolder:
    """Open between `begin` and `end`. After `end` nobody reads in it any more: the folder may be another job's by then."""

    def __init__(self) -> None:
        self.path: Path | None = None
        self._lock = threading.Lock()

    def begin(self, path: Path) -> None:
        """The attempt has its folder."""
        self.path = path

    def end(self) -> None:
        """The attempt gives its folder back; returns when nobody reads in it."""
        with self._lock:
            self.path = None

    @contextmanager
    def held(self) -> Iterator[Path | None]:
        """Keep the folder the attempt's own while the context lasts, which must be short; None when it is no more."""
        with self._lock:
            yield self.path

    def names(self, patterns: Iterable[str]) -> list[str]:
        """Return the files that match any of the globs, in natural order; a wrong glob matches nothing."""
        found: set[str] = set()
        with self.held() as path:
            for pattern in patterns if path is not None else ():
                try:
                    found.update(Harvest(path).find(pattern))  # type: ignore[arg-type]
                except ValueError:
                    continue
        return sorted(found, key=natural_key)

    def watched(self, patterns: Iterable[str]) -> list[str]:
        """Return what may be followed: stdout, stderr, and of the files that match the newest in natural order."""
        names = [name for name in self.names(patterns) if name not in STREAMS]
        return [*STREAMS, *names[-(MOST_WATCHED - len(STREAMS)) :]]

    def peek(self, name: str, have: int, most_bytes: int) -> tuple[int, bytes, int] | None:
        """Return what comes after the first `have` bytes of a file: where that begins, at most so many bytes, its size.

        It begins later where more than a window follows, and from the front of the file when that has become shorter.
        None when there is no such file.
        """
        with self.held() as path:
            if path is None:
                return None
            try:
                descriptor = open_inside(path, name)
            except (OSError, ValueError):
                return None
            try:
                size = os.fstat(descriptor).st_size
                begin = have if have <= size else 0
                begin = max(begin, size - STREAM_WINDOW_BYTES)
                return begin, os.pread(descriptor, most_bytes, begin), size
            except OSError:
                return None
            finally:
                os.close(descriptor)


def open_inside(folder: Path, name: str) -> int:
    """Open a regular file of a work folder for reading, without following a link; raise `OSError`, `ValueError`."""
    steps_of(name)
    descriptor = os.open(folder / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ValueError(f"{name} is not a regular file")
    return descriptor
