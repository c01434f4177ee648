"""Results on disk until the server has them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from copernicus.blobs.durable import write_atomic
from copernicus.errors import CopernicusError
from copernicus.model.jobs import Report
from copernicus.model.values import FileRef
from copernicus.wire.codec import decode, encode
from copernicus.wire.messages import InlineBlob
from copernicus.worker.collecting import Parcel
from copernicus.worker.workload import Ended


class SpooledResult(msgspec.Struct, frozen=True):
    """One result as it lies on disk; its large files lie in the worker's blob folder."""

    worker: str
    report: Report
    inline: list[InlineBlob]
    large: list[FileRef]


class Spool:
    """A folder with one file for each result: `<job>.<attempt>.json`."""

    def __init__(self, folder: Path, worker: str) -> None:
        self.folder = folder
        self._worker = worker

    def write(self, ended: Ended) -> None:
        """Put a result on disk, durable when it returns; raise `OSError`, `NoSpace`."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        inline = [InlineBlob(blob, data) for blob, data in ended.parcel.inline.items()]
        result = SpooledResult(self._worker, ended.report, inline, ended.parcel.large)
        write_atomic(self._path(ended.report.job, ended.report.attempt), encode(result))

    def remove(self, job: int, attempt: int) -> None:
        """The server has it, or does not want it."""
        self._path(job, attempt).unlink(missing_ok=True)

    def results(self) -> Iterator[tuple[str, Ended]]:
        """Yield what lies here, with the worker that made it; what cannot be read is left out."""
        for path in sorted(self.folder.glob("*.json")) if self.folder.is_dir() else ():
            try:
                result = decode(path.read_bytes(), SpooledResult)
            except (OSError, CopernicusError):
                continue
            inline = {blob.blob: blob.data for blob in result.inline}
            yield result.worker, Ended(result.report, Parcel(inline, result.large))

    def is_empty(self) -> bool:
        """Whether nothing waits here."""
        return not self.folder.is_dir() or not any(name.endswith(".json") for name in os.listdir(self.folder))

    def _path(self, job: int, attempt: int) -> Path:
        return self.folder / f"{job}.{attempt}.json"
