"""Matching: a worker's free room and the queue in, assignments out."""

from __future__ import annotations

from collections.abc import Mapping
from heapq import heapify, heappop, heappush

import msgspec

from copernicus.server.scheduling.queue import Lane, Queue, Standing, Turn, Waiting
from copernicus.server.scheduling.reservations import Hold, Reservation, less, opens_s
from copernicus.server.scheduling.shapes import WorkerView, can_run, ends_in_time, has_room

Place = tuple[Turn, tuple[int, int], int]
"""A job's turn, the size of its lane (larger is smaller), its number."""


class Assignment(msgspec.Struct, frozen=True, gc=False):
    """Give this job to the worker, with so many cores."""

    job: int
    cores: int


def match(queue: Queue, worker: WorkerView, most_jobs: int, running_cores: Mapping[str, int]) -> list[Assignment]:
    """Take up to `most_jobs` jobs for `worker` out of the queue; costs O(jobs given + shapes that wait), not O(queue).

    The order is the queue's (see there); `running_cores` are those of each project, to which comes what is given here.
    Where it leaves a choice, the largest that fits goes first. A job gets as many cores as it can use, up to the worker's
    limit for one job. A job whose turn it is, and that finds too little room, has the worker gather room for it.
    """
    return _Round(queue, worker, running_cores).give(most_jobs)


class _Round:
    """One batch for one worker."""

    def __init__(self, queue: Queue, worker: WorkerView, running_cores: Mapping[str, int]) -> None:
        self._queue, self._worker, self._running = queue, worker, running_cores
        self._name, self._room = worker.offer.worker, worker.room
        self._taken: dict[str, int] = {}
        self._given: list[Assignment] = []
        self._moment = queue.moment(running_cores)
        self._hold = self._standing_hold()
        self._crowded: tuple[Standing, Waiting] | None = None
        """Of the jobs that found too little room, the one that goes first."""

    def give(self, most_jobs: int) -> list[Assignment]:
        names = {executable.name for executable in self._worker.offer.executables}
        lanes = [lane for name in names for lane in self._queue.lanes(name) if lane.suits(self._worker)]
        self._give_reserved(lanes)
        heap = self._fitting(lanes)
        while heap and self._room.cores > 0 and len(self._given) < most_jobs:
            place, _, lane = heappop(heap)
            first = lane.first()
            if first is None:
                continue
            now = self._place(lane, first)
            if now > place:  # its project has been given something meanwhile
                heappush(heap, (now, id(lane), lane))
                continue
            cores = self._cores(first)
            if cores and self._reserve_before(lane, first):
                cores = self._cores(first)
            if not cores:
                self._find_crowded(lane, first)
                continue
            self._take(lane.nearest(self._worker.blobs), cores)
            if lane.shape.is_alone:
                break
            if (following := lane.first()) is not None:
                heappush(heap, (self._place(lane, following), id(lane), lane))
        if not heap and self._room.cores > 0 and self._crowded is not None:
            self._reserve(self._crowded[1])
        return self._given

    def _fitting(self, lanes: list[Lane]) -> list[tuple[Place, int, Lane]]:
        """The heap of lanes whose first job could be given now."""
        heap = []
        for lane in lanes:
            if (first := lane.first()) is not None:
                if not has_room(lane.shape, self._room):
                    self._find_crowded(lane, first)
                elif self._hold is None or self._cores(first):
                    heap.append((self._place(lane, first), id(lane), lane))
        heapify(heap)
        return heap

    def _place(self, lane: Lane, first: Waiting) -> Place:
        """Where the lane's first job stands: its turn, then size, so that the largest is packed first, then age."""
        turn, number = self._standing(lane, first)
        return turn, lane.size, number

    def _standing(self, lane: Lane, first: Waiting) -> Standing:
        project = lane.shape.project
        running = self._running.get(project, 0) + self._taken.get(project, 0)
        return self._queue.standing(lane, first, running, self._moment)

    def _cores(self, first: Waiting) -> int:
        """How many cores the job would be given now, 0: none."""
        shape = first.shape
        if not has_room(shape, self._room):
            return 0
        offer, free = self._worker.offer, self._room.cores
        most = min(free, offer.cores, offer.cores_per_job or free)
        if first.cores_max is not None:
            most = max(shape.cores_min, min(most, first.cores_max))
        hold = self._hold
        if hold is None or hold.job == first.job or self._queue.priority(first) > hold.priority or hold.lets_pass(shape):
            return most
        return min(most, hold.spare.cores) if hold.has_spare(shape) else 0

    def _take(self, waiting: Waiting, cores: int) -> None:
        shape, hold = waiting.shape, self._hold
        self._queue.give(waiting, cores)
        self._given.append(Assignment(waiting.job, cores))
        self._taken[shape.project] = self._taken.get(shape.project, 0) + cores
        self._room = less(self._room, cores, shape)
        if hold is not None and hold.job == waiting.job:
            self._hold = None
        elif hold is not None and not hold.lets_pass(shape):
            hold.take(cores, shape)

    # --- reservations

    def _standing_hold(self) -> Hold | None:
        reservation = self._queue.reservations.of_worker(self._name)
        if reservation is None:
            return None
        if not can_run(reservation.shape, self._worker):
            self._queue.reservations.release_worker(self._name)
            return None
        return Hold(reservation, self._worker)

    def _give_reserved(self, lanes: list[Lane]) -> None:
        """Give the reserved job if it has room now, before all but jobs of higher priority."""
        hold = self._hold
        if hold is None or not has_room(hold.shape, self._room):
            return
        waiting = self._queue.get(hold.job)
        firsts = [first for lane in lanes if (first := lane.first())]
        if waiting is not None and not any(self._queue.priority(first) > hold.priority for first in firsts):
            self._take(waiting, self._cores(waiting))
            if waiting.shape.is_alone:
                self._room = less(self._room, self._room.cores, waiting.shape)

    def _find_crowded(self, lane: Lane, first: Waiting) -> None:
        if self._hold is not None or self._queue.reservations.of_job(first.job):
            return
        standing = self._standing(lane, first)
        if self._crowded is None or standing < self._crowded[0]:
            self._crowded = standing, first

    def _reserve_before(self, lane: Lane, first: Waiting) -> bool:
        """Reserve for a job that found no room, if its turn is before that of `first`; return whether it was."""
        if self._crowded is None or self._crowded[0] > self._standing(lane, first):
            return False
        return self._reserve(self._crowded[1])

    def _reserve(self, waiting: Waiting) -> bool:
        """Let the worker gather room for a job, unless it would come too late there."""
        self._crowded = None
        left_s, at_s = self._worker.room.time_left_s, opens_s(waiting.shape, self._worker)
        if left_s is not None and at_s is not None and not ends_in_time(waiting.shape, left_s - at_s):
            return False
        elders = frozenset(self._worker.leases) | {assignment.job for assignment in self._given}
        reservation = Reservation(waiting.job, waiting.shape, self._queue.priority(waiting), elders)
        self._queue.reservations.add(self._name, reservation)
        self._hold = Hold(reservation, self._worker)
        return True
