"""Matching: a worker's free room and the queue in, assignments out."""

from __future__ import annotations

from collections.abc import Mapping
from heapq import heapify, heappop, heappush

import msgspec

from copernicus.server.scheduling.queue import Lane, Queue, Waiting, order
from copernicus.server.scheduling.shapes import Room, WorkerView, can_run, has_room


class Assignment(msgspec.Struct, frozen=True):
    """Give this job to the worker, with so many cores."""

    job: int
    cores: int


def match(queue: Queue, worker: WorkerView, most_jobs: int, running_cores: Mapping[str, int]) -> list[Assignment]:
    """Take up to `most_jobs` jobs for `worker` out of the queue, best first; costs O(jobs given), not O(queue).

    Order: priority, jobs with a checkpoint, the project with the fewest running cores (`running_cores` by project, and
    what is given here), age. A job gets as many cores as it can use, up to the worker's limit for one job.
    """
    taken = dict[str, int]()
    room, given = worker.room, list[Assignment]()

    def place(lane: Lane) -> tuple[tuple[int, bool, int, int], int, Lane] | None:
        first = lane.first()
        if first is None:
            return None
        project = lane.shape.project
        return order(first, running_cores.get(project, 0) + taken.get(project, 0)), id(lane), lane

    names = {executable.name for executable in worker.offer.executables}
    lanes = [lane for name in names for lane in queue.lanes(name) if can_run(lane.shape, worker)]
    heap = [placed for lane in lanes if (placed := place(lane)) is not None]
    heapify(heap)
    while heap and room.cores > 0 and len(given) < most_jobs:
        rank, _, lane = heappop(heap)
        if not has_room(lane.shape, room):
            continue
        now = place(lane)
        if now is None:
            continue
        if now[0] > rank:  # its project has been given something meanwhile
            heappush(heap, now)
            continue
        first = lane.first()
        if first is None:
            continue
        cores = _cores(first, worker, room)
        queue.remove(first.job)
        given.append(Assignment(first.job, cores))
        taken[lane.shape.project] = taken.get(lane.shape.project, 0) + cores
        room = _less(room, first, cores)
        if first.shape.is_alone:
            break
        following = place(lane)
        if following is not None:
            heappush(heap, following)
    return given


def _cores(waiting: Waiting, worker: WorkerView, room: Room) -> int:
    most = min(room.cores, worker.offer.cores, worker.offer.cores_per_job or room.cores)
    return most if waiting.cores_max is None else max(waiting.shape.cores_min, min(most, waiting.cores_max))


def _less(room: Room, waiting: Waiting, cores: int) -> Room:
    memory = None if room.memory_bytes is None else room.memory_bytes - waiting.shape.memory_bytes
    return Room(room.cores - cores, memory, room.gpus - waiting.shape.gpus, is_idle=False)
