"""Random clusters on a virtual clock, and what must hold in each of them."""

from __future__ import annotations

import itertools
import random

from copernicus.model.jobs import ExecutableOffer, WorkerOffer
from copernicus.server.scheduling.matching import Assignment
from copernicus.server.scheduling.queue import NEAR_PASSES, PATIENCE, Waiting
from copernicus.server.scheduling.reservations import less
from copernicus.server.scheduling.shapes import Shape, can_run, has_room
from copernicus.testing.cluster import Cluster, Machine

GB = 10**9
LONGEST_S = 100.0


class Watched(Cluster):
    """A cluster in which every batch is looked at. `shapes` are those that were queued; `numbers` count the jobs."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.chance, self.numbers = random.Random(seed), itertools.count(1)
        self.shapes: dict[Shape, None] = {}
        self.most_cores = 0
        self.begun: list[tuple[float, Waiting, str]] = []
        self.when_given = self.look

    def add(self, shape: Shape, duration_s: float = 0.0, **more: object) -> int:
        """Queue a job; without a duration it takes a tenth of the longest to the longest."""
        number = next(self.numbers)
        self.shapes[shape] = None
        limit_s = LONGEST_S if shape.wall_time_s is None else shape.wall_time_s
        duration_s = duration_s or self.chance.uniform(limit_s / 10, limit_s)
        self.submit(Waiting(number, shape, cores_max=shape.cores_min, **more), duration_s)  # type: ignore[arg-type]
        return number

    def machine(
        self, name: str, cores: int, stays_s: float | None = None, memory_bytes: int = 64 * GB, gpus: int = 0
    ) -> Machine:
        """A machine that runs everything."""
        executables = (ExecutableOffer("md", "1"), ExecutableOffer("qm", "1"))
        machine = self.join(WorkerOffer(name, "node", "smp", cores, executables, None, memory_bytes, gpus), stays_s)
        self.most_cores = max(self.most_cores, sum(machine.offer.cores for machine in self.machines.values()))
        return machine

    def look(self, machine: Machine, given: list[Assignment]) -> None:
        """No over-commitment, nothing that cannot end, nothing of higher priority left behind for what was given."""
        jobs = [(self.queued(assignment.job), assignment.cores) for assignment in given]
        assert sum(cores for _, cores in jobs) <= machine.cores, "more cores than there are"
        assert sum(job.shape.memory_bytes for job, _ in jobs) <= (machine.memory_bytes or 0), "more memory than there is"
        assert sum(job.shape.gpus for job, _ in jobs) <= machine.gpus, "more GPUs than there are"
        for job, cores in jobs:
            shape = job.shape
            assert cores >= shape.cores_min, "fewer cores than it needs"
            is_bounded = machine.leaves_at is not None and shape.wall_time_s is not None and not shape.can_stop
            assert not is_bounded or self.now + (shape.wall_time_s or 0) <= (machine.leaves_at or 0), "it cannot end in time"
            self.begun.append((self.now, job, machine.offer.worker))
        self.look_at_priority(machine, jobs)

    def look_at_priority(self, machine: Machine, jobs: list[tuple[Waiting, int]]) -> None:
        """When a job was given, none of higher priority had room, unless the room was kept for a wide one."""
        view = machine.view(self.now)
        room = view.room
        lanes = [lane for name in ("md", "qm") for lane in self.queue.lanes(name) if can_run(lane.shape, view)]
        for job, cores in jobs:
            for lane in lanes if self.queue.reservations.of_worker(machine.offer.worker) is None else []:
                first = lane.first()
                if first is not None and first.priority > job.priority:
                    assert not has_room(lane.shape, room), "one of higher priority was left behind"
            room = less(room, cores, job.shape)

    def bound_s(self, shape: Shape, before: int) -> float:
        """The bound on waiting that the queue promises (see there), for what has stayed all the time."""
        staying = [machine for machine in self.machines.values() if machine.leaves_at is None]
        capable = sum(machine.offer.cores for machine in staying if can_run(shape, machine.view(self.now)))
        most = max(machine.offer.cores for machine in self.machines.values())
        least = sum(one.cores_min for one in self.shapes)
        files = 1 + NEAR_PASSES if any(waiting.blobs for waiting, _, _ in self.waits) else 1
        lap_s = 2 * LONGEST_S * ((PATIENCE * (self.most_cores + least) + most) / capable + len(self.shapes) + 1)
        return (before + 1) * files * lap_s

    def check_waits(self) -> None:
        """Nobody has waited longer than is promised, and nobody does."""
        for waiting, before, waited_s in self.waits:
            assert waited_s <= self.bound_s(waiting.shape, before), f"job {waiting.job} has waited for {waited_s:.0f} s"
        for waiting, since, before in self.still_queued():
            waited_s = self.now - since
            assert waited_s <= self.bound_s(waiting.shape, before), f"job {waiting.job} waits since {waited_s:.0f} s"


def busy_cluster(seed: int, until_s: float = 6000.0) -> Watched:
    """Three projects, wide and narrow jobs with and without limits, machines that come and go beside two that stay."""
    cluster = Watched(seed)
    chance = cluster.chance

    def shape() -> Shape:
        limit_s = chance.choice([None, LONGEST_S / 4, LONGEST_S])
        return Shape(
            chance.choice("abc"), chance.choice(["md", "qm"]), cores_min=chance.choice([1, 1, 1, 2, 4, 8]), wall_time_s=limit_s,
            memory_bytes=chance.choice([0, 0, 20 * GB]), gpus=chance.choice([0, 0, 0, 1]), can_stop=False,
        )  # fmt: skip

    shapes = [shape() for _ in range(8)]
    cluster.machine("staying-1", 8, gpus=2)
    cluster.machine("staying-2", 12, gpus=1)

    def come(number: int) -> None:
        stays_s = chance.uniform(LONGEST_S / 2, 8 * LONGEST_S)
        cluster.machine(f"passing-{number}", chance.choice([2, 8, 16]), stays_s)
        cluster.at(cluster.now + stays_s + chance.uniform(1, 200), lambda: come(number + 10))

    def arrive() -> None:
        for _ in range(min(chance.randrange(12), 60 - len(cluster.queue))):
            cluster.add(chance.choice(shapes))
        cluster.at(cluster.now + chance.uniform(1, 40), arrive)

    for number in range(3):
        come(number)
    arrive()
    cluster.run(until_s)
    return cluster
