"""Large result files on their way to the server, outside of the slots, so that their cores are free again."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import msgspec

from copernicus.errors import CopernicusError, InternalError
from copernicus.model.values import FileRef
from copernicus.worker.desk import Desk
from copernicus.worker.pauses import PASSING, Pause
from copernicus.worker.shelf import Shelf
from copernicus.worker.workload import Ended

MOST_FAULTS = 4
Upload = Callable[[FileRef, Path], None]


class Uploader:
    """Uploads the large files of one result after the other; a result is reported when all of its files are there."""

    def __init__(self, desk: Desk, shelf: Shelf, upload: Upload, after: Callable[[], None]) -> None:
        self._desk = desk
        self._shelf = shelf
        self._upload = upload
        self._after = after
        self._pause = Pause()
        self._over = threading.Event()
        self._faults = 0

    def run(self) -> None:
        """In a thread of its own: upload until the desk is closed and nothing is left, or until `close`."""
        while (ended := self._desk.next_upload()) is not None and not self._over.is_set():
            try:
                for file in ended.parcel.large:
                    self._upload(file, self._shelf.blobs.path(file.blob))
            except PASSING:
                self._pause.sleep()
                continue
            except (CopernicusError, OSError) as error:
                # a fault of the server, or of this machine's disk, may be over soon
                if isinstance(error, (InternalError, OSError)) and self._faults < MOST_FAULTS:
                    self._faults += 1
                    self._pause.sleep()
                    continue
                self._desk.uploaded(_given_up(ended, error))
            else:
                self._pause.reset()
                self._desk.uploaded(ended)
            self._faults = 0
            self._after()

    def close(self) -> None:
        """End the thread; what is not uploaded stays on disk."""
        self._over.set()
        self._pause.wake()


def _given_up(ended: Ended, error: CopernicusError | OSError) -> Ended:
    """What is reported instead: that the server refuses it is about the job, that it cannot be read here is not."""
    if isinstance(error, OSError):
        why = f"A result file cannot be read any more: {error.strerror} ({error.filename})."
        return Ended(msgspec.structs.replace(ended.report, outcome="retry", error=why, outputs={}, checkpoint=()))
    why = f"The server does not take a result file: {error}"
    return Ended(msgspec.structs.replace(ended.report, outcome="failed", error=why, outputs={}, checkpoint=()))
