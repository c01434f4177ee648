"""Scenarios to survive, each with its faults at given times: what is drawn from a seed may never come to this."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable
from functools import partial

from tests.proof.simulation.faults import Faults
from tests.proof.simulation.life import Life
from tests.proof.simulation.network import Request
from tests.proof.simulation.people import Person
from tests.proof.simulation.server import SimulatedServer

from copernicus.client.project import Transaction

LEASE_S = 120.0
HOUR_S = 3600.0
HERD = 1000


class Scenario(Faults):
    """A plan without chance: `begin` says what happens; attempts take `lasts_s` and finish."""

    lasts_s = 100.0
    jobs = 6

    def plan(self) -> None:
        self.life.are_some_wide = False
        del self.life.people[1:]
        self.life.fate = lambda lease: ("finished", self.lasts_s)  # type: ignore[method-assign]
        self.life.person.deeds.append((1.0, partial(append_all, self.life.person, self.jobs)))
        self.until_s = self.begin()

    def begin(self) -> float:
        """Plan what happens; return when that is over."""
        raise NotImplementedError

    def check(self) -> None:
        """What must hold beyond the invariants, when all is done."""

    def outcomes(self) -> Counter[str]:
        """How all attempts ended."""
        return Counter(row.outcome for job in self.life.disk.tables.jobs.values() for row in job.attempts)

    def stop_the_server(self, for_s: float, begin_s: float) -> None:
        """SIGSTOP, and SIGCONT later."""
        self.world.after(begin_s, lambda: self.server.process.stop())
        self.world.after(begin_s + for_s, lambda: self.server.process.go_on())

    def kill_the_server(self, for_s: float, begin_s: float) -> None:
        """kill -9, and a new start later."""
        self.world.after(begin_s, lambda: self.server.process.kill())
        self.world.after(begin_s + for_s, self.life.start_server)

    @property
    def server(self) -> SimulatedServer:
        """The server that runs now."""
        assert self.life.server is not None
        return self.life.server


def append_all(person: Person, count: int) -> None:
    """So many jobs at once."""
    change = Transaction(person.project, 0)
    change.set("works:in.x", list(range(100, 100 + count)))
    person.insist(change.commit)


class AwayForAnHour(Scenario):
    """The server is away for an hour; jobs end meanwhile, and their results count once when it is back."""

    def begin(self) -> float:
        self.kill_the_server(HOUR_S, 50.0)
        return HOUR_S + 51.0

    def check(self) -> None:
        assert self.outcomes() == {"finished": 12}, "a job that was done while the server was away is not done again"


class CutOffForAnHour(Scenario):
    """A worker cannot reach the server for an hour. Its jobs go to another one; what it brings late counts for nothing."""

    def begin(self) -> float:
        cut = self.life.network.cut
        self.world.after(50.0, lambda: cut.update({("host0", "up"), ("host0", "down")}))
        self.world.after(50.0 + HOUR_S, cut.clear)
        return 51.0 + HOUR_S

    def check(self) -> None:
        outcomes = self.outcomes()
        assert outcomes["finished"] == 12
        assert outcomes["worker lost"] == 2, "one for each core of the worker that was cut off"


class ServerStopped(Scenario):
    """The server is stopped past all leases; nobody is given up who was heard in time."""

    def begin(self) -> float:
        self.stop_the_server(4 * LEASE_S, 50.0)
        self.stop_the_server(0.45 * LEASE_S, 600.0)
        return 700.0

    def check(self) -> None:
        assert self.outcomes() == {"finished": 12}


class Herd(Scenario):
    """A thousand workers come back at once when the server starts again."""

    lasts_s, jobs = 60.0, 300

    def begin(self) -> float:
        self.arrivals = Counter[int]()
        arrived = self.life.judge.arrived

        def count(request: Request) -> None:
            self.arrivals[int(self.world.now)] += 1
            arrived(request)

        self.life.judge.arrived = count  # type: ignore[method-assign]
        self.kill_the_server(30.0, 20.0)
        self.world.after(50.0 + LEASE_S / 2, self.look)
        return 51.0 + LEASE_S / 2

    def look(self) -> None:
        workers = self.server.dispatch.workers
        assert len(workers) == len(self.life.hosts), "all have been heard of within half a lease"
        assert all(worker.offer is not None for worker in workers)

    def check(self) -> None:
        assert self.outcomes() == {"finished": len(self.life.disk.tables.jobs)}
        busiest = max(self.arrivals[second] for second in self.arrivals if second >= 50)
        assert busiest < len(self.life.hosts), "they do not all come in the same second"


class Restored(Scenario):
    """A backup is restored while workers go on: what was given out since is fenced, and done again."""

    def begin(self) -> float:
        tables = []
        self.world.after(30.0, lambda: tables.append(copy.deepcopy(self.life.disk.tables)))
        self.world.after(160.0, lambda: self.server.process.kill())
        self.world.after(161.0, lambda: self.life.restore(tables[0], 2**20))
        self.world.after(162.0, self.life.start_server)
        return 163.0

    def check(self) -> None:
        outcomes = self.outcomes()
        assert outcomes == {"finished": 12, "restored": 3}
        attempts = [row for job in self.life.disk.tables.jobs.values() for row in job.attempts]
        assert all(row.attempt > 2**20 for row in attempts if row.outcome == "finished")


SCENARIOS: dict[str, tuple[Callable[[Life], Scenario], tuple[int, ...]]] = {
    "server away for an hour": (AwayForAnHour, (2, 1)),
    "worker cut off for an hour": (CutOffForAnHour, (2, 1)),
    "server stopped": (ServerStopped, (2, 1)),
    "thundering herd": (Herd, (1,) * HERD),
    "restored from a backup": (Restored, (2, 1)),
}
"""By name: the scenario, and the cores of its hosts."""


def survive(name: str, seed: int, *, is_traced: bool = False) -> Life:
    """Live through a scenario; raise `Violation` or `AssertionError`."""
    plan, cores = SCENARIOS[name]
    life = Life(seed, is_traced=is_traced, heartbeat_s=LEASE_S, cores=cores)
    scenarios: list[Scenario] = []

    def begin(life: Life) -> Scenario:
        scenarios.append(plan(life))
        return scenarios[0]

    life.run(begin)
    scenarios[0].check()
    return life
