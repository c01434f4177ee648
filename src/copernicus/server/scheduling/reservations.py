"""Reservations: a job that is too wide for what is free gathers cores on one worker; others pass where they do no harm."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec
from msgspec.structs import replace

from copernicus.server.scheduling.shapes import Held, Room, Shape, WorkerView, has_room


class Reservation(msgspec.Struct, frozen=True):
    """A worker gathers room for this job. `elders`: the jobs that the worker had when it began to; they hold the job up."""

    job: int
    shape: Shape
    priority: int
    elders: frozenset[int]


class Reservations:
    """All reservations: a worker has one at most, and a job as well. `when_released` is called with the worker's id."""

    def __init__(self) -> None:
        self.when_released: Callable[[str], None] = lambda worker: None
        self._by_worker: dict[str, Reservation] = {}
        self._by_job: dict[int, str] = {}

    def __len__(self) -> int:
        return len(self._by_worker)

    def add(self, worker: str, reservation: Reservation) -> None:
        """Let `worker` gather room for a job; neither has a reservation yet."""
        self._by_worker[worker] = reservation
        self._by_job[reservation.job] = worker

    def of_worker(self, worker: str) -> Reservation | None:
        """What a worker gathers room for, or None."""
        return self._by_worker.get(worker)

    def jobs(self) -> list[int]:
        """The jobs that have a reservation."""
        return list(self._by_job)

    def of_job(self, job: int) -> str:
        """Which worker gathers room for a job, "" when none does."""
        return self._by_job.get(job, "")

    def rank(self, job: int, priority: int) -> None:
        """The job has this priority now; nothing happens when nobody gathers room for it."""
        if worker := self._by_job.get(job, ""):
            self._by_worker[worker] = replace(self._by_worker[worker], priority=priority)

    def release_worker(self, worker: str) -> None:
        """The worker gathers no more: it has gone, or cannot run the job any longer."""
        reservation = self._by_worker.pop(worker, None)
        if reservation is not None:
            del self._by_job[reservation.job]
            self.when_released(worker)

    def release_job(self, job: int) -> None:
        """The job waits no more."""
        if worker := self._by_job.get(job, ""):
            self.release_worker(worker)


class Hold:
    """What a reservation leaves to other jobs on its worker, while one batch is given.

    A job may pass when it will have ended before the reserved one can begin; or when the worker has room for the reserved
    job, for all that was begun after the reservation, and for this one as well. So the reserved job begins as soon as
    those that ran when it was reserved have ended, at the latest.
    """

    def __init__(self, reservation: Reservation, worker: WorkerView) -> None:
        self.job, self.priority, self.shape = reservation.job, reservation.priority, reservation.shape
        self.opens_s = opens_s(reservation.shape, worker)
        self.spare = _spare(reservation, worker)

    def lets_pass(self, shape: Shape) -> bool:
        """Say whether a job of this shape will have ended before the reserved one can begin."""
        return shape.wall_time_s is not None and self.opens_s is not None and shape.wall_time_s <= self.opens_s

    def has_spare(self, shape: Shape) -> bool:
        """Say whether a job of this shape goes beside the reserved one."""
        return has_room(shape, self.spare)

    def take(self, cores: int, shape: Shape) -> None:
        """A job was begun that may go on beside the reserved one."""
        self.spare = less(self.spare, cores, shape)


def less(room: Room, cores: int, shape: Shape) -> Room:
    """What is left of `room` when a job of this shape is given so many cores of it."""
    memory = None if room.memory_bytes is None else room.memory_bytes - shape.memory_bytes
    gpus, left_s = room.gpus - shape.gpus, room.time_left_s
    return Room(room.cores - cores, memory, gpus, is_idle=False, time_left_s=left_s, gpu_names=room.gpu_names)


def opens_s(shape: Shape, worker: WorkerView) -> float | None:
    """In how many seconds the worker has room for a job of this shape at the latest; None: nobody knows."""
    room = worker.room
    ends = sorted((lease.ends_at, number) for number, lease in worker.leases.items() if lease.ends_at is not None)
    for left, (ends_at, number) in zip(range(len(worker.leases) - 1, -1, -1), ends, strict=False):
        room = _more(room, worker.leases[number], is_idle=left == 0)
        if has_room(shape, room):
            return max(0.0, ends_at - worker.now_s)
    return None


def _more(room: Room, lease: Held, *, is_idle: bool) -> Room:
    memory = None if room.memory_bytes is None else room.memory_bytes + lease.memory_bytes
    return Room(room.cores + lease.cores, memory, room.gpus + lease.gpus, is_idle, gpu_names=room.gpu_names)


def _spare(reservation: Reservation, worker: WorkerView) -> Room:
    """What the whole worker has beyond the reserved job and all that was begun since."""
    shape, offer = reservation.shape, worker.offer
    if shape.is_alone:
        return Room(0)
    young: Mapping[int, Held] = {job: held for job, held in worker.leases.items() if job not in reservation.elders}
    memory = None
    if offer.memory_bytes is not None:
        memory = offer.memory_bytes - shape.memory_bytes - sum(held.memory_bytes for held in young.values())
    return Room(
        offer.cores - shape.cores_min - sum(held.cores for held in young.values()),
        memory,
        offer.gpus - shape.gpus - sum(held.gpus for held in young.values()),
        is_idle=False,
        gpu_names=worker.room.gpu_names,
    )
