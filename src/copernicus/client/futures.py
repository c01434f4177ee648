"""Futures of calls on workers, and the thread that sees them come true."""

from __future__ import annotations

import concurrent.futures
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from copernicus.client.waiting import POLL_S
from copernicus.errors import CopernicusError, NotAuthenticated, Unavailable
from copernicus.model.plain import from_text
from copernicus.wire import messages as m

if TYPE_CHECKING:
    from copernicus.client.project import Project

PAUSE_S, RETRY_S = 0.05, 2.0
WINDOW = 1000


class RemoteError(CopernicusError):
    """The function raised on the worker, or the job failed otherwise; the message ends with the last lines of its stderr."""

    code = "remote"


class BagFuture(concurrent.futures.Future[Any]):
    """The future of one call: `index` in its bag, at `path` in the project. Works with `wait` and `as_completed`."""

    def __init__(self, project: Project, bag: str, index: int) -> None:
        super().__init__()
        self.project, self.index = project, index
        self.path = f"{bag}:apply_{index}"

    def __repr__(self) -> str:
        return f"<BagFuture {self.path} {self._state.lower()}>"

    def running(self) -> bool:
        """Say whether a worker has it; the server is asked."""
        return not self.done() and self.project[self.path].row.job_state == "leased"

    def cancel(self) -> bool:
        """Take the call back, unless a worker has it already or it has ended; say whether it is taken back."""
        if self.done():
            return self.cancelled()
        if self.running():
            return False
        self.project.deactivate(self.path)
        return self.take_back()

    def take_back(self) -> bool:
        """Be cancelled here, and tell those who wait; the call has been taken back on the server."""
        is_cancelled = super().cancel()
        if is_cancelled:
            self.set_running_or_notify_cancel()
        return is_cancelled


class Watcher:
    """Follows one bag with a connection and a thread of its own, as long as there is something to wait for."""

    def __init__(self, project: Project, bag: str) -> None:
        self._project, self._bag = project, bag
        self._pending: dict[int, BagFuture] = {}
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def watch(self, futures: Sequence[BagFuture]) -> None:
        """Set the results of these futures when they come."""
        with self._lock:
            self._pending |= {future.index: future for future in futures}
            if self._pending and (self._thread is None or not self._thread.is_alive()):
                self._thread = threading.Thread(target=self._run, name=f"bag {self._bag}", daemon=True)
                self._thread.start()

    def forget(self) -> None:
        """Leave all futures as they are."""
        with self._lock:
            self._pending.clear()

    def stop(self) -> None:
        """End the thread, soon."""
        self._stopped.set()

    def _run(self) -> None:
        with self._project.client.again() as client:
            project, seq = client.project(self._project.name), 0
            while not self._stopped.is_set():
                try:
                    seq = project.changed(seq, POLL_S if seq else 0.0)
                    self._look(project)
                except (Unavailable, NotAuthenticated):
                    seq = 0
                    self._stopped.wait(RETRY_S)  # the server comes back, and the calls are still there
                except Exception as error:
                    self._give_up(error)
                with self._lock:
                    if not self._pending:
                        self._thread = None
                        return
                self._stopped.wait(PAUSE_S)

    def _look(self, project: Project) -> None:
        with self._lock:
            waiting = {index: future for index, future in self._pending.items() if not future.done()}
            self._pending = dict(waiting)
        if not waiting:
            return
        head = project.list_page(self._bag, limit=1)
        below = head.instances[0].below
        for start, rows in self._windows(project, f"{self._bag}:out.result", waiting):
            for index, row in enumerate(rows.places, start=start):
                if row.is_set and not row.is_stale and index in waiting and row.path.endswith(f"[{index}]"):
                    self._end(waiting[index], project.get_reply(row.path))
        if below.get("error") or below.get("held"):
            for _, rows in self._windows(project, self._bag, waiting):
                for child in rows.instances[1:]:
                    self._end_badly(child, waiting)

    def _windows(self, project: Project, path: str, waiting: dict[int, BagFuture]) -> list[tuple[int, m.ListReply]]:
        """Parts of a list around those that are waited for."""
        starts: list[int] = []
        for index in sorted(waiting):
            if not starts or index >= starts[-1] + WINDOW:
                starts.append(index)
        return [(start, project.list_page(path, offset=start, limit=WINDOW)) for start in starts]

    def _end(self, future: BagFuture, reply: m.GetReply) -> None:
        if isinstance(reply.value, str) and not reply.is_stale:
            self._settle(future, from_text(reply.value), None)

    def _end_badly(self, row: m.InstanceRow, waiting: dict[int, BagFuture]) -> None:
        index = int(row.path.rpartition("_")[2])
        future = waiting.get(index)
        if future is not None and row.state == "error":
            self._settle(future, None, RemoteError(f"{row.path}: {row.why}"))
        elif future is not None and row.state == "held" and row.why in ("", "held"):
            future.take_back()

    def _settle(self, future: BagFuture, value: Any, error: Exception | None) -> None:
        try:
            if error is None:
                future.set_result(value)
            else:
                future.set_exception(error)
        except concurrent.futures.InvalidStateError:
            pass  # cancelled at this moment

    def _give_up(self, error: Exception) -> None:
        with self._lock:
            pending, self._pending = self._pending, {}
        for future in pending.values():
            self._settle(future, None, error)
