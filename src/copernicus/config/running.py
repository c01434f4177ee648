"""Which process serves a folder: the lock that keeps a second one out, and who holds it."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from pathlib import Path

import msgspec
import psutil

from copernicus.config.files import make_private_folder
from copernicus.errors import SettingsError

LOCK_NAME = "server.lock"


class Holder(msgspec.Struct, frozen=True):
    """The process that holds a lock; `started_at` (Unix time) tells it from a later one with the same number."""

    pid: int
    started_at: float

    def process(self) -> psutil.Process | None:
        """Return the process, None when it is not there any more; never another one that got its number."""
        try:
            process = psutil.Process(self.pid)
            return process if abs(process.create_time() - self.started_at) < 1.0 else None
        except psutil.NoSuchProcess:
            return None


class FolderLock:
    """The right to serve `folder`, held as long as this process lives (or until `release`); a crash gives it back.

    It is a POSIX record lock: forked children do not inherit it, so that one which survives the server cannot keep the
    next server out. This process must not open the lock file elsewhere: closing it would give the lock up.
    Making one raises `SettingsError` when another process has the lock or the folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self._descriptor = -1
        try:
            make_private_folder(folder)
            self._descriptor = os.open(folder / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            self._take(folder)
        except OSError as error:
            self.release()
            raise SettingsError(f"The folder {folder} cannot be used: {error.strerror}.") from None
        own = Holder(os.getpid(), psutil.Process().create_time())
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, msgspec.json.encode(own), 0)

    def _take(self, folder: Path) -> None:
        for _ in range(20):
            try:
                fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except (BlockingIOError, PermissionError):
                other = holder(folder, self._descriptor)
                if other is not None:
                    self.release()
                    raise SettingsError(
                        f"A server (process {other.pid}) is using {folder} already.", "Stop it first: cpc-server stop"
                    ) from None
                time.sleep(0.05)  # somebody who only asked who holds it
        raise BlockingIOError(errno.EAGAIN, "somebody keeps locking it")

    def release(self) -> None:
        """Give the lock back."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def holder(folder: Path, descriptor: int | None = None) -> Holder | None:
    """Return the process that serves `folder`, None when nobody does. Not for the process that holds the lock itself.

    `descriptor` is the lock file, where the caller has it open already.
    """
    if descriptor is not None:
        return _holder(descriptor)
    try:
        descriptor = os.open(folder / LOCK_NAME, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SettingsError(f"{folder / LOCK_NAME} cannot be read: {error.strerror}.") from None
    try:
        return _holder(descriptor)
    finally:
        os.close(descriptor)


def _holder(descriptor: int) -> Holder | None:
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        fcntl.lockf(descriptor, fcntl.LOCK_UN)
        return None
    except (BlockingIOError, PermissionError):
        try:
            return msgspec.json.decode(os.pread(descriptor, 4096, 0), type=Holder)
        except msgspec.DecodeError:
            return Holder(0, 0.0)  # it has the lock and is about to write its number
