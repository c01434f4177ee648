"""The folders in which blobs lie: made when needed, their own names durable before anything in them counts."""

from __future__ import annotations

import threading
from pathlib import Path

from copernicus.blobs.durable import sync_folder
from copernicus.config.files import make_private_folder


class Places:
    """Makes `root` and the folders right below it (mode 0700). `is_durable=False` leaves out every fsync."""

    def __init__(self, root: Path, is_durable: bool) -> None:
        self._root, self._is_durable = root, is_durable
        self._made: set[Path] = set()
        self._lock = threading.Lock()

    def make(self, folder: Path) -> None:
        """See to it that `folder` is there to stay; raise `OSError`.

        The first time, one that stands is synced as well: whoever made it may have been killed before that. Who comes
        second waits until that is done.
        """
        with self._lock:
            if folder in self._made and folder.exists():
                return
            make_private_folder(folder, is_durable=self._is_durable)
            if self._is_durable:
                if not self._made:
                    sync_folder(self._root.parent)
                sync_folder(self._root)
            self._made.add(folder)
