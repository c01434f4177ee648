"""What scheduling promises, in simulated clusters under many seeds; and the planted bug that each promise catches."""

from __future__ import annotations

import os
from collections import Counter

import pytest
from tests.unit.simulated import GB, LONGEST_S, Watched, busy_cluster

from copernicus.server.scheduling import matching, queue as queue_module, reservations, shapes
from copernicus.server.scheduling.queue import Lane, Queue
from copernicus.server.scheduling.shapes import Shape

SEEDS = range(int(os.environ.get("CPC_SIMULATED_SEEDS", "6")))
"""More of them by hand: CPC_SIMULATED_SEEDS=500."""
Patch = pytest.MonkeyPatch
NARROW, WIDE = Shape("a", "md"), Shape("b", "md", cores_min=8)


# --- bound on waiting, no over-commitment, time left: everything at once


@pytest.mark.parametrize("seed", SEEDS)
def test_in_a_busy_cluster_nobody_starves_and_nothing_is_over_committed(seed: int) -> None:
    cluster = busy_cluster(seed)
    cluster.check_waits()
    assert len(cluster.waits) > 300


def flooded() -> Watched:
    """Narrow jobs without end on one machine, and one wide job."""
    cluster = Watched(1)
    cluster.machine("m", 8)

    def arrive() -> None:
        while len(cluster.queue) < 20:
            cluster.add(NARROW)
        cluster.at(cluster.now + 5, arrive)

    arrive()
    cluster.at(50, lambda: cluster.add(WIDE) and None)
    cluster.run(60 * LONGEST_S)
    return cluster


def wide_waited_s(cluster: Watched) -> float:
    """How long the wide job has waited."""
    return next((waited_s for waiting, _, waited_s in cluster.waits if waiting.shape == WIDE), cluster.now)


def test_a_wide_job_begins_when_those_that_ran_have_ended() -> None:
    cluster = flooded()
    assert wide_waited_s(cluster) <= LONGEST_S + 5
    cluster.check_waits()


def test_bug_caught_no_job_gathers_cores(monkeypatch: Patch) -> None:
    monkeypatch.setattr(matching._Round, "_reserve", lambda self, waiting: False)
    with pytest.raises(AssertionError, match="waits since"):
        flooded().check_waits()


def test_bug_caught_everybody_passes_a_job_that_gathers_cores(monkeypatch: Patch) -> None:
    monkeypatch.setattr(reservations.Hold, "lets_pass", lambda self, shape: True)
    assert wide_waited_s(flooded()) > 3 * LONGEST_S


def rich_elsewhere() -> Watched:
    """Project a holds many cores on a machine of its own (GPUs), b floods the other one; a has a job for that one, too."""
    cluster = Watched(2)
    cluster.machine("gpu", 8, memory_bytes=16 * GB, gpus=8)
    cluster.machine("plain", 2)
    own, flood = Shape("a", "md", gpus=1), Shape("b", "md", memory_bytes=60 * GB)

    def arrive() -> None:
        queued = Counter(waiting.shape for waiting, _, _ in cluster.still_queued())
        for shape in (own, flood):
            for _ in range(20 - queued[shape]):
                cluster.add(shape)
        cluster.at(cluster.now + 5, arrive)

    arrive()
    cluster.at(50, lambda: cluster.add(Shape("a", "md", memory_bytes=30 * GB)) and None)
    cluster.run(200 * LONGEST_S)
    return cluster


def test_a_project_that_holds_more_elsewhere_does_not_starve() -> None:
    cluster = rich_elsewhere()
    cluster.check_waits()
    assert any(waiting.shape.memory_bytes == 30 * GB for waiting, _, _ in cluster.waits)


def test_bug_caught_no_end_of_patience(monkeypatch: Patch) -> None:
    monkeypatch.setattr(queue_module, "PATIENCE", 10**9)
    assert not any(waiting.shape.memory_bytes == 30 * GB for waiting, _, _ in rich_elsewhere().waits)


@pytest.mark.parametrize("resource", ["memory_bytes", "gpus"])
def test_bug_caught_room_is_not_looked_at(monkeypatch: Patch, resource: str) -> None:
    def forgets_other(shape: Shape, room: shapes.Room) -> bool:
        kept = {"memory_bytes": shape.memory_bytes, "gpus": shape.gpus, resource: 0}
        return shapes.has_room(Shape("", "", cores_min=shape.cores_min, **kept), room)

    monkeypatch.setattr(matching, "has_room", forgets_other)
    with pytest.raises(AssertionError, match="than there"):
        [busy_cluster(seed) for seed in SEEDS]


def test_bug_caught_time_left_is_not_looked_at(monkeypatch: Patch) -> None:
    monkeypatch.setattr(shapes, "ends_in_time", lambda shape, left_s: True)
    with pytest.raises(AssertionError, match="cannot end in time"):
        [busy_cluster(seed) for seed in SEEDS]


# --- priority


def ranked(seed: int) -> Watched:
    """Jobs of random priority on two machines."""
    cluster = Watched(seed)
    cluster.machine("m1", 4)
    cluster.machine("m2", 8)
    for _ in range(300):
        shape = Shape(cluster.chance.choice("ab"), "md", cores_min=cluster.chance.choice([1, 2, 4]))
        cluster.add(shape, priority=cluster.chance.randint(-30, 30), has_checkpoint=cluster.chance.random() < 0.2)
    cluster.run(100 * LONGEST_S)
    return cluster


@pytest.mark.parametrize("seed", SEEDS)
def test_higher_priority_goes_first(seed: int) -> None:
    begun = [(waiting.shape, waiting.rank) for _, waiting, _ in ranked(seed).begun]
    assert len(begun) == 300
    for shape in dict(begun):
        ranks = [rank for one, rank in begun if one == shape]
        assert ranks == sorted(ranks)


def test_bug_caught_priority_is_ignored_among_lanes(monkeypatch: Patch) -> None:
    standing = Queue.standing

    def flat(self: Queue, *arguments: object) -> tuple[tuple[int, ...], int]:
        turn, number = standing(self, *arguments)  # type: ignore[arg-type]
        return (0, *turn[1:]), number

    monkeypatch.setattr(Queue, "standing", flat)
    with pytest.raises(AssertionError, match="left behind"):
        [ranked(seed) for seed in SEEDS]


# --- fair share


def shares(seed: int) -> Counter[str]:
    """The core time of three projects that always have work, of which one has many more and shorter jobs."""
    cluster = Watched(seed)
    for number in range(4):
        cluster.machine(f"m{number}", 9)
    kinds = {"a": (1, 10.0, 200), "b": (1, 60.0, 30), "c": (3, 60.0, 30)}

    def arrive() -> None:
        queued = Counter(waiting.shape.project for waiting, _, _ in cluster.still_queued())
        for project, (cores, seconds, most) in kinds.items():
            for _ in range(most - queued[project]):
                cluster.add(Shape(project, "md", cores_min=cores), cluster.chance.uniform(0.5, 1.5) * seconds)
        cluster.at(cluster.now + 20, arrive)

    arrive()
    cluster.run(5000)
    return Counter({project: int(core_s) for project, core_s in cluster.used_core_s.items()})


def check_shares(used: Counter[str]) -> None:
    fair = used.total() / len(used)
    for project, core_s in used.items():
        assert abs(core_s / fair - 1) < 0.15, f"project {project} got {core_s / fair:.2f} of its share"


@pytest.mark.parametrize("seed", SEEDS)
def test_projects_get_equal_core_time(seed: int) -> None:
    check_shares(shares(seed))


def test_bug_caught_running_cores_do_not_count(monkeypatch: Patch) -> None:
    standing = Queue.standing
    monkeypatch.setattr(Queue, "standing", lambda self, lane, first, running, moment: standing(self, lane, first, 0, moment))
    with pytest.raises(AssertionError, match="of its share"):
        check_shares(shares(0))


# --- packing, backfill, locality


def used() -> float:
    """The fraction used of two machines of 8 cores by jobs of 3 and 5 cores, the narrow ones being older."""
    cluster = Watched(0)
    cluster.add(Shape("a", "md", cores_min=8), 1.0)
    for cores in (3, 3, 5, 5):
        cluster.add(Shape("a", "md", cores_min=cores), 10.0)
    cluster.machine("m1", 8)
    cluster.machine("m2", 8)
    cluster.run(10)
    return cluster.settle()


def test_the_largest_that_fits_goes_first_so_that_little_is_left_over() -> None:
    assert used() > 0.9


def test_bug_caught_size_is_ignored(monkeypatch: Patch) -> None:
    monkeypatch.setattr(matching._Round, "_place", lambda self, lane, first: (*self._standing(lane, first), 0))
    assert used() < 0.85


def backfilled() -> tuple[float, float]:
    """When a wide job begins that must wait until 100 s, and the fraction of the machine that is used until then."""
    cluster = Watched(3)
    cluster.machine("m", 8)
    cluster.add(Shape("a", "md", cores_min=6, wall_time_s=100.0), 100.0)
    cluster.run(1.0)
    wide = cluster.add(WIDE, 10.0)
    for seconds in (200.0, 30.0, 30.0, 30.0, 30.0, 30.0, 30.0):
        cluster.add(Shape("c", "md", wall_time_s=seconds), seconds)
    cluster.run(100.0)
    fraction = cluster.settle()
    return next(at for at, waiting, _ in cluster.begun if waiting.job == wide), fraction


def test_short_jobs_pass_a_wide_one_that_they_do_not_hold_up() -> None:
    begun_s, fraction = backfilled()
    assert begun_s == 100.0
    assert fraction > 0.95


def test_bug_caught_long_jobs_pass(monkeypatch: Patch) -> None:
    monkeypatch.setattr(reservations.Hold, "lets_pass", lambda self, shape: True)
    with pytest.raises(StopIteration):
        backfilled()


def test_bug_caught_nobody_passes(monkeypatch: Patch) -> None:
    monkeypatch.setattr(reservations.Hold, "lets_pass", lambda self, shape: False)
    assert backfilled()[1] < 0.85


def fetched() -> int:
    """How often a machine needs a file that it does not have, when 50 files are read by four jobs each."""
    cluster = Watched(4)
    for number in range(4):
        cluster.machine(f"m{number}", 1)
    for block in range(0, 50, 2):
        for number in range(8):
            cluster.add(NARROW, cluster.chance.uniform(5, 15), blobs=(f"file {block + number % 2}",))
    cluster.run(2000)
    assert len(cluster.begun) == 200
    return len({(waiting.blobs, machine) for _, waiting, machine in cluster.begun})


def test_jobs_go_where_their_files_are() -> None:
    assert fetched() < 120


def test_bug_caught_files_are_not_looked_at(monkeypatch: Patch) -> None:
    monkeypatch.setattr(Lane, "nearest", lambda self, blobs: self.first())
    assert fetched() > 130


def overtaken() -> int:
    """How many younger jobs go before one whose file no machine has, where all others read one file."""
    cluster = Watched(5)
    cluster.machine("m", 1)
    cluster.add(NARROW, 10.0, blobs=("common",))
    rare = cluster.add(NARROW, 10.0, blobs=("rare",))
    for _ in range(100):
        cluster.add(NARROW, 10.0, blobs=("common",))
    cluster.run(2000)
    cluster.check_waits()
    order = [waiting.job for _, waiting, _ in cluster.begun]
    return order.index(rare) - 1


def test_a_job_that_is_near_nobody_is_overtaken_a_few_times_only() -> None:
    assert overtaken() == queue_module.NEAR_PASSES


def test_bug_caught_near_jobs_overtake_for_ever(monkeypatch: Patch) -> None:
    monkeypatch.setattr(queue_module, "NEAR_PASSES", 10**9)
    assert overtaken() == 100
