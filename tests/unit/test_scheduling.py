"""Queue order, matching and explaining."""

from __future__ import annotations

import random
from collections import Counter
from functools import partial

from hypothesis import given, strategies as st

from copernicus.model.gpus import Gpu
from copernicus.model.jobs import ExecutableOffer, WorkerOffer
from copernicus.server.scheduling.explain import explain
from copernicus.server.scheduling.matching import Assignment, match
from copernicus.server.scheduling.queue import Lane, Queue, Waiting
from copernicus.server.scheduling.shapes import Room, Shape, WorkerView, can_run
from copernicus.testing.cluster import Cluster, Holding, Machine
from copernicus.worker.gpus import Device, Gpus

SLEEP = (ExecutableOffer("sleep", "2022.5"),)


def worker(
    cores: int = 24, *, executables: tuple[ExecutableOffer, ...] = SLEEP, per_job: int | None = None, idle: bool = True,
    memory: int | None = None, projects: frozenset[str] | None = None,
) -> WorkerView:  # fmt: skip
    offer = WorkerOffer("w1", "here", "smp", cores, executables, cores_per_job=per_job, memory_bytes=memory)
    return WorkerView(offer, Room(cores, memory, 0, is_idle=idle), projects)


def waiting(
    job: int, project: str = "p", priority: int = 0, cores: int = 1, cores_max: int | None = 1, **more: object
) -> Waiting:
    has_checkpoint = bool(more.pop("has_checkpoint", False))
    shape = Shape(project, str(more.pop("executable", "sleep")), cores_min=cores, **more)  # type: ignore[arg-type]
    return Waiting(job, shape, priority, has_checkpoint, cores_max)


def queue_of(*jobs: Waiting) -> Queue:
    queue = Queue()
    for job in jobs:
        queue.add(job)
    return queue


def test_twenty_four_cores_take_one_wide_job_or_one_of_twelve_and_twelve_of_one() -> None:
    wide = queue_of(waiting(1, cores=24, cores_max=24), *(waiting(n) for n in range(2, 9)))
    assert match(wide, worker(), 100, {}) == [Assignment(1, 24)]
    mixed = queue_of(waiting(1, cores=12, cores_max=12), *(waiting(n) for n in range(2, 40)))
    assert Counter(given.cores for given in match(mixed, worker(), 100, {})) == {12: 1, 1: 12}
    assert len(mixed) == 39 - 13


def test_order_is_priority_then_checkpoint_then_fair_share_then_age() -> None:
    queue = queue_of(
        waiting(1, "rich"), waiting(2, "poor"), waiting(3, "rich", has_checkpoint=True), waiting(4, "rich", priority=5),
        waiting(5, "poor"),
    )  # fmt: skip
    running = {"rich": 2}
    assert [job.job for job in queue.in_order(running)] == [4, 3, 2, 5, 1]
    # Inside a batch, too, each job given counts: 4 and 3 go to "rich" anyway, "poor" is then behind by four cores.
    assert [given.job for given in match(queue, worker(), 5, running)] == [4, 3, 2, 5, 1]


def test_projects_that_have_equally_much_take_turns_within_a_batch() -> None:
    queue = queue_of(*(waiting(n, "a" if n <= 10 else "b") for n in range(1, 21)))
    given = [assignment.job for assignment in match(queue, worker(6), 6, {})]
    assert Counter("a" if job <= 10 else "b" for job in given) == {"a": 3, "b": 3}


def test_what_a_worker_cannot_run_stays_in_the_queue_and_is_explained() -> None:
    cases = {
        "does not have gmx": waiting(1, executable="gmx"),
        "it has sleep 2022.5, wanted is >=2023": waiting(1, versions=">=2023"),
        "gives 24 cores to a job, needed: 25": waiting(1, cores=25),
        "4 GB of memory, needed: 8 GB": waiting(1, memory_bytes=8_000_000_000),
        "0 GPUs, needed: 1": waiting(1, gpus=1),
        "does not cover the project": waiting(1, project="secret"),
    }
    for words, job in cases.items():
        queue, view = queue_of(job), worker(memory=4_000_000_000, projects=frozenset({"p"}))
        assert match(queue, view, 10, {}) == []
        assert 1 in queue
        lines = explain(job, [worker(1, executables=(), memory=1), view])
        assert words in " ".join(lines), lines
        assert "worker w1 on here" in lines[1]


def test_a_version_in_range_and_the_platform_count() -> None:
    view = worker(executables=(ExecutableOffer("sleep", "2022.10"), ExecutableOffer("wide", "1", platform="mpi")))
    queue = queue_of(waiting(1, versions=">=2022.5, <2023"), waiting(2, executable="wide"))
    assert match(queue, view, 10, {}) == [Assignment(1, 1)]
    assert "for platform mpi" in " ".join(explain(waiting(2, executable="wide"), [view]))


def test_a_job_gets_the_cores_it_can_use_within_the_workers_limit_for_one_job() -> None:
    assert match(queue_of(waiting(1, cores_max=None)), worker(8, per_job=3), 9, {}) == [Assignment(1, 3)]
    assert match(queue_of(waiting(1, cores_max=None)), worker(8), 9, {}) == [Assignment(1, 8)]
    assert match(queue_of(waiting(1, cores=4, cores_max=4)), worker(8, per_job=3), 9, {}) == []


def test_a_suspected_job_gets_a_worker_to_itself_and_a_busy_one_is_emptied_for_it() -> None:
    def queue() -> Queue:
        return queue_of(waiting(1, is_alone=True, priority=1), waiting(2))

    assert match(queue(), worker(), 9, {}) == [Assignment(1, 1)]
    busy = queue()
    assert match(busy, worker(idle=False), 9, {}) == []
    assert busy.reservations.of_job(1) == "w1"


def test_explain_says_who_is_before_it_and_what_is_free() -> None:
    busy = WorkerView(worker().offer, Room(0, None, 0, is_idle=False))
    text = "\n".join(explain(waiting(1), [busy], ahead=3))
    assert "waits for its turn: 3 before it" in text
    assert "0 of 24 cores free" in text
    assert explain(waiting(1), [])[0] == "No worker is connected."


Jobs = st.lists(st.tuples(st.sampled_from("abc"), st.integers(-2, 2), st.booleans(), st.integers(1, 4)), max_size=40)


def by_search(left: dict[int, Waiting], cores: int) -> list[int]:
    """What one batch for an idle worker is, found by looking at every job each time."""
    running, served = Counter[str](), dict[str, int]()
    free, given, spare = cores, list[int](), None

    def standing(job: Waiting) -> tuple[int, bool, int, int, int]:
        project = job.shape.project
        return (-job.priority, not job.has_checkpoint, running[project], served.get(project, 0), job.job)

    def passes(job: Waiting) -> bool:
        return spare is None or job.priority > spare[1] or job.shape.cores_min <= spare[0]

    while True:
        chosen, crowded = None, list[Waiting]()
        for job in sorted(left.values(), key=lambda job: (*standing(job)[:4], -job.shape.cores_min, job.job)):
            if job.shape.cores_min > free:
                crowded += [job] if job.shape.cores_min <= cores else []
            elif passes(job):
                first = min(crowded, key=standing, default=job)
                if spare is None and standing(first) < standing(job):
                    spare = (cores - first.shape.cores_min, first.priority)  # it gathers cores for that one
                if passes(job):
                    chosen = job
                    break
        if chosen is None or free == 0:
            return given
        width = chosen.shape.cores_min
        if spare is not None:
            spare = (spare[0] - width, spare[1])
        free -= width
        given.append(chosen.job)
        running[chosen.shape.project] += width
        served[chosen.shape.project] = cores - free
        del left[chosen.job]


@given(Jobs, st.integers(1, 8), st.lists(st.integers(0, 39), max_size=20))
def test_batches_of_any_size_give_what_an_exhaustive_search_gives(
    jobs: list[tuple[str, int, bool, int]], cores: int, removed: list[int]
) -> None:
    queue = queue_of(*(
        waiting(number, project, priority, wide, wide, has_checkpoint=checkpoint)
        for number, (project, priority, checkpoint, wide) in enumerate(jobs)
    ))  # fmt: skip
    for number in removed:
        queue.remove(number)
    left = {job.job: job for job in queue.in_order({})}
    expected = by_search(left, cores)
    assert [given.job for given in match(queue, worker(cores), 100, {})] == expected
    assert {job.job for job in queue.in_order({})} == set(left)


def test_a_poll_looks_at_as_many_jobs_as_it_gives_however_many_wait(monkeypatch: object) -> None:
    queue = queue_of(*(waiting(number) for number in range(10_000)))
    looked = Counter[str]()
    first = Lane.first

    def counted(lane: Lane) -> Waiting | None:
        looked["times"] += 1
        return first(lane)

    monkeypatch.setattr(Lane, "first", counted)  # type: ignore[attr-defined]
    assert len(match(queue, worker(24), 24, {})) == 24
    assert looked["times"] <= 5 * 24


# --- GPUs

A100, L4 = Gpu("NVIDIA A100-SXM4-80GB", 80 * 10**9), Gpu("NVIDIA L4", 24 * 10**9)


def with_gpus(*gpus: Gpu, cores: int = 8, name: str = "w1") -> WorkerOffer:
    return WorkerOffer(name, "here", "smp", cores, SLEEP, gpus=len(gpus), gpu_devices=gpus)


def test_a_kind_of_gpu_is_matched_by_a_part_of_its_name_and_missed_by_name() -> None:
    machine = Machine(with_gpus(A100, A100), None, tells=True)
    assert len(match(queue_of(waiting(1, gpus=2, gpu_kind="a100")), machine.view(0), 9, {})) == 1
    for kind, count, why in (
        ("H100", 1, "it has 2 × NVIDIA A100-SXM4-80GB (80 GB), needed: 1 H100"),
        ("A100", 3, "it has 2 GPUs, needed: 3 A100"),
    ):
        job = waiting(1, gpus=count, gpu_kind=kind)
        assert match(queue_of(job), machine.view(0), 9, {}) == []
        assert why in "\n".join(explain(job, [machine.view(0)]))
    old = WorkerView(WorkerOffer("w1", "here", "smp", 8, SLEEP, gpus=1), Room(8, None, 1))
    assert "it has 1 GPU, of which it says no name, needed: 1 L4" in "\n".join(
        explain(waiting(1, gpus=1, gpu_kind="L4"), [old])
    )
    machine.hold(1, Holding(waiting(1, gpus=2), 1, 0.0))
    busy = "\n".join(explain(waiting(2, gpus=1, gpu_kind="a100"), [machine.view(0)]))
    assert "0 of 2 a100 GPUs free, 1 needed" in busy


@given(st.lists(st.sampled_from([A100, L4]), min_size=1, max_size=6), st.integers(0, 10**6))
def test_what_matching_gives_a_worker_always_has_the_gpus_for(gpus: list[Gpu], seed: int) -> None:
    """On hosts with GPUs of several kinds, too, whichever of them the worker takes."""
    chance, cluster = random.Random(seed), Cluster()
    machine = cluster.join(with_gpus(*gpus))
    pool = Gpus([Device(str(number), gpu) for number, gpu in enumerate(gpus)])
    taken: dict[int, tuple[Device, ...]] = {}

    def claim(machine: Machine, given: list[Assignment]) -> None:
        for assignment in given:
            shape = cluster.queued(assignment.job).shape
            taken[assignment.job] = pool.claim(shape.gpus, shape.gpu_kind)

    cluster.when_given, cluster.when_ended = claim, lambda job: pool.release(taken.pop(job.job))
    for number in range(30):
        kind = chance.choice(["", "a100", "L4"])
        job = waiting(number, gpus=chance.randint(0, 2), gpu_kind=kind, executable="sleep")
        cluster.at(chance.uniform(0, 10), partial(cluster.submit, job, chance.uniform(1, 5)))
    cluster.run(1000.0)
    left = [job.shape for job, _, _ in cluster.still_queued()]
    assert not [shape for shape in left if can_run(shape, machine.view(cluster.now))], "jobs that fit are left over"
