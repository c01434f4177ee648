"""Results that a dead worker left on disk: delivered in its name by the next one beside it."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from copernicus.blobs.folder import BlobFolder
from copernicus.errors import CopernicusError
from copernicus.model.values import FileRef
from copernicus.wire.messages import ExchangeRequest, InlineBlob
from copernicus.worker.exchange import Caller
from copernicus.worker.pauses import PASSING, Pause
from copernicus.worker.place import Place
from copernicus.worker.spool import Spool
from copernicus.worker.workload import Ended


class Connection(Protocol):
    """What is needed of the way to the server."""

    def caller(self) -> Caller:
        """Return a new caller."""
        ...

    def upload(self, file: FileRef, path: Path) -> None:
        """Send a blob."""
        ...


def deliver_leftovers(place: Place, connection: Connection, say: Callable[[str], None]) -> None:
    """Deliver what dead workers left beside `place` and remove their folders; tries until the server has it.

    The server accepts a result only if its attempt is still the current one; otherwise it says *stale*, and it is dropped.
    """
    for other in place.left_behind():
        other.clear()
        count = 0
        for worker, ended in Spool(other.spool, "").results():
            count += _deliver(worker, ended, BlobFolder(other.blobs, is_durable=False), connection)
        if count:
            say(f"Delivered {count} result{'s' if count != 1 else ''} that an earlier worker left in {other.path}.")
        other.remove()


def _deliver(worker: str, ended: Ended, blobs: BlobFolder, connection: Connection) -> bool:
    pause, caller = Pause(), connection.caller()
    inline = [InlineBlob(blob, data) for blob, data in ended.parcel.inline.items()]
    request = ExchangeRequest(worker, 0, 0, [ended.report], inline, 0.0, uuid.uuid4().hex)
    while True:
        try:
            for file in ended.parcel.large:
                blobs.verify(file.blob)  # it may come from before a power cut
                connection.upload(file, blobs.path(file.blob))
            reply = caller.call(request)
            return any(verdict.verdict == "accepted" for verdict in reply.verdicts)
        except PASSING:
            pause.sleep()
        except CopernicusError:
            return False  # damaged, or not wanted: the job has been given to somebody else, or will be
