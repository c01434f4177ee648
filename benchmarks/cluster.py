"""B8: how much of 20,000 cores the real queue and matching keep at work, on a virtual clock; what giving out a job costs."""

from __future__ import annotations

import itertools
import random
import time

from benchmarks.row import Row
from copernicus.model.jobs import ExecutableOffer, WorkerOffer
from copernicus.server.scheduling.matching import match
from copernicus.server.scheduling.queue import Queue, Waiting
from copernicus.server.scheduling.shapes import Room, Shape, WorkerView
from copernicus.testing.cluster import Cluster

CORES, HOURS, WARM_S = 20_000, 3, 3600.0
MACHINE_CORES = (16, 24, 32, 64, 128)
WIDTHS = (1, 1, 1, 1, 2, 4, 8, 16)
"""Cores of jobs, drawn evenly: half of the core time belongs to jobs of 16."""
PROJECTS, QUEUED = "abcde", 20_000
MEAN_STAY_S, AWAY_S = 8 * 3600.0, 300.0
DECADES = (1_000, 10_000, 100_000, 1_000_000)
BATCH, BATCHES = 24, 400
GOAL_USED = 0.97
GOAL_GROWTH = 3.0
"""How much dearer a job may be after three decades: the depth of a heap (2 or 3 times) and caches; a search would be 1,000."""
EXECUTABLE = ExecutableOffer("md", "2026.1")


def measure() -> list[Row]:
    """Return the fraction of core time used, and the cost of giving out a job over three decades of queue length."""
    began = time.process_time()
    used, cluster = simulate(random.Random(8))
    cpu_s, given = time.process_time() - began, len(cluster.waits)
    cost_us = {f"us at {length}": given_us(length) for length in DECADES}
    first, last = cost_us[f"us at {DECADES[0]}"], cost_us[f"us at {DECADES[-1]}"]
    return [
        Row(
            "B8 used", f"{CORES} cores, jobs of 10 minutes, workers coming and going", used, "", "1 is every core always",
            GOAL_USED, is_rate=True, details={"jobs given": given, "simulation CPU s": cpu_s, "lost": _lost(cluster)},
        ),
        Row(
            "B8 growth", f"a job given: cost at {DECADES[-1]} queued by that at {DECADES[0]}", last / first, "x",
            "1 is flat", GOAL_GROWTH, details=cost_us,
        ),
    ]  # fmt: skip


def simulate(chance: random.Random, cores: int = CORES, hours: float = HOURS) -> tuple[float, Cluster]:
    """Run a cluster whose queue never ends; return the fraction of core time used after the first hour."""
    cluster, numbers, names = Cluster(), itertools.count(1), itertools.count(1)

    def submit() -> None:
        width, seconds = chance.choice(WIDTHS), chance.uniform(300, 900)
        limit_s = 900.0 if chance.random() < 0.5 else None
        shape = Shape(chance.choice(PROJECTS), "md", cores_min=width, wall_time_s=limit_s)
        cluster.submit(Waiting(next(numbers), shape, cores_max=width), seconds)

    def join(size: int) -> None:
        stays_s = 1800 + chance.expovariate(1 / (MEAN_STAY_S - 1800))
        cluster.join(WorkerOffer(f"w{next(names)}", "node", "smp", size, (EXECUTABLE,)), stays_s)
        cluster.at(cluster.now + stays_s + AWAY_S, lambda: join(size))

    def fill() -> None:
        for _ in range(QUEUED * cores // CORES - len(cluster.queue)):
            submit()
        cluster.at(cluster.now + 60, fill)

    fill()
    left = cores
    while left > 0:
        join(min(left, size := chance.choice(MACHINE_CORES)))
        left -= size
    cluster.run(WARM_S)
    cluster.begin_counting()
    cluster.run(WARM_S + hours * 3600)
    return cluster.settle(), cluster


def given_us(length: int) -> float:
    """Return the processor time, in microseconds, of giving out one job while `length` are queued: matched and replaced."""
    queue, chance = Queue(), random.Random(length)
    shapes = [Shape(project, "md", cores_min=width) for project in PROJECTS for width in (1, 2, 4)]
    for number in range(length):
        queue.add(Waiting(number, chance.choice(shapes)))
    worker = WorkerView(WorkerOffer("w", "node", "smp", 64, (EXECUTABLE,)), Room(64))
    number, given, began = length, 0, time.process_time()
    for _ in range(BATCHES):
        for _ in match(queue, worker, BATCH, {}):
            queue.add(Waiting(number, shapes[number % len(shapes)]))
            number, given = number + 1, given + 1
    return 1e6 * (time.process_time() - began) / given


def _lost(cluster: Cluster) -> float:
    return cluster.lost_core_s / cluster.present_core_s
