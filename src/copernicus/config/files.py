"""Files that must be whole and private: atomic durable writes, and refusal of secrets that others can read."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from copernicus.errors import SettingsError

PRIVATE_FILE, PRIVATE_FOLDER = 0o600, 0o700


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` durable (fsync of the folder)."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_atomic(path: Path, data: bytes, mode: int = PRIVATE_FILE) -> None:
    """Put `data` at `path`, wholly or not at all, durable when it returns: temporary file beside it, fsync, rename, fsync.

    Raise `OSError` as the system gives it; then `path` is as it was.
    """
    temporary = path.with_name(f".{path.name}.{os.urandom(8).hex()}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    try:
        with open(descriptor, "wb") as file:
            os.fchmod(file.fileno(), mode)  # the umask may have taken bits away
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def make_private_folder(folder: Path, *, is_durable: bool = True) -> None:
    """Make `folder` (and what is missing above it) with mode 0700; one that is there keeps its mode.

    What is made survives a power cut, unless `is_durable` is false.
    """
    for missing in reversed([place for place in (folder, *folder.parents) if not place.exists()]):
        missing.mkdir(mode=PRIVATE_FOLDER, exist_ok=True)
        if is_durable:
            sync_folder(missing.parent)  # a synced file is lost all the same when the name of its folder is


def check_private(path: Path, what: str) -> None:
    """Raise `SettingsError` when others than the owner can use `path`, or when another user owns it."""
    status = path.stat()
    mode = stat.S_IMODE(status.st_mode)
    if mode & 0o077:
        raise SettingsError(f"{what} {path} can be used by others than its owner (mode {mode:04o}).", f"Run: chmod go= {path}")
    if status.st_uid not in (os.getuid(), 0):
        raise SettingsError(f"{what} {path} belongs to another user.", "Use a file of your own.")


def read_private(path: Path, what: str) -> bytes:
    """Return the bytes of a file with secrets; raise `SettingsError` when it is missing, unreadable or not private."""
    try:
        check_private(path, what)
        return path.read_bytes()
    except OSError as error:
        raise SettingsError(f"{what} {path} cannot be read: {error.strerror}.") from None
