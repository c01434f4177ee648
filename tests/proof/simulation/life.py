"""One seed: a server, hosts and a person, faults for a while, and then quiet until all is done."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from tests.proof.simulation import book, people, server as servers, threads, worker as workers
from tests.proof.simulation.book import Disk
from tests.proof.simulation.faults import Faults
from tests.proof.simulation.judge import Judge, Violation
from tests.proof.simulation.network import Network
from tests.proof.simulation.people import Person
from tests.proof.simulation.server import Blobs, SimulatedServer
from tests.proof.simulation.worker import Host
from tests.proof.simulation.world import World
from tests.unit import functions
from tests.unit.comparison import differ

from copernicus.dataflow import engine, facts as f
from copernicus.dataflow.network import ROOT, Network as Dataflow, Place
from copernicus.dataflow.views import read
from copernicus.model.jobs import OPEN_STATES, LeasedJob
from copernicus.server.storage.abc import JobRecord

LAST_LEASES = 60
"""After the last fault all must be done within so many heartbeat intervals."""


@contextmanager
def simulated() -> Iterator[None]:
    """Put virtual time, threads and disks in place of the real ones. A real thread would outlive its history: there is none."""
    real = {"threading.Thread.start": no_real_thread}
    with threads.in_place(book.PLACES | servers.PLACES | workers.PLACES | people.PLACES | real):
        yield


def no_real_thread(thread: Any) -> None:
    """In place of `threading.Thread.start`."""
    raise AssertionError(f"{thread.name} is a real thread: the module that starts it is missing in PLACES")


class Life:
    """All of one history. What is not given is drawn from the seed; `cores` are those of each host."""

    def __init__(self, seed: int, *, is_traced: bool = False, heartbeat_s: float = 0.0, cores: Sequence[int] = ()) -> None:
        self.world = world = World(seed, is_traced=is_traced)
        chance = world.chance
        self.heartbeat_s = heartbeat_s or chance.choice((6.0, 20.0, 20.0, 120.0))
        self.disk, self.blobs, self.network = Disk(), Blobs(), Network(world)
        self.judge = Judge(world, self.disk, self.heartbeat_s)
        cores = cores or [chance.choice((1, 1, 2)) for _ in range(chance.choice((1, 2, 2, 3)))]
        self.hosts = [
            Host(world, self.network, f"host{number}", count, lambda lease: self.fate(lease))
            for number, count in enumerate(cores)
        ]
        for host in self.hosts:
            host.stored = self.blobs
            host.when_it_dies = self.judge.killed
        self.person = Person(world, self.network)
        self.people = [self.person]
        if chance.random() < 0.3:
            self.people.append(Person(world, self.network, "bob", self.person))
        self.server: SimulatedServer | None = None
        self.poison, self.failing = set[int](), set[int]()
        self.undone = set[int]()
        """What a restoration took back; an answer of the time before may still be on its way."""
        self.are_some_wide = max(cores) > 1

    def start_server(self) -> None:
        """Bring the server up, if it is not."""
        if self.server is None or not self.server.process.is_alive:
            self.server = SimulatedServer(
                self.world, self.disk, self.blobs, self.network, self.judge, self.heartbeat_s, are_some_wide=self.are_some_wide
            )

    def fate(self, lease: LeasedJob) -> tuple[str, float]:
        """What becomes of an attempt, and when."""
        chance = self.world.chance
        lasts_s = chance.choice((0.05, 0.5, 0.5, 1.0, 2.0)) * self.heartbeat_s * chance.uniform(0.5, 1.5)
        x = functions.asked(lease.description).get("x")
        if x in self.poison and lease.description.executable == "m/work":
            return "deadly", lasts_s
        if x in self.failing and lease.description.executable == "m/work":
            return "failed", lasts_s
        return chance.choices(("finished", "retry", "interrupted"), (20, 1, 1))[0], lasts_s

    def run(self, plan: Callable[[Life], Faults] = Faults) -> None:
        """Live through what is planned, or drawn; raise `Violation`."""
        with threads.inhabited(self.world):
            try:
                faults = plan(self)
                faults.plan()
                self.start_server()
                for host in self.hosts:
                    host.start()
                for person in self.people:
                    person.start()
                self._pass(faults.until_s)
                faults.end()
                if not self._pass(self.world.now + LAST_LEASES * self.heartbeat_s, is_last=True):
                    raise Violation("I3", "stuck", self._what_is_left())
                self._end()
            finally:
                self._clear()

    def _pass(self, until_s: float, *, is_last: bool = False) -> bool:
        while self.world.now < until_s:
            self.world.run(min(until_s, self.world.now + self.heartbeat_s / 2))
            if is_last and self.is_done():
                return True
        return False

    def is_done(self) -> bool:
        """Whether all jobs have ended, and all workers know that the server knows."""
        tables = self.disk.tables
        return (
            all(person.is_done for person in self.people)
            and self.server is not None
            and self.server.is_up
            and not any(job.state in OPEN_STATES and not self._needs_a_person(job) for job in tables.jobs.values())
            and all(not host.runs and all(not place.spool.files for place in host.places) for host in self.hosts)
            and not any(worker.leases for worker in self.server.dispatch.workers)
            and not any(live._tasks or live.young for live in self.server._projects.live())
        )

    def _needs_a_person(self, job: JobRecord) -> bool:
        """Whether a job waits for another one to be made anew that has failed."""
        is_any_failed = any(other.state == "failed" for other in self.disk.tables.jobs.values())
        return job.state == "blocked" and is_any_failed and "is being made anew" in job.why

    def _what_is_left(self) -> str:
        open_jobs = [
            (job.id, job.state, job.attempt, job.worker, job.why)
            for job in self.disk.tables.jobs.values()
            if job.state in OPEN_STATES
        ]
        spooled = [list(place.spool.files) for host in self.hosts for place in host.places]
        runs = [list(host.runs) for host in self.hosts]
        return (
            f"not done: jobs {open_jobs}, results {spooled}, runs {runs}, people {[person.is_done for person in self.people]}"
        )

    def _end(self) -> None:
        assert self.server is not None
        self.judge.quiet(self.server)
        (live,) = self.server._projects.live()
        rebuilt = Dataflow()
        for _, data in sorted(self.disk.tables.records[live.row.id].items()):
            engine.fold(rebuilt, data)
        where = differ(rebuilt, live.network)
        if where:
            raise Violation("I6", "other", f"the project that is read from its log differs from the live one: {where}")
        self._judge_values(live.network)

    def restore(self, tables: Any, floor: int) -> None:
        """Go on with a copy of the book, as if it had been restored from a backup. The server must not run."""
        tables.attempt_floor = floor
        self.disk.tables = tables
        self.judge.restored(floor)
        written = self.written()
        self.undone |= {value for person in self.people for value in person.appended if value not in written}

    def _judge_values(self, network: Dataflow) -> None:
        """What was appended is there once, and every result is right and has gone on to whoever reads it."""
        wrote = self.written()
        for value, is_told in [one for person in self.people for one in person.appended.items()]:
            if wrote.count(value) > 1:
                raise Violation("I5", "duplicated", f"value {value} was appended {wrote.count(value)} times")
            if is_told and value not in wrote and value not in self.undone:
                raise Violation("I1", "lost", f"value {value} was acknowledged, and is not there")
        inputs, works, sames = (
            _read(network, *place) for place in (("works", "in", "x"), ("works", "out", "z"), ("sames", "out", "z"))
        )
        if any(job.state == "failed" for job in self.disk.tables.jobs.values()):
            return  # what stands may be what earlier inputs have given
        missing = [None] * len(inputs)
        for x, z, same in zip(inputs, [*works, *missing], [*sames, *missing], strict=False):
            if z not in (None, x * 10 % 1000) or same not in (None, x * 10 % 1000 + 1):
                raise Violation("I2", "other", f"input {x} has the results {z} and {same}")
        if None not in (*works, *sames) and len(inputs) == len(works) == len(sames) and inputs:
            total = _read(network, "total", "out", "z")
            if total != sum(sames):
                raise Violation("I2", "lost", f"the total of {sames} is {total}")
        elif inputs and all(job.state == "done" for job in self.disk.tables.jobs.values()):
            raise Violation("I2", "lost", f"all jobs are done, and the results of {inputs} are {works} and {sames}")

    def written(self) -> list[object]:
        """All values that the log says were set."""
        logs = self.disk.tables.records.values()
        decoded = (f.decode_record(data) for records in logs for _, data in sorted(records.items()))
        edits = (
            record for record in decoded if record.cause == "EditsRequested"
        )  # what an undo brings back was written before
        return [fact.value for record in edits for fact in record.facts if isinstance(fact, f.Wrote)]

    def _clear(self) -> None:
        """End all processes, so that nothing of this world is left."""
        for process in [
            *(person.process for person in self.people),
            *(host.process for host in self.hosts),
            self.server and self.server.process,
        ]:
            if process is not None:
                process.kill()


def _read(network: Dataflow, name: str, side: str, field: str) -> Any:
    """What stands at a place, [] for nothing."""
    instance = network.instances[ROOT].children[name]
    return read(network, Place(instance, side, (field,))) or []
