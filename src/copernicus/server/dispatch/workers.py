"""The workers that the server knows, their leases, and who has been silent for too long. Times are monotonic seconds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from copernicus.errors import NotAllowed
from copernicus.model.jobs import ExecutableOffer, LeasedJob, WorkerOffer
from copernicus.server.scheduling.shapes import Room, Shape, WorkerView
from copernicus.server.storage.abc import JobRecord

MOST_REMEMBERED = 4096


class Lease:
    """One attempt in a worker's hands. `beat_at` None: its worker has not named it in a sign of life yet.

    `ends_at` is when its wall time will be over, None: it has no limit.
    """

    __slots__ = (
        "attempt", "beat_at", "cores", "deadline", "ends_at", "gpus", "is_alone", "leased_at", "memory_bytes", "progress",
    )  # fmt: skip

    def __init__(self, job: JobRecord | LeasedJob, now: float, deadline: float, *, is_alone: bool) -> None:
        resources = job.description.resources
        self.attempt, self.cores = job.attempt, job.cores
        self.memory_bytes, self.gpus, self.is_alone = resources.memory_bytes or 0, resources.gpus, is_alone
        self.leased_at, self.deadline = now, deadline
        self.beat_at: float | None = None
        self.ends_at = None if resources.wall_time_s is None else now + resources.wall_time_s
        self.progress = ""


class Worker:
    """One worker. `offer` None: it has not introduced itself since the server started, but has leases in the book. `beat_at`:
    when it last gave a sign of life, which names the jobs that it has; None: not since the server started.

    `leaves_at` is when its time is over, None: not known. `blobs` are large files that its jobs have read, the newest last.
    `lost_with` are the attempts, by job, that it had when it counted as lost.
    """

    def __init__(self, name: str, bundle: str, now: float, deadline: float) -> None:
        self.name, self.bundle = name, bundle
        self.offer: WorkerOffer | None = None
        self.projects: frozenset[str] | None = None
        self.leases: dict[int, Lease] = {}
        self.seen_at, self.deadline = now, deadline
        self.beat_at: float | None = None
        self.is_lost = False
        self.lost_with: dict[int, int] = {}
        self.sent_blobs: dict[str, None] = {}
        self.blobs: dict[str, None] = {}
        self.leaves_at: float | None = None
        self._gpu_names: tuple[str, ...] = ()

    def introduce(self, offer: WorkerOffer, projects: frozenset[str] | None, now: float) -> None:
        """It says what it offers; `projects` are those that its bundle covers."""
        self.offer, self.projects = offer, projects
        self._gpu_names = tuple(gpu.name for gpu in offer.gpu_devices)
        self.leaves_at = None if offer.time_left_s is None else now + offer.time_left_s

    @property
    def hostname(self) -> str:
        """Its host, "" when not known."""
        return self.offer.hostname if self.offer else ""

    @property
    def cores_used(self) -> int:
        """Cores of the jobs it has."""
        return sum(lease.cores for lease in self.leases.values())

    def view(
        self, projects: frozenset[str] | None, now: float, free_cores: int | None = None, quarantine: str = "",
        is_able_elsewhere: Callable[[Shape], bool] = lambda shape: False,
    ) -> WorkerView | None:  # fmt: skip
        """The worker as matching sees it, or None before it introduced itself. It knows best how many cores it has free."""
        offer = self.offer
        if offer is None:
            return None
        if free_cores is None:
            free_cores = max(0, offer.cores - self.cores_used)
        if any(lease.is_alone for lease in self.leases.values()):
            free_cores = 0
        memory = offer.memory_bytes
        if memory is not None:
            memory -= sum(lease.memory_bytes for lease in self.leases.values())
        gpus = offer.gpus - sum(lease.gpus for lease in self.leases.values())
        left_s = None if self.leaves_at is None else max(0.0, self.leaves_at - now)
        room = Room(free_cores, memory, gpus, not self.leases, left_s, self._gpu_names)
        return WorkerView(offer, room, projects, self.leases, now, self.blobs, quarantine, is_able_elsewhere)

    def is_beating(self, now: float, within_s: float) -> bool:
        """Say whether its last sign of life is so recent."""
        return self.beat_at is not None and now - self.beat_at <= within_s

    def is_new_blob(self, blob: str) -> bool:
        """Say whether this small file has not been sent to the worker lately, and remember that it now has been."""
        return _remember(self.sent_blobs, blob)

    def reads(self, blobs: Iterable[str]) -> None:
        """A job of it reads these large files."""
        for blob in blobs:
            _remember(self.blobs, blob)


def _remember(known: dict[str, None], name: str) -> bool:
    """Put `name` last, forget the oldest beyond the limit; return whether it is new."""
    is_new = name not in known
    known.pop(name, None)
    known[name] = None
    if len(known) > MOST_REMEMBERED:
        del known[next(iter(known))]
    return is_new


class Workers:
    """All workers by id. `monotonic` is the clock, `heartbeat_s` the interval after which silence means loss."""

    def __init__(self, monotonic: Callable[[], float], heartbeat_s: float) -> None:
        self._monotonic, self.heartbeat_s = monotonic, heartbeat_s
        self._workers: dict[str, Worker] = {}
        self._parted: dict[str, None] = {}

    def __len__(self) -> int:
        return sum(1 for worker in self if not worker.is_lost)

    def __iter__(self) -> Iterator[Worker]:
        return iter(self._workers.values())

    def get(self, name: str) -> Worker | None:
        """A worker by id, or None."""
        return self._workers.get(name)

    def heard(self, name: str, bundle: str) -> Worker:
        """A worker has spoken: it lives. Raise `NotAllowed` when another bundle speaks in its name.

        What comes late of one that has taken its leave is heard, and brings it not back.
        """
        now = self._monotonic()
        worker = self._workers.get(name)
        if worker is None:
            worker = Worker(name, bundle, now, now + self.heartbeat_s)
            if name not in self._parted:
                self._workers[name] = worker
        elif worker.bundle != bundle:
            raise NotAllowed(f"Worker {name} came with another bundle.", "Every worker needs an id of its own.")
        worker.seen_at, worker.deadline, worker.is_lost = now, now + self.heartbeat_s, False
        return worker

    def lease(self, worker: Worker, job: JobRecord, *, is_alone: bool) -> None:
        """Note that `worker` has the job."""
        now = self._monotonic()
        worker.leases[job.id] = Lease(job, now, now + self.heartbeat_s, is_alone=is_alone)

    def borrow(self, name: str, number: int, lease: LeasedJob) -> None:
        """Note that a worker, if it is known, has a job of another server, under the number that it has here."""
        worker, now = self._workers.get(name), self._monotonic()
        if worker is not None:
            worker.leases.setdefault(number, Lease(lease, now, now + self.heartbeat_s, is_alone=False))

    def restore(self, job: JobRecord, *, is_alone: bool) -> None:
        """Note a lease that stands in the book after a restart; it gets its whole time again."""
        now = self._monotonic()
        worker = self._workers.get(job.worker)
        if worker is None:
            worker = self._workers[job.worker] = Worker(job.worker, job.bundle, now, now + self.heartbeat_s)
        worker.is_lost = False  # if it was, that did not become durable
        self.lease(worker, job, is_alone=is_alone)

    def release(self, job: JobRecord) -> Lease | None:
        """The attempt that `job` (still leased) stands for is over."""
        worker = self._workers.get(job.worker)
        return worker.leases.pop(job.id, None) if worker is not None else None

    def beat(self, worker: Worker, job: int, attempt: int, progress: str) -> bool:
        """Renew a lease; return whether it is current."""
        lease = worker.leases.get(job)
        if lease is None or lease.attempt != attempt:
            return False
        now = self._monotonic()
        lease.beat_at, lease.deadline, lease.progress = now, now + self.heartbeat_s, progress[:200]
        return True

    def renew_all(self) -> None:
        """Every worker and lease gets its whole time again: the server itself was away."""
        deadline = self._monotonic() + self.heartbeat_s
        for worker in self:
            worker.deadline = deadline
            for lease in worker.leases.values():
                lease.deadline = deadline

    def silent(self) -> list[Worker]:
        """Workers that are newly lost: not a word within the interval."""
        now = self._monotonic()
        return [worker for worker in self if not worker.is_lost and worker.deadline < now]

    def unclaimed(self) -> list[tuple[Worker, int]]:
        """Leases that their worker, though it speaks, has not named within the interval: it does not have the job.

        A worker that has given no sign of life for half of the interval, whatever else it said, may have died of the job: so
        much longer it has to become silent.
        """
        now = self._monotonic()
        return [
            (worker, job)
            for worker in self
            if not worker.is_lost and worker.deadline >= now
            for job, lease in worker.leases.items()
            if lease.deadline < now - (0.0 if worker.is_beating(now, self.heartbeat_s / 2) else self.heartbeat_s)
        ]

    def drop(self, name: str) -> None:
        """Forget a worker."""
        self._workers.pop(name, None)

    def part(self, name: str) -> None:
        """A worker has taken its leave: what it said before and comes later does not bring it back into the list."""
        self.drop(name)
        _remember(self._parted, name)

    def has_parted(self, name: str) -> bool:
        """Say whether a worker has taken its leave; no other one gets its id."""
        return name in self._parted

    def drop_long_lost(self, after_s: float) -> None:
        """Forget workers that have been silent for so long and have nothing."""
        now = self._monotonic()
        for worker in [worker for worker in self if not worker.leases and now - worker.seen_at > after_s]:
            self.drop(worker.name)


def programs(executables: Iterable[ExecutableOffer]) -> str:
    """Return what can be run, in words."""
    return ", ".join(f"{executable.name} {executable.version}".rstrip() for executable in executables) or "no programs"
