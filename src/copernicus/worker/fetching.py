"""Files of running attempts that somebody wants as they are now: copied and uploaded, one after the other."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable
from pathlib import Path

from copernicus.errors import CopernicusError
from copernicus.wire.messages import FileBrought, FileWanted
from copernicus.worker.copies import Copies, Gone
from copernicus.worker.desk import Desk
from copernicus.worker.harvest import STREAMS
from copernicus.worker.live_folder import LiveFolder
from copernicus.worker.shelf import Shelf
from copernicus.worker.uploads import Upload


class Fetcher:
    """Brings what is wanted; the answers are taken by whoever talks to the server. Said again: once only."""

    def __init__(self, desk: Desk, shelf: Shelf, folder: Path, upload: Upload) -> None:
        self._desk, self._upload = desk, upload
        self._copies = Copies(shelf, folder, threading.Event().wait)
        self._todo: queue.SimpleQueue[FileWanted | None] = queue.SimpleQueue()
        self._known: set[str] = set()
        self._answers: list[FileBrought] = []
        self._lock = threading.Lock()

    def want(self, wanted: Iterable[FileWanted]) -> None:
        """These are wanted now, and nothing else."""
        found = {one.fetch: one for one in wanted}
        with self._lock:
            new = [one for fetch, one in found.items() if fetch not in self._known]
            self._known = set(found)
        for one in new:
            self._todo.put(one)

    def answers(self) -> list[FileBrought]:
        """Return what was brought and is still wanted; it is given out until it is not."""
        with self._lock:
            self._answers = [answer for answer in self._answers if answer.fetch in self._known]
            return list(self._answers)

    def run(self) -> None:
        """In a thread of its own: bring what is wanted until `close`."""
        while (wanted := self._todo.get()) is not None:
            answer = self._brought(wanted)
            with self._lock:
                self._answers.append(answer)

    def close(self) -> None:
        """End the thread."""
        self._todo.put(None)

    def _brought(self, wanted: FileWanted) -> FileBrought:
        attempt = self._desk.running(wanted.job, wanted.attempt)
        if attempt is None:
            return FileBrought(wanted.fetch, None, "the attempt has ended.")
        try:
            names = matches(attempt.live, wanted.pattern)
            name = names[wanted.index] if -len(names) <= wanted.index < len(names) else ""
            copies = self._copies.so_far(attempt.live, [name], {}) if name else {}
            if not copies:
                return FileBrought(wanted.fetch, None, f"nothing matches {' '.join(wanted.pattern.split())[:200]}.")
            for file in self._copies.pinned:
                self._upload(file, self._copies.path(file))
        except Gone:
            return FileBrought(wanted.fetch, None, "the attempt has ended.")
        except (OSError, CopernicusError) as error:
            return FileBrought(wanted.fetch, None, f"the worker could not bring it: {error}")
        finally:
            self._copies.let_go()
        return FileBrought(wanted.fetch, copies[name])


def matches(live: LiveFolder, pattern: str) -> list[str]:
    """Return the files that match globs, one a line, in the order in which an ended job's would be collected."""
    if pattern in STREAMS:
        return [pattern]
    found = [name for one in pattern.split("\n") for name in live.names([one])]
    return list(dict.fromkeys(found))
