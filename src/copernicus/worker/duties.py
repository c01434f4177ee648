"""The threads of a worker: what each of them does must not end because something went wrong once."""

from __future__ import annotations

import threading
from collections.abc import Callable

PAUSE_S = 1.0


class Duties:
    """Makes threads whose work begins anew after an error that nobody expected, until `close`."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._over = threading.Event()

    def thread(self, name: str, work: Callable[[], None]) -> threading.Thread:
        """Return a thread (not started) that does `work` until that returns."""
        return threading.Thread(target=self._keep_on, args=(name, work), name=name, daemon=True)

    def close(self) -> None:
        """From now on a work that breaks off has ended."""
        self._over.set()

    def _keep_on(self, name: str, work: Callable[[], None]) -> None:
        while True:
            try:
                work()
                return
            except Exception as error:  # a full table of files, a disk that cannot be read: it may be better soon
                self._say(f"Something went wrong ({name}: {type(error).__name__}: {error}). The worker goes on.")
                if self._over.wait(PAUSE_S):
                    return
