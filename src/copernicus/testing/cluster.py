"""A cluster on a virtual clock: the server's own queue and matching, machines that come and go, jobs that take their time."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush

from msgspec.structs import replace

from copernicus.model.jobs import WorkerOffer
from copernicus.server.scheduling.matching import Assignment, match
from copernicus.server.scheduling.queue import Queue, Waiting
from copernicus.server.scheduling.shapes import Room, WorkerView

MOST_JOBS = 256


class Holding:
    """What one job holds of a machine. `ends_at` is what the server knows of its end."""

    __slots__ = ("begun_at", "cores", "ends_at", "gpus", "memory_bytes", "waiting")

    def __init__(self, waiting: Waiting, cores: int, now: float) -> None:
        shape = waiting.shape
        self.waiting, self.cores, self.memory_bytes, self.gpus = waiting, cores, shape.memory_bytes, shape.gpus
        self.begun_at = now
        self.ends_at = None if shape.wall_time_s is None else now + shape.wall_time_s


class Machine:
    """A worker of the cluster. `leaves_at` None: it stays. `tells`: it says how much time it has left."""

    def __init__(self, offer: WorkerOffer, leaves_at: float | None, *, tells: bool) -> None:
        self.offer, self.leaves_at, self.tells = offer, leaves_at, tells
        self.leases: dict[int, Holding] = {}
        self.cores, self.memory_bytes, self.gpus = offer.cores, offer.memory_bytes, offer.gpus
        self.joined_at = 0.0
        self.blobs: dict[str, None] = {}

    def view(self, now: float) -> WorkerView:
        """The machine as the server sees it."""
        left_s = self.leaves_at - now if self.tells and self.leaves_at is not None else None
        names = tuple(gpu.name for gpu in self.offer.gpu_devices)
        room = Room(self.cores, self.memory_bytes, self.gpus, not self.leases, left_s, names)
        return WorkerView(self.offer, room, None, self.leases, now, self.blobs)

    def hold(self, job: int, holding: Holding) -> None:
        """A job begins."""
        self.leases[job] = holding
        self._change(holding, -1)
        self.blobs.update(dict.fromkeys(holding.waiting.blobs))

    def release(self, job: int) -> Holding:
        """A job ends."""
        holding = self.leases.pop(job)
        self._change(holding, 1)
        return holding

    def _change(self, holding: Holding, sign: int) -> None:
        self.cores += sign * holding.cores
        self.gpus += sign * holding.gpus
        if self.memory_bytes is not None:
            self.memory_bytes += sign * holding.memory_bytes


class Cluster:
    """Runs jobs until a time. Whatever happens at one moment happens in the order in which it was scheduled.

    `when_given(machine, given)` is called after each batch, before the jobs begin; `when_ended(waiting)` after each job.
    `used_core_s` is the work that stands, by project; `lost_core_s` that of jobs whose machine went; `waits` how long each
    job waited, with the number of jobs that were before it in its lane.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self.queue = Queue()
        self.queue.reservations.when_released = self._wake
        self.machines: dict[str, Machine] = {}
        self.running: dict[str, int] = {}
        self.used_core_s: dict[str, float] = {}
        self.lost_core_s = self.present_core_s = 0.0
        self.waits: list[tuple[Waiting, int, float]] = []
        self.when_given: Callable[[Machine, list[Assignment]], None] = lambda machine, given: None
        self.when_ended: Callable[[Waiting], None] = lambda waiting: None
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._sequence = 0
        self._left_s: dict[int, float] = {}
        self._queued: dict[int, tuple[Waiting, float, int]] = {}
        self._hungry: dict[str, None] = {}
        self._woken: dict[str, None] = {}

    def at(self, time_s: float, action: Callable[[], None]) -> None:
        """Let `action` happen at a time."""
        self._sequence += 1
        heappush(self._events, (time_s, self._sequence, action))

    def submit(self, waiting: Waiting, duration_s: float) -> None:
        """A job is queued, which takes so long; machines that wait hear of it at once."""
        self._left_s[waiting.job] = duration_s
        self._put(waiting)

    def _put(self, waiting: Waiting) -> None:
        lanes = self.queue.lanes(waiting.shape.executable)
        before = next((len(lane) for lane in lanes if lane.shape == waiting.shape), 0)
        self._queued[waiting.job] = waiting, self.now, before
        self.queue.add(waiting)
        self._woken.update(self._hungry)

    def join(self, offer: WorkerOffer, stays_s: float | None = None, *, tells: bool = True) -> Machine:
        """A machine comes, and leaves after `stays_s` (None: never)."""
        machine = Machine(offer, None if stays_s is None else self.now + stays_s, tells=tells)
        machine.joined_at = self.now
        self.machines[offer.worker] = machine
        self._woken[offer.worker] = None
        if machine.leaves_at is not None:
            self.at(machine.leaves_at, lambda: self.leave(machine))
        return machine

    def leave(self, machine: Machine) -> None:
        """A machine goes; what it ran is queued again, from the last moment if it checkpoints."""
        del self.machines[machine.offer.worker]
        self._hungry.pop(machine.offer.worker, None)
        self.queue.reservations.release_worker(machine.offer.worker)
        self.present_core_s += (self.now - machine.joined_at) * machine.offer.cores
        for job in list(machine.leases):
            holding = self._release(machine, job)
            ran_s, waiting = self.now - holding.begun_at, holding.waiting
            if waiting.shape.can_stop:
                self._left_s[job] -= ran_s
                self._count(holding, ran_s)
                waiting = replace(waiting, has_checkpoint=True)
            else:
                self.lost_core_s += ran_s * holding.cores
            self._put(waiting)

    def run(self, until_s: float) -> None:
        """Let everything happen up to a time; what still runs then counts as far as it has come."""
        self._serve()
        while self._events and self._events[0][0] <= until_s:
            self.now, _, action = heappop(self._events)
            action()
            self._serve()
        self.now = until_s

    def begin_counting(self) -> None:
        """Forget what was counted: the time begins to count now."""
        self.used_core_s, self.lost_core_s, self.present_core_s, self.waits = {}, 0.0, 0.0, []
        for machine in self.machines.values():
            machine.joined_at = self.now
            for holding in machine.leases.values():
                self._count(holding, holding.begun_at - self.now)  # what it has done so far does not count

    def settle(self) -> float:
        """Count what still runs as far as it has come; return the fraction of the core time that was used."""
        for machine in self.machines.values():
            self.present_core_s += (self.now - machine.joined_at) * machine.offer.cores
            for holding in machine.leases.values():
                self._count(holding, self.now - holding.begun_at)
        return sum(self.used_core_s.values()) / self.present_core_s

    def queued(self, job: int) -> Waiting:
        """A job that waits, or has been given and is about to begin."""
        return self._queued[job][0]

    def still_queued(self) -> list[tuple[Waiting, float, int]]:
        """The jobs that wait, since when, and how many were before each in its lane then."""
        return list(self._queued.values())

    def _wake(self, worker: str) -> None:
        if worker in self._hungry:
            self._woken[worker] = None

    def _serve(self) -> None:
        while self._woken:
            name = next(iter(self._woken))
            del self._woken[name]
            machine = self.machines.get(name)
            if machine is not None and machine.cores > 0:
                self._ask(machine)

    def _ask(self, machine: Machine) -> None:
        given = match(self.queue, machine.view(self.now), MOST_JOBS, self.running)
        self.when_given(machine, given)
        for assignment in given:
            self._begin(machine, assignment)
        if machine.cores > 0:
            self._hungry[machine.offer.worker] = None
        else:
            self._hungry.pop(machine.offer.worker, None)

    def _begin(self, machine: Machine, assignment: Assignment) -> None:
        job = assignment.job
        waiting, queued_at, before = self._queued.pop(job)
        self.waits.append((waiting, before, self.now - queued_at))
        holding = Holding(waiting, assignment.cores, self.now)
        machine.hold(job, holding)
        project = waiting.shape.project
        self.running[project] = self.running.get(project, 0) + assignment.cores
        self.at(self.now + self._left_s[job], lambda: self._end(machine, job, holding))

    def _end(self, machine: Machine, job: int, holding: Holding) -> None:
        if machine.leases.get(job) is not holding or self.machines.get(machine.offer.worker) is not machine:
            return
        self._release(machine, job)
        self._count(holding, self.now - holding.begun_at)
        del self._left_s[job]
        self._woken[machine.offer.worker] = None
        self.when_ended(holding.waiting)

    def _release(self, machine: Machine, job: int) -> Holding:
        holding = machine.release(job)
        self.running[holding.waiting.shape.project] -= holding.cores
        return holding

    def _count(self, holding: Holding, ran_s: float) -> None:
        project = holding.waiting.shape.project
        self.used_core_s[project] = self.used_core_s.get(project, 0.0) + ran_s * holding.cores
