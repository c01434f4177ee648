"""Why a job waits: the nearest worker, and what it lacks."""

from __future__ import annotations

from collections.abc import Sequence

from copernicus.server.scheduling.queue import Waiting
from copernicus.server.scheduling.shapes import WorkerView, has_room, lacks


def explain(waiting: Waiting, workers: Sequence[WorkerView], ahead: int = 0) -> list[str]:
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
    free = [worker for worker in capable if has_room(shape, worker.room)]
    if free:
        return [f"It is given out at once: {_name(free[0])} has room for it."]
    nearest = max(capable, key=lambda worker: worker.room.cores)
    lines = [f"It waits for its turn: {ahead} before it." if ahead else "It is the next in turn."]
    lines.append(f"{len(capable)} of {len(workers)} workers can run it, none has room now.")
    if shape.is_alone:
        lines.append("Workers were lost with this job, so it waits for a worker that has nothing else to do.")
    else:
        cores = nearest.room.cores
        lines.append(f"Nearest is {_name(nearest)}: {cores} of {nearest.offer.cores} cores free, {shape.cores_min} needed.")
    return lines


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
