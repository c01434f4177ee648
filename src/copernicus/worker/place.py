"""Where a worker keeps its files: a folder of its own, locked while it lives; what dead workers left beside it."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from copernicus.config.places import host_name
from copernicus.errors import SettingsError
from copernicus.worker.folder import remove_tree

PREFIX = "cpc-worker-"


class Place:
    """A worker's own folder `cpc-worker-<host>-<pid>`, in the present folder or in the one that was given (-wd).

    A given folder is made if it is missing, and never removed; the worker's own one is removed by `remove`.
    """

    def __init__(self, given: Path | None = None) -> None:
        self.parent = (given or Path.cwd()).absolute()
        self.path = self.parent / f"{PREFIX}{host_name()}-{os.getpid()}"
        try:
            self.parent.mkdir(parents=True, exist_ok=True)
            self.path = _made(self.path)
            self._lock = _locked(self.path)
        except OSError as error:
            raise SettingsError(
                f"The folder {self.path} cannot be made: {error.strerror}.", "Give another work folder with -wd DIR."
            ) from None

    @property
    def jobs(self) -> Path:
        """Work folders of jobs."""
        return self.path / "jobs"

    @property
    def blobs(self) -> Path:
        """Input files, and result files that wait for the server."""
        return self.path / "blobs"

    @property
    def spool(self) -> Path:
        """Results that wait for the server."""
        return self.path / "spool"

    @property
    def copies(self) -> Path:
        """Files of running jobs, while they are copied."""
        return self.path / "copies"

    def left_behind(self) -> Iterator[Place]:
        """Yield the places of workers of this host that have died, beside this one; they are locked meanwhile."""
        for path in sorted(self.parent.glob(f"{PREFIX}{host_name()}-*")):
            if path != self.path and path.is_dir():
                other = Place.__new__(Place)
                other.parent, other.path = self.parent, path
                lock = _locked(path)
                if lock is not None:
                    other._lock = lock
                    yield other

    def clear(self) -> None:
        """Remove the jobs' work folders."""
        remove_tree(self.jobs)
        remove_tree(self.copies)

    def remove(self) -> None:
        """Remove the worker's own folder and let go of the lock."""
        remove_tree(self.path)
        self.unlock()

    def unlock(self) -> None:
        """Let go of the lock; the folder stays."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def _made(path: Path) -> Path:
    """Make the folder; where a dead worker had the same number (in containers all do), under the next free name."""
    for number in range(2, 10_000):
        try:
            path.mkdir(mode=0o700)
            return path
        except FileExistsError:
            path = path.with_name(f"{path.name.split('+')[0]}+{number}")
    raise OSError(errno.EEXIST, "there are too many already", str(path))


def _locked(path: Path) -> int | None:
    """Lock a place; None when its worker lives. The lock ends with the process, however it ends."""
    try:
        descriptor = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor
