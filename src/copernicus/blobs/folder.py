"""A folder of blobs by content hash: written once, seen only when whole and durable, checked whenever read."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from pathlib import Path

from copernicus.blobs.descriptors import open_regular, write_all
from copernicus.blobs.durable import disk_errors, sync_folder
from copernicus.blobs.hashing import CHUNK_BYTES, Hasher, checked_blob, hash_bytes
from copernicus.blobs.places import Places
from copernicus.blobs.upload import Upload, WrongOffset
from copernicus.errors import CorruptData, NoSpace, UnknownPath, UsageError
from copernicus.model.values import FileRef

__all__ = ["BlobFolder", "Upload", "WrongOffset"]

BLOB_MODE = 0o400
MOST_RUNNING_HASHES = 256


class BlobFolder:
    """Blobs under `root`: `ab/<hash>` when whole, `incoming/…` before that. Every method may be called from any thread.

    256 folders on one level are enough for tens of millions of blobs, and cost two folder fsyncs less per blob than
    two levels. Nothing is made before the first write. `is_durable=False` (a cache that can be filled again) leaves out
    every fsync. `reserve_bytes`: refuse with `NoSpace` what would leave less than this free.
    """

    def __init__(self, root: Path, *, is_durable: bool = True, reserve_bytes: int = 0) -> None:
        self.root = root
        self.is_durable = is_durable
        self.reserve_bytes = reserve_bytes
        self._incoming = root / "incoming"
        self._places = Places(root, is_durable)
        self._lock = threading.Lock()
        self._uploads: dict[str, Upload] = {}
        self._hashes: OrderedDict[str, Hasher] = OrderedDict()
        self._doomed: set[str] = set()
        self._young: set[str] = set()  # their names may not be on the disk yet: whoever counts on one stores it again

    # --- what is there ---

    def path(self, blob: str) -> Path:
        """Return where the whole blob lies or will lie; raise `UsageError` when `blob` is no hash."""
        return self.root / checked_blob(blob)[:2] / blob

    def has(self, blob: str) -> bool:
        """Return whether the whole blob is here, to stay."""
        return not self._is_passing(blob) and self.path(blob).exists()

    def size(self, blob: str) -> int:
        """Return the size of a whole blob in bytes; raise `UnknownPath`."""
        try:
            return self.path(blob).stat().st_size
        except FileNotFoundError:
            raise UnknownPath(f"There is no blob {blob}.", "Its content was deleted, or it never came.") from None

    def received(self, blob: str) -> int:
        """Return how many bytes are here: all of a whole blob, the received part of one that is on its way, or 0."""
        whole = [] if self._is_passing(blob) else [self.path(blob)]
        for path in (*whole, self._incoming / blob):
            try:
                return path.stat().st_size
            except FileNotFoundError:
                continue
        return 0

    # --- writing ---

    def put_bytes(self, data: bytes, name: str = "file") -> FileRef:
        """Store `data`, durable when it returns; raise `NoSpace`."""
        return self.put_many([(data, name)])[0]

    def put_many(self, items: Iterable[tuple[bytes, str]]) -> list[FileRef]:
        """Store several contents with one fsync for each touched folder; in the order given. Raise `NoSpace`."""
        references, touched = [], set[str]()
        for data, name in items:
            blob = hash_bytes(data)
            references.append(FileRef(blob, len(data), name))
            if blob not in touched and not self.has(blob):
                temporary = self._temporary(len(data))
                try:
                    # without a buffer: what stands in one is written by the close, after the fsync
                    with disk_errors("a file"), open(temporary, "xb", buffering=0) as file:
                        write_all(file.fileno(), data)
                        self._settle(file.fileno())
                    self._place(temporary, blob)
                finally:
                    temporary.unlink(missing_ok=True)
                touched.add(blob)
        self._sync(touched)
        return references

    def put_file(self, path: Path, name: str = "", *, is_moved: bool = False) -> FileRef:
        """Store the content of a regular file, hashed while it is copied; `name` defaults to its own.

        `is_moved` gives the file away: it is renamed where that is possible (same file system, no other hard link), and
        gone afterwards in any case. Links are not followed. Raise `UsageError` when it is no regular file, `NoSpace`.
        """
        name = name or path.name
        source = open_regular(path)
        with open(source, "rb", buffering=0) as file:
            status = os.fstat(source)
            if is_moved and status.st_nlink == 1 and self._is_same_file_system(status.st_dev):
                blob, size = self._adopt(path, file.fileno())
            else:
                blob, size = self._copy_in(file.fileno(), status.st_size)
                if is_moved:
                    path.unlink(missing_ok=True)
        return FileRef(blob, size, name)

    def put_stream(self, blob: str, chunks: Iterable[bytes]) -> int:
        """Store what `chunks` bring as `blob`, and return its size; raise `CorruptData` when its hash is another, `NoSpace`."""
        temporary, hasher = self._temporary(1), Hasher()
        try:
            with disk_errors("a file"), open(temporary, "xb", buffering=0) as file:
                for chunk in chunks:
                    hasher.update(chunk)
                    self._room_for(len(chunk))
                    write_all(file.fileno(), chunk)
                if hasher.hexdigest() != checked_blob(blob):
                    raise CorruptData(f"What came as blob {blob} hashes to {hasher.hexdigest()}.")
                if not self.has(blob):
                    self._settle(file.fileno())
            if not self.has(blob):
                self.commit(temporary, blob)
        finally:
            temporary.unlink(missing_ok=True)
        return hasher.count

    def upload(self, blob: str, size: int, offset: int) -> Upload:
        """Go on with a blob of `size` bytes from `offset`, which must equal `received(blob)`; raise `WrongOffset` if not.

        Another upload of the same blob that is still open loses its right to write: the newest comer may be the same
        sender after a cut that has not been noticed here yet.
        """
        checked_blob(blob)
        with self._lock:
            self._check_offset(blob, offset)
            before = self._uploads.pop(blob, None)
            if before is not None:
                before.supersede()
                self._check_offset(blob, offset)  # it may have written meanwhile
            received = self.received(blob)
            if received > size:
                self._forget(blob)
                raise WrongOffset(0)
            self._room_for(size - received)
            self._places.make(self._incoming)
            hasher = self._hashes.pop(blob, None)
            if hasher is None or hasher.count != received:
                hasher = Hasher() if received == 0 else None
            upload = Upload(self, self._incoming / blob, blob, size, received, hasher)
            self._uploads[blob] = upload
            return upload

    def append(self, blob: str, size: int, offset: int, chunks: Iterable[bytes]) -> int:
        """Write `chunks` to an upload (see `upload`) and return the bytes received so far; whole when that is `size`."""
        upload = self.upload(blob, size, offset)
        try:
            for chunk in chunks:
                upload.write(chunk)
            upload.finish()
        finally:
            upload.close()
        return upload.received

    # --- reading ---

    def stream(self, blob: str, offset: int = 0, chunk_bytes: int = CHUNK_BYTES) -> Iterator[bytes]:
        """Yield the bytes from `offset` on, hashing all of them; the last chunk is held back until the hash was right.

        Raise `UnknownPath` when the blob is not here, `CorruptData` in place of the last chunk when a bit has changed.
        """
        hasher = Hasher()
        try:
            file = open(self.path(blob), "rb", buffering=0)  # noqa: SIM115 - closed by the with below
        except FileNotFoundError:
            raise UnknownPath(f"There is no blob {blob}.", "Its content was deleted, or it never came.") from None
        with file:
            held = b""
            while chunk := file.read(chunk_bytes if hasher.count >= offset else min(chunk_bytes, offset - hasher.count)):
                hasher.update(chunk)
                if hasher.count > offset:
                    if held:
                        yield held
                    held = chunk
            if hasher.hexdigest() != blob:
                raise CorruptData(f"The stored blob {blob} has changed on disk.", "Restore it, or send the file again.")
            if held:
                yield held

    def read_bytes(self, blob: str) -> bytes:
        """Return all bytes of a (small) blob, checked; raise `UnknownPath`, `CorruptData`."""
        return b"".join(self.stream(blob))

    def verify(self, blob: str) -> None:
        """Read the whole blob; raise `UnknownPath` when it is not here, `CorruptData` when it is not what it was."""
        for _ in self.stream(blob):
            pass

    def link_into(self, file: FileRef, destination: Path, *, is_shared: bool = False) -> None:
        """Put the content at `destination`, which must not exist, checked on the way.

        It is a copy (mode 0644), because programs write to their inputs: appending to a checkpoint through a hard link
        would change the blob. `is_shared=True` makes a hard link (mode 0400) where the file system allows one: only
        for readers that are known not to write. Raise `UnknownPath`, `CorruptData`, `NoSpace`, `OSError`.
        """
        if is_shared:
            self.verify(file.blob)
            try:
                os.link(self.path(file.blob), destination, follow_symlinks=False)
                return
            except OSError:
                pass  # another file system, or none with links: a copy does as well
        try:
            with disk_errors(str(destination)), open(destination, "xb") as target:
                for chunk in self.stream(file.blob):
                    target.write(chunk)
        except BaseException as error:
            if not isinstance(error, FileExistsError):
                destination.unlink(missing_ok=True)
            raise

    # --- removing ---

    def remove(self, blob: str) -> None:
        """Remove a blob, whole or partial, if it is here."""
        with self._lock:
            self._forget(blob)
            self.path(blob).unlink(missing_ok=True)

    def doom(self, blobs: Iterable[str]) -> None:
        """From now on these blobs are not here for whoever asks, though they can still be read; one that is stored again is."""
        with self._lock:
            self._doomed.update(blobs)

    def spare(self, blobs: Iterable[str]) -> None:
        """Take `doom` back."""
        with self._lock:
            self._doomed.difference_update(blobs)

    def remove_doomed(self, blobs: Iterable[str]) -> int:
        """Remove those of the blobs that are doomed still; return how many bytes became free."""
        count = 0
        for blob in blobs:
            with self._lock:
                if blob in self._doomed:
                    path = self.path(blob)
                    count += path.stat().st_size if path.exists() else 0
                    path.unlink(missing_ok=True)
                    self._doomed.discard(blob)
        return count

    def renew(self, blob: str) -> None:
        """Somebody counts on this blob, though nothing may refer to it yet: it is as if it had come just now."""
        with contextlib.suppress(OSError):
            os.utime(self.path(blob))

    def entries(self) -> Iterator[tuple[str, int, float]]:
        """Yield hash, size and time (Unix) of each whole blob, in no order."""
        for blob in self.blobs():
            with contextlib.suppress(FileNotFoundError):
                status = self.path(blob).stat()
                yield blob, status.st_size, status.st_mtime

    def remove_stale(self, older_than: float) -> int:
        """Remove unfinished files last written before `older_than` (Unix time); return how many."""
        count = 0
        with self._lock:
            for path in self._incoming.iterdir() if self._incoming.is_dir() else ():
                if path.name not in self._uploads and path.stat().st_mtime < older_than:
                    self._hashes.pop(path.name, None)
                    path.unlink(missing_ok=True)
                    count += 1
        return count

    def blobs(self) -> Iterator[str]:
        """Yield the hashes of all whole blobs, in no order."""
        for folder in self.root.iterdir() if self.root.is_dir() else ():
            if len(folder.name) == 2:
                yield from (path.name for path in folder.iterdir())

    # --- for Upload ---

    def ended(self, upload: Upload, hasher: Hasher | None) -> None:
        """An upload gives up its turn; the hash so far is kept for the one that goes on."""
        with self._lock:
            if self._uploads.get(upload.blob) is upload:
                del self._uploads[upload.blob]
                if hasher is not None:
                    self._hashes[upload.blob] = hasher
                    while len(self._hashes) > MOST_RUNNING_HASHES:
                        self._hashes.popitem(last=False)

    def commit(self, temporary: Path, blob: str) -> None:
        """Make a verified and synced temporary file the blob."""
        self._place(temporary, blob)
        self._sync({blob})

    # --- inside ---

    def _check_offset(self, blob: str, offset: int) -> None:
        received = self.received(blob)
        if offset != received or self.has(blob):
            raise WrongOffset(received)

    def _temporary(self, size: int) -> Path:
        self._room_for(size)
        self._places.make(self._incoming)
        return self._incoming / f"tmp-{secrets.token_hex(12)}"

    def _room_for(self, size: int) -> None:
        if not self.reserve_bytes or not size:
            return
        place = next(path for path in (self.root, *self.root.parents) if path.exists())
        free = shutil.disk_usage(place).free
        if free - size < self.reserve_bytes:
            raise NoSpace(
                f"{size} bytes do not fit: {free} bytes are free, of which {self.reserve_bytes} are kept in reserve.",
                "Free some space; it is then tried again.",
            )

    def _settle(self, descriptor: int) -> None:
        os.fchmod(descriptor, BLOB_MODE)
        if self.is_durable:
            os.fsync(descriptor)

    def _place(self, temporary: Path, blob: str) -> None:
        target = self.path(blob)
        with disk_errors("a blob"):
            self._places.make(target.parent)
            with self._lock:
                self._doomed.discard(blob)
                self._young.add(blob)
                os.replace(temporary, target)

    def _sync(self, blobs: set[str]) -> None:
        if self.is_durable:
            for folder in {self.path(blob).parent for blob in blobs}:
                sync_folder(folder)
        with self._lock:
            self._young -= blobs

    def _is_passing(self, blob: str) -> bool:
        return blob in self._doomed or blob in self._young

    def _is_same_file_system(self, device: int) -> bool:
        self._places.make(self._incoming)
        return self._incoming.stat().st_dev == device

    def _adopt(self, path: Path, descriptor: int) -> tuple[str, int]:
        temporary = self._incoming / f"tmp-{secrets.token_hex(12)}"
        os.replace(path, temporary)  # first out of the way of those who know its name
        try:
            moved = temporary.lstat()
            if (moved.st_ino, moved.st_dev) != (os.fstat(descriptor).st_ino, os.fstat(descriptor).st_dev):
                raise UsageError(f"{path} was replaced while it was taken over.")
            hasher = Hasher()
            while chunk := os.read(descriptor, CHUNK_BYTES):
                hasher.update(chunk)
            blob = hasher.hexdigest()
            if not self.has(blob):
                with disk_errors(path.name):
                    self._settle(descriptor)
                self.commit(temporary, blob)
        finally:
            temporary.unlink(missing_ok=True)
        return blob, hasher.count

    def _copy_in(self, descriptor: int, size: int) -> tuple[str, int]:
        temporary = self._temporary(size)
        hasher = Hasher()
        try:
            with disk_errors("a file"), open(temporary, "xb", buffering=0) as file:
                while chunk := os.read(descriptor, CHUNK_BYTES):
                    hasher.update(chunk)
                    write_all(file.fileno(), chunk)
                blob = hasher.hexdigest()
                if not self.has(blob):
                    self._settle(file.fileno())
            if not self.has(blob):
                self.commit(temporary, blob)
        finally:
            temporary.unlink(missing_ok=True)
        return blob, hasher.count

    def _forget(self, blob: str) -> None:
        self._hashes.pop(blob, None)
        (self._incoming / checked_blob(blob)).unlink(missing_ok=True)
