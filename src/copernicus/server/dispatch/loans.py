"""What this server's workers can do for other servers, and what they hold for them: the rest is the room of peers'."""

from __future__ import annotations

from collections.abc import Callable, Container

import msgspec

from copernicus.model.jobs import LeasedJob, WorkerOffer
from copernicus.server.access.identity import Identity
from copernicus.server.dispatch.dispatch import Dispatch
from copernicus.server.dispatch.workers import Worker
from copernicus.wire import messages as m


class Loanable(msgspec.Struct, frozen=True):
    """A worker that may be lent: its offer with what this server and others leave of it. `is_idle`: it has no job at all."""

    offer: WorkerOffer
    is_idle: bool


class Loans:
    """The workers of one server as its room of peers sees them."""

    def __init__(self, dispatch: Dispatch) -> None:
        self._dispatch = dispatch

    def look(self, name: str, held: Container[int]) -> Loanable | None:
        """Return what a worker offers besides what it holds (the jobs `held` left out), or None when it is not to be lent.

        It is not while it gathers room for a job of this server, is reserved for one of its projects, or is in quarantine.
        """
        worker = self._dispatch.workers.get(name)
        offer = worker.offer if worker is not None else None
        if worker is None or offer is None or worker.is_lost or not self._is_free(worker, offer):
            return None
        others = [lease for number, lease in worker.leases.items() if number not in held]
        memory = offer.memory_bytes
        if memory is not None:
            memory = max(0, memory - sum(lease.memory_bytes for lease in others))
        gpus = max(0, offer.gpus - sum(lease.gpus for lease in others))
        view = self._dispatch.jobs.view(worker)
        left_s = view.room.time_left_s if view is not None else None
        devices = offer.gpu_devices if gpus == offer.gpus else ()  # which of them are left, only the worker knows
        left = msgspec.structs.replace(offer, memory_bytes=memory, gpus=gpus, gpu_devices=devices, time_left_s=left_s)
        return Loanable(left, is_idle=not worker.leases)

    def _is_free(self, worker: Worker, offer: WorkerOffer) -> bool:
        is_limited = worker.projects is not None and not offer.via
        view = self._dispatch.jobs.view(worker)
        return not (
            is_limited
            or offer.project is not None
            or view is None
            or view.quarantine
            or any(lease.is_alone for lease in worker.leases.values())
            or self._dispatch.jobs.queue.reservations.of_worker(worker.name) is not None
        )

    def hold(self, worker: str, number: int, lease: LeasedJob) -> None:
        """Note that a worker has a job of another server."""
        self._dispatch.workers.borrow(worker, number, lease)

    def release(self, worker: str, number: int) -> None:
        """Note that it has it no more."""
        found = self._dispatch.workers.get(worker)
        if found is not None:
            found.leases.pop(number, None)

    def when_waiting(self, action: Callable[[], None]) -> None:
        """Call `action` whenever a job begins to wait for a worker, too."""
        before = self._dispatch.jobs.when_queued

        def queued(executable: str) -> None:
            before(executable)
            action()

        self._dispatch.jobs.when_queued = queued

    def is_gone(self, worker: str) -> bool:
        """Whether a worker counts as lost, or is not known."""
        found = self._dispatch.workers.get(worker)
        return found is None or found.is_lost

    def wake(self, worker: str) -> None:
        """Answer what a worker waits for, with nothing."""
        self._dispatch.wake(worker)

    async def part(self, identity: Identity) -> None:
        """Somebody who spoke for workers does so no more: what they had goes back to the queue."""
        for worker in [worker for worker in self._dispatch.workers if worker.bundle == identity.key]:
            await self._dispatch.farewell(m.FarewellRequest(worker.name, "its server is trusted no more"), identity)
