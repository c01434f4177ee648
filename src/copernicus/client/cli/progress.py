"""A progress bar on stderr, on terminals only, and only for files that take a while."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from copernicus.terminal import is_terminal

WORTH_A_BAR_BYTES = 8 * 1024 * 1024


@contextmanager
def bar(title: str) -> Iterator[Callable[[int, int], None] | None]:
    """Give a function to be told (bytes done, bytes in all), or None when nobody looks."""
    if not is_terminal(sys.stderr):
        yield None
        return
    drawing = _Drawing(title)
    try:
        yield drawing.told
    finally:
        drawing.end()


class _Drawing:
    """Draws from the first word about a large file on; rich is imported only then."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._update: Callable[[int], None] | None = None
        self._stop: Callable[[], None] | None = None

    def told(self, done: int, total: int) -> None:
        if total < WORTH_A_BAR_BYTES:
            return
        if self._update is None:
            self._begin(total)
        if self._update is not None:
            self._update(done)

    def end(self) -> None:
        if self._stop is not None:
            self._stop()

    def _begin(self, total: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

        progress = Progress(
            "{task.description}", BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn(),
            console=Console(stderr=True), transient=True,
        )  # fmt: skip
        task = progress.add_task(self._title, total=total)
        progress.start()
        self._update = lambda done: progress.update(task, completed=done)
        self._stop = progress.stop
