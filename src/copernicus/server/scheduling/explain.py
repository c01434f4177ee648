"""Why a job waits: the nearest worker, and what it lacks."""

from __future__ import annotations

from collections.abc import Sequence

from copernicus.model.counts import counted
from copernicus.server.scheduling.queue import Waiting
from copernicus.server.scheduling.reservations import Reservations
from copernicus.server.scheduling.shapes import WorkerView, has_room, lacks, lacks_now

_NONE = Reservations()


def explain(waiting: Waiting, workers: Sequence[WorkerView], ahead: int = 0, reservations: Reservations = _NONE) -> list[str]:
    """Return lines for a person, most important first. `ahead`: how many jobs come before this one."""
    shape = waiting.shape
    if not workers:
        return ["No worker is connected.", "Start one: cpc-worker -c client.cnx smp"]
    judged = sorted(((list(lacks(shape, worker)), worker) for worker in workers), key=lambda item: _distance(waiting, *item))
    capable = [worker for lack, worker in judged if not lack]
    if not capable:
        lack, nearest = judged[0]
        count = "The only worker that is connected" if len(workers) == 1 else f"None of {len(workers)} workers"
        lines = [f"{count} {'cannot' if len(workers) == 1 else 'can'} run {shape.executable}{_wanted(waiting)}."]
        lines.append(f"Nearest is {_name(nearest)}: {'; '.join(lack)}.")
        return lines
    return _turn(waiting, workers, capable, ahead, reservations)


def _turn(
    waiting: Waiting, workers: Sequence[WorkerView], capable: Sequence[WorkerView], ahead: int, reservations: Reservations
) -> list[str]:
    """Why it has not been given to one of the workers that can run it."""
    shape = waiting.shape
    others = {worker.offer.worker: _reserved_for(worker, waiting, reservations) for worker in capable}
    free = [worker for worker in capable if has_room(shape, worker.room)]
    open_to_all = [worker for worker in free if not others[worker.offer.worker]]
    if open_to_all:
        return [f"It is given out at once: {_name(open_to_all[0])} has room for it."]
    lines = [f"It waits for its turn: {ahead} before it." if ahead else "It is the next in turn."]
    if free:
        job = others[free[0].offer.worker]
        lines.append(f"{len(capable)} of {counted(len(workers), 'worker')} can run it, none has room that is not reserved.")
        lines.append(f"Nearest is {_name(free[0])}: what it has free is reserved for job {job}, which needs more.")
        return lines
    lines.append(f"{len(capable)} of {counted(len(workers), 'worker')} can run it, none has room now.")
    gathering = reservations.of_job(waiting.job)
    nearest = max(capable, key=lambda worker: (worker.offer.worker == gathering, worker.room.cores))
    if shape.is_alone:
        lines.append("Workers were lost with this job, so it waits for a worker that has nothing else to do.")
    else:
        lines.append(f"Nearest is {_name(nearest)}: {'; '.join(lacks_now(shape, nearest))}.")
    if gathering:
        lines.append(f"Worker {gathering} is reserved for it: what ends there is not given to others that would delay it.")
    elif job := others[nearest.offer.worker]:
        lines.append(f"That worker is reserved for job {job}.")
    return lines


def _reserved_for(worker: WorkerView, waiting: Waiting, reservations: Reservations) -> int:
    """The other job, of no lower priority, that a worker gathers room for; 0: none."""
    reservation = reservations.of_worker(worker.offer.worker)
    if reservation is None or reservation.job == waiting.job or waiting.priority > reservation.priority:
        return 0
    return reservation.job


def _distance(waiting: Waiting, lack: list[str], worker: WorkerView) -> tuple[bool, int]:
    """A worker without the program is farther away than one that has it and lacks something else."""
    return all(executable.name != waiting.shape.executable for executable in worker.offer.executables), len(lack)


def _name(worker: WorkerView) -> str:
    return f"worker {worker.offer.worker} on {worker.offer.hostname}"


def _wanted(waiting: Waiting) -> str:
    shape = waiting.shape
    wishes = [shape.versions, f"{shape.cores_min} cores" if shape.cores_min > 1 else ""]
    text = ", ".join(wish for wish in wishes if wish)
    return f" ({text})" if text else ""
