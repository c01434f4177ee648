"""What a waiting job asks for, what a worker has free, and whether the two go together."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping
from functools import lru_cache
from typing import Protocol

import msgspec

from copernicus.errors import UsageError
from copernicus.model.counts import gigabytes
from copernicus.model.gpus import count_of_kind, describe_gpus, is_of_kind
from copernicus.model.jobs import WorkerOffer
from copernicus.model.versions import is_in_range


class Shape(msgspec.Struct, frozen=True, gc=False):
    """All that decides where a job can run; jobs of one shape are alike to every worker.

    `project` is the project's id. `is_alone`: workers have died with this job, so it gets a worker to itself. `avoids`: the
    hosts where that was, which get it again only while no other can run it.
    `wall_time_s` is how long it takes at most, None: not known. `can_stop`: it checkpoints, so that it may be begun where
    it cannot end. `gpu_kind` is a part of the name of the GPUs that it needs, "" any.
    """

    project: str
    executable: str
    versions: str = ""
    cores_min: int = 1
    memory_bytes: int = 0
    gpus: int = 0
    is_alone: bool = False
    wall_time_s: float | None = None
    can_stop: bool = False
    avoids: tuple[str, ...] = ()
    gpu_kind: str = ""


class Room(msgspec.Struct, frozen=True, gc=False):
    """What a worker has free now. `is_idle`: it has no job at all.

    `memory_bytes` and `time_left_s` None: not known, so not a limit. `gpu_names` are those of all GPUs of the worker: where
    they are of several kinds, those that are free may be of any.
    """

    cores: int
    memory_bytes: int | None = None
    gpus: int = 0
    is_idle: bool = True
    time_left_s: float | None = None
    gpu_names: tuple[str, ...] = ()

    def gpus_of_kind(self, kind: str) -> int:
        """How many GPUs of a kind are free for certain."""
        return self.gpus - (len(self.gpu_names) - count_of_kind(self.gpu_names, kind)) if kind else self.gpus


class Held(Protocol):
    """What one job holds of a worker. `ends_at` is by when it will have ended, None: not known."""

    cores: int
    memory_bytes: int
    gpus: int
    ends_at: float | None


_NOTHING: dict[int, Held] = {}


def _nowhere(shape: Shape) -> bool:
    return False


class WorkerView(msgspec.Struct, frozen=True):
    """A worker as matching sees it, with the ids of the projects that it may serve (None: all).

    `leases` is what its jobs hold, by job; their ends are on the clock that says `now_s`. `blobs` are the files that it
    has, as far as the server knows. `quarantine` is why its host gets no jobs ("": it does). `is_able_elsewhere` says whether
    a worker on a host that the shape does not avoid can run it.
    """

    offer: WorkerOffer
    room: Room
    projects: frozenset[str] | None = None
    leases: Mapping[int, Held] = _NOTHING
    now_s: float = 0.0
    blobs: Container[str] = frozenset()
    quarantine: str = ""
    is_able_elsewhere: Callable[[Shape], bool] = _nowhere


@lru_cache(maxsize=4096)
def _admits(version: str, wanted: str) -> bool:
    try:
        return is_in_range(version, wanted)
    except UsageError:
        return False


def can_run(shape: Shape, worker: WorkerView) -> bool:
    """Say whether `worker`, when it has nothing else to do, can run jobs of this shape."""
    return may_run_now(shape, worker) and is_able(shape, worker.offer)


def is_able(shape: Shape, offer: WorkerOffer) -> bool:
    """Say whether what a worker offers is enough for jobs of this shape; whose they are and its time are another question."""
    return next(_lacks_means(shape, offer), None) is None


def may_run_now(shape: Shape, worker: WorkerView) -> bool:
    """Say whether a worker that has the means may run jobs of this project, and has time enough left for them."""
    is_covered = worker.projects is None or shape.project in worker.projects
    is_welcome = not worker.quarantine and not is_avoided(shape, worker)
    return is_covered and is_welcome and ends_in_time(shape, worker.room.time_left_s)


def is_avoided(shape: Shape, worker: WorkerView) -> bool:
    """Say whether jobs of this shape, which came to grief on the worker's host, are to be tried on another one first."""
    return worker.offer.hostname in shape.avoids and worker.is_able_elsewhere(shape)


def lacks(shape: Shape, worker: WorkerView) -> Iterator[str]:
    """Yield in words what `worker` lacks to run jobs of this shape at all, whatever it does now."""
    offer = worker.offer
    if worker.projects is not None and shape.project not in worker.projects:
        yield f"it works for project {offer.project} only" if offer.project else "its bundle does not cover the project"
    yield from _lacks_means(shape, offer)
    if worker.quarantine:
        yield f"it is in quarantine because {worker.quarantine} (cpcc quarantine release {offer.hostname})"
    elif is_avoided(shape, worker):
        yield "a worker on this host was lost with it or could not do it, so it is tried on another host"
    if shape.wall_time_s is not None and not ends_in_time(shape, worker.room.time_left_s):
        left_s = worker.room.time_left_s or 0.0
        yield f"it would not end in the time left: {left_s:.0f} s, needed: {shape.wall_time_s:.0f} s"


def _lacks_means(shape: Shape, offer: WorkerOffer) -> Iterator[str]:
    if lack := _lacks_executable(shape, offer):
        yield lack
    most = min(offer.cores, offer.cores_per_job or offer.cores)
    if shape.cores_min > most:
        yield f"it gives {_count(most, 'core')} to a job, needed: {shape.cores_min}"
    if offer.memory_bytes is not None and shape.memory_bytes > offer.memory_bytes:
        yield f"it has {gigabytes(offer.memory_bytes)} of memory, needed: {gigabytes(shape.memory_bytes)}"
    if shape.gpus > offer.gpus:
        yield f"it has {_count(offer.gpus, 'GPU')}, needed: {shape.gpus}{_of_kind(shape)}"
    elif shape.gpus > gpus_of_kind(offer, shape.gpu_kind):
        has = describe_gpus(offer.gpu_devices) or f"{_count(offer.gpus, 'GPU')}, of which it says no name"
        yield f"it has {has}, needed: {shape.gpus}{_of_kind(shape)}"


def ends_in_time(shape: Shape, left_s: float | None) -> bool:
    """Say whether a job of this shape ends within `left_s` seconds, or may be begun though it does not."""
    return left_s is None or shape.wall_time_s is None or shape.can_stop or shape.wall_time_s <= left_s


def has_room(shape: Shape, room: Room) -> bool:
    """Say whether what is free now is enough for one job of this shape."""
    return (
        shape.cores_min <= room.cores
        and (room.memory_bytes is None or shape.memory_bytes <= room.memory_bytes)
        and (not shape.gpus or shape.gpus <= room.gpus_of_kind(shape.gpu_kind))
        and (room.is_idle or not shape.is_alone)
    )


def lacks_now(shape: Shape, worker: WorkerView) -> Iterator[str]:
    """Yield in words what `worker`, which can run jobs of this shape, has too little of now."""
    room, offer = worker.room, worker.offer
    if shape.cores_min > room.cores:
        yield f"{max(0, room.cores)} of {offer.cores} cores free, {shape.cores_min} needed"
    if room.memory_bytes is not None and shape.memory_bytes > room.memory_bytes:
        yield f"{gigabytes(max(0, room.memory_bytes))} of memory free, {gigabytes(shape.memory_bytes)} needed"
    if shape.gpus and shape.gpus > (free := room.gpus_of_kind(shape.gpu_kind)):
        there = _count(gpus_of_kind(offer, shape.gpu_kind), f"{shape.gpu_kind} GPU".lstrip())
        yield f"{max(0, free)} of {there} free, {shape.gpus} needed"


def gpus_of_kind(offer: WorkerOffer, kind: str) -> int:
    """Return how many GPUs of a kind a worker has in all."""
    return sum(is_of_kind(gpu.name, kind) for gpu in offer.gpu_devices) if kind else offer.gpus


def _of_kind(shape: Shape) -> str:
    return f" {shape.gpu_kind}" if shape.gpu_kind else ""


def _lacks_executable(shape: Shape, offer: WorkerOffer) -> str:
    found = [executable for executable in offer.executables if executable.name == shape.executable]
    if not found:
        return f"it does not have {shape.executable}"
    here = [executable for executable in found if executable.platform == offer.platform]
    if not here:
        return f"it has {shape.executable} for platform {found[0].platform}, and runs as {offer.platform}"
    if not any(_admits(executable.version, shape.versions) for executable in here):
        versions = ", ".join(executable.version or "without a version" for executable in here)
        return f"it has {shape.executable} {versions}, wanted is {shape.versions}"
    return ""


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
