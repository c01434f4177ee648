"""Reading an archive that may be anybody's: every byte is checked, files go to the blob folder, the rest into memory.

All of it blocks: it is done in a thread. Nothing is visible afterwards but files that nobody refers to.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from blake3 import blake3

from copernicus.blobs.folder import BlobFolder
from copernicus.blobs.hashing import hash_bytes
from copernicus.dataflow import facts as f
from copernicus.dataflow.checking import CheckedFold, check_description, is_file, is_inside
from copernicus.dataflow.network import Network
from copernicus.errors import CorruptData
from copernicus.model.jobs import JobDescription
from copernicus.server.projects.archives.manifest import FILES, FORMAT, HEADER, JOBS, LOG, MANIFEST, Header, Manifest, Member
from copernicus.server.projects.archives.members import MemberReader, refusal
from copernicus.server.projects.holdings import LogIndex, job_holds, network_holds
from copernicus.server.storage.abc import JobRecord

MOST_SEGMENT_BYTES = 256 * 1024**2
MOST_LOG_BYTES = 4 * 1024**3
S = TypeVar("S")


class Contents(msgspec.Struct):
    """What was in an archive. `descriptions` are those of evaluations that are open, by key, with the instance."""

    header: Header
    manifest: Manifest
    network: Network
    records: list[bytes]
    jobs: list[JobRecord]
    descriptions: dict[str, tuple[int, JobDescription]]


class ArchiveReader:
    """Reads one archive: `file` is a local one; files in it are stored in `blobs`; `limit_bytes` of what is in it (0: none)."""

    def __init__(self, file: Path, blobs: BlobFolder, limit_bytes: int = 0) -> None:
        self._file, self._blobs, self._limit = file, blobs, limit_bytes
        self._header: Header | None = None
        self._manifest: Manifest | None = None
        self._members: list[Member] = []
        self._fold, self._index = CheckedFold(), LogIndex()
        self._records: list[bytes] = []
        self._jobs: dict[str, JobRecord] = {}
        self._descriptions: dict[str, tuple[int, JobDescription]] = {}
        self._files: dict[str, int] = {}
        self._log_bytes = 0
        self.pins = set[str]()
        """The files in it, so far; nothing refers to them yet."""

    def read(self) -> Contents:
        """Return what is in it; raise `Refused` or `TooLarge` for what is not right, `NoSpace`."""
        with self._file.open("rb") as file:
            reader = MemberReader(file, self._file.stat().st_size, self._limit)
            for name, size, pieces in reader.members():
                self._take(name, size, pieces)
        header, manifest = self._header, self._manifest
        if header is None or manifest is None:
            raise refusal("its manifest is missing")
        self._compare(manifest)
        network = self._network(header)
        self._check_files(network, manifest)
        return Contents(header, manifest, network, self._records, list(self._jobs.values()), self._descriptions)

    def _take(self, name: str, size: int, pieces: Iterator[bytes]) -> None:
        if self._manifest is not None:
            raise refusal("something follows its manifest")
        if (self._header is None) != (name == HEADER):
            raise refusal("its header is not its first member")
        if name.startswith(FILES):
            self._take_file(name.removeprefix(FILES), size, pieces)
            return
        if size > MOST_SEGMENT_BYTES:
            raise refusal(f"{name} is larger than such members are")
        data = b"".join(pieces)
        if name == MANIFEST:
            self._manifest = _decoded(data, Manifest, name)
            return
        self._members.append(Member(name, size, hash_bytes(data)))
        if name == HEADER:
            self._take_header(_decoded(data, Header, name))
        elif name.startswith(LOG):
            self._take_log(name, data)
        elif name.startswith(JOBS):
            for line in data.splitlines():
                self._take_job(_decoded(line, JobRecord, name))

    def _take_header(self, header: Header) -> None:
        if header.format != FORMAT:
            raise refusal(
                f"its format is {header.format}, this server reads {FORMAT} (it was written by {header.version[:40]!r})"
            )
        self._header = header

    def _take_file(self, blob: str, size: int, pieces: Iterator[bytes]) -> None:
        self.pins.add(blob)
        try:
            self._blobs.put_stream(blob, pieces)
        except CorruptData:
            raise refusal(f"the file {blob[:16]}… in it is not what its name says") from None
        self._files[blob] = size

    def _take_log(self, name: str, data: bytes) -> None:
        if self._jobs or self._files:
            raise refusal("its log is not before its files")
        self._log_bytes += len(data)
        if self._log_bytes > MOST_LOG_BYTES:
            raise refusal("its log is larger than any that is written")
        for line in data.split(b"\n"):
            if not line:
                continue
            try:
                record = self._fold.fold(line)
                self._index.take(line)
            except CorruptData as error:
                raise refusal(str(error).rstrip(".")) from None
            self._records.append(line)
            for fact in record.facts:
                match fact:
                    case f.Begun(key=key, id=id, description=JobDescription() as description):
                        self._descriptions[key] = id, description
                    case f.Filed(key=key):
                        self._descriptions.pop(key, None)

    def _take_job(self, job: JobRecord) -> None:
        if job.key in self._jobs:
            raise refusal("two of its jobs have the same key")
        try:
            check_description(job.description)
        except CorruptData as error:
            raise refusal(f"job {job.id} cannot be: {error}") from None
        staged = [(one.name, msgspec.to_builtins(one.file)) for one in job.checkpoint]
        numbers = [row.attempt for row in job.attempts]
        if not all(is_inside(name) and is_file(file) for name, file in staged) or sorted(set(numbers)) != numbers:
            raise refusal(f"job {job.id} cannot be")
        if job.id < 1 or job.attempt < max(numbers, default=0):
            raise refusal(f"job {job.id} has no number")
        self._jobs[job.key] = job

    # --- the whole ---------------------------------------------------------------------------------------------------

    def _compare(self, manifest: Manifest) -> None:
        names = blake3()
        for blob in self._files:
            names.update(blob.encode() + b"\n")
        told = (tuple(self._members), len(self._files), sum(self._files.values()), names.hexdigest())
        if told != (manifest.members, manifest.files, manifest.files_bytes, manifest.files_hash):
            raise refusal("its members are not those that its manifest names")

    def _network(self, header: Header) -> Network:
        try:
            network = self._fold.end()
        except CorruptData as error:
            raise refusal(str(error).rstrip(".")) from None
        if (network.seq, network.head) != (header.seq, header.head):
            raise refusal(f"its log ends with record {network.seq}, not {header.seq} as its header says")
        return network

    def _check_files(self, network: Network, manifest: Manifest) -> None:
        gone = set(manifest.gone)
        holdings: list[Any] = [network_holds(network), self._index.holds(), job_holds(network, self._jobs.values())]
        for held in (one for holds in holdings for one in holds if one.is_kept):
            size = self._files.get(held.file.blob)
            if size is None and held.file.blob not in gone:
                raise refusal(f"the content of {held.file.name[:100]!r} is missing")
            if size is not None and size != held.file.size:
                raise refusal(f"the content of {held.file.name[:100]!r} has another size")


def _decoded(data: bytes, kind: type[S], name: str) -> S:
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, RecursionError):
        raise refusal(f"{name} cannot be read") from None
