"""The work folder of a slot: made for each job, used again only when the last job left nothing in it."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

from copernicus.worker.harvest import STREAMS


class WorkFolder:
    """A folder for one job at a time, below `root`, named after its slot."""

    def __init__(self, root: Path, slot: str) -> None:
        self._root = root
        self._slot = slot
        self._count = 0
        self._is_ready = False
        self.path = root / slot

    def prepare(self) -> Path:
        """Return the folder, with empty `stdout` and `stderr` and nothing else in it; raise `OSError`."""
        if not self._is_ready:
            # A new name each time: whatever still lives in the old folder cannot reach into this one.
            self._count += 1
            self.path = self._root / f"{self._slot}.{self._count}"
            self.path.mkdir(mode=0o700, parents=True)
            for name in STREAMS:
                os.close(os.open(self.path / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600))
        self._is_ready = False
        return self.path

    def clear(self, is_alone: bool) -> None:
        """Empty the folder after a job. `is_alone`: no process of the job is left, so it may be used again as it is."""
        self._is_ready = is_alone and self._is_untouched()
        if not self._is_ready:
            remove_tree(self.path)

    def remove(self) -> None:
        """Remove the folder for good."""
        self._is_ready = False
        remove_tree(self.path)

    def _is_untouched(self) -> bool:
        try:
            folder = str(self.path)
            if stat.S_IMODE(os.lstat(folder).st_mode) != 0o700 or sorted(os.listdir(folder)) != ["stderr", "stdout"]:
                return False
            for name in STREAMS:
                path = f"{folder}/{name}"
                status = os.lstat(path)
                if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1 or stat.S_IMODE(status.st_mode) != 0o600:
                    return False
                if status.st_size:
                    os.truncate(path, 0)
        except OSError:
            return False
        return True


def remove_tree(path: Path) -> None:
    """Remove a folder with all that is in it, also where its rights were taken away; what cannot be removed stays."""

    def unlock_and_retry(function: Callable[..., object], name: str, error: object) -> None:
        try:
            os.chmod(os.path.dirname(name), 0o700)
            if os.path.isdir(name) and not os.path.islink(name):
                os.chmod(name, 0o700)
                shutil.rmtree(name, ignore_errors=True)
            else:
                function(name)
        except OSError:
            return

    shutil.rmtree(path, onerror=unlock_and_retry)
