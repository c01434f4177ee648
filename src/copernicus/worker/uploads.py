"""Large result files on their way to the server, outside of the slots, so that their cores are free again."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import msgspec

from copernicus.errors import CopernicusError
from copernicus.model.values import FileRef
from copernicus.worker.desk import Desk
from copernicus.worker.pauses import PASSING, Pause
from copernicus.worker.shelf import Shelf
from copernicus.worker.workload import Ended

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

    def run(self) -> None:
        """In a thread of its own: upload until the desk is closed and nothing is left, or until `close`."""
        while (ended := self._desk.next_upload()) is not None and not self._over.is_set():
            try:
                for file in ended.parcel.large:
                    self._upload(file, self._shelf.blobs.path(file.blob))
            except PASSING:
                self._pause.sleep()
                continue
            except CopernicusError as error:
                self._desk.uploaded(_given_up(ended, error))
            else:
                self._pause.reset()
                self._desk.uploaded(ended)
            self._after()

    def close(self) -> None:
        """End the thread; what is not uploaded stays on disk."""
        self._over.set()
        self._pause.wake()


def _given_up(ended: Ended, error: CopernicusError) -> Ended:
    why = f"The server does not take a result file: {error}"
    report = msgspec.structs.replace(ended.report, outcome="failed", error=why, outputs={}, checkpoint=())
    return Ended(report)
