"""Faults and deeds of one history, drawn from its seed: when what breaks, and for how long."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from tests.proof.simulation import threads
from tests.proof.simulation.network import Weather

from copernicus.server.http.server import SHUTDOWN_S
from copernicus.server.storage.sqlite.epochs import GAP, PLACES
from copernicus.wire import messages as m

if TYPE_CHECKING:
    from tests.proof.simulation.life import Life
    from tests.proof.simulation.people import Person
    from tests.proof.simulation.worker import Host

ORDERS: tuple[type[m.JobCommand], ...] = (m.StopJobRequest, m.RerunJobRequest, m.CommandFailedRequest)


class Faults:
    """Draws what will happen to a life. `until_s` is when it is over; `often` names faults of which there are to be more."""

    def __init__(self, life: Life, often: Sequence[str] = ()) -> None:
        self.often = often
        self.life, self.world, self.chance = life, life.world, life.world.chance
        self.lease_s = life.heartbeat_s
        self.until_s = self.lease_s * self.chance.uniform(3.0, 8.0)
        self.is_over = False

    def plan(self) -> None:
        """Draw faults and deeds."""
        life, chance = self.life, self.chance
        kinds: list[Callable[[], None]] = [
            self.kill_server, self.kill_server, self.kill_at_commit, self.stop_server, self.kill_worker, self.kill_worker,
            self.stop_worker, self.end_worker, self.cut, self.cut, self.cut, self.storm, self.storm, self.jump, self.fill,
            self.back_up, self.end_server, self.kill_twice, self.limit_time,
        ]  # fmt: skip
        kinds += [getattr(self, name) for name in self.often for _ in range(8)]
        for _ in range(chance.choice((4, 6, 8) if self.often else (0, 2, 4, 6, 8))):
            self.world.after(self._moment(), chance.choice(kinds))
        for place, person in enumerate(life.people):
            times = sorted(self._moment() * 0.9 for _ in range(chance.randint(3, 10 - 5 * place)))
            for number, at in enumerate(times):
                person.deeds.append((at, self._deed(person, 100 * (place + 1) + number)))
        # A restoration may have brought back a time in which this was held.
        life.people[0].deeds.append((self.until_s, partial(life.people[0].set_back, "works", True)))

    def end(self) -> None:
        """All is well again, and stays so."""
        self.is_over = True
        life = self.life
        life.network.weather = Weather()
        life.network.cut.clear()
        life.disk.is_full, life.disk.dies = False, ""
        if life.server is not None:
            life.server.process.go_on()
        for host in life.hosts:
            host.time_left_s = None
            if host.process is not None:
                host.process.go_on()
        self.keep_up()
        threads.Thread(self._trust, process=life.person.process).start()

    def _trust(self) -> None:
        """No host stays in quarantine for what faults have done to it."""
        while True:
            for host in [host.name for host in self.life.disk.tables.hosts.values() if host.quarantined_at is not None]:
                self.life.person.release(host)
            threads.sleep(self.lease_s)

    def keep_up(self) -> None:
        """Who looks after the computers starts again what has ended."""
        self.life.start_server()
        for host in self.life.hosts:
            host.start()
        self.world.after(self.lease_s / 4, self.keep_up)

    # --- deeds

    def _deed(self, person: Person, value: int) -> Callable[[], None]:
        chance = self.chance
        kind = chance.choice(("append",) * 8 + ("replace", "order", "order", "hold", "anew", "undo"))
        if kind == "replace":
            return partial(person.replace, chance.randrange(3), value)
        if kind == "order":
            return partial(person.order, chance.choice(ORDERS), chance.randint(1, 6))
        if kind == "anew":
            return partial(person.force_rerun, chance.randrange(3))
        if kind == "undo":
            return person.undo
        if kind == "hold":

            def hold() -> None:
                person.set_back("works", False)
                person.set_back("works", True)

            return hold
        if chance.random() < 0.1:
            self.life.poison.add(value)
        elif chance.random() < 0.1:
            self.life.failing.add(value)
        return partial(person.append, value)

    # --- faults

    def _moment(self) -> float:
        return self.chance.uniform(0.0, self.until_s)

    def _for(self) -> float:
        """How long a fault lasts: shorter or longer than a lease."""
        return self.lease_s * self.chance.choice((0.05, 0.3, 0.6, 1.2, 2.5)) * self.chance.uniform(0.5, 1.5)

    def kill_server(self) -> None:
        """kill -9, and it is started again."""
        server = self.life.server
        if server is not None and server.process.is_alive and not self.is_over:
            server.process.kill()
            self.world.after(self.chance.choice((0.1, 0.1, 1.0)) * self._for(), self.life.start_server)

    def back_up(self) -> None:
        """A backup is made, and restored later on."""
        if not self.life.person.is_ready:
            return
        tables = copy.deepcopy(self.life.disk.tables)
        floor = GAP * (1 + self.chance.randrange(PLACES)) + tables.attempt_floor

        def restore() -> None:
            server = self.life.server
            if not self.is_over and server is not None:
                server.process.kill()
                self.world.trace("restored", floor)
                self.life.restore(copy.deepcopy(tables), floor)
                self.life.start_server()

        self.world.after(self._for(), restore)

    def kill_twice(self) -> None:
        """kill -9, and again while it comes up."""
        life = self.life
        server = life.server
        if server is not None and not self.is_over:
            server.process.kill()
            life.start_server()
            self.world.after(self.chance.uniform(0.0, 0.02), life.server.process.kill)
            self.world.after(self._for() / 4, life.start_server)

    def end_server(self) -> None:
        """SIGTERM."""
        server = self.life.server
        if server is not None and server.is_up and not self.is_over:
            server.end()
            self.world.after(SHUTDOWN_S + self._for() / 4, self.life.start_server)

    def limit_time(self) -> None:
        """A host has so much time for its next worker."""
        host = self.chance.choice(self.life.hosts)
        host.time_left_s = self.lease_s * self.chance.uniform(1.0, 4.0)
        self.end_worker(host)

    def kill_at_commit(self) -> None:
        """The server dies at its next commit, before it or after it."""
        life = self.life
        life.disk.dies = self.chance.choice(("before", "after"))
        self.world.after(self._for(), life.start_server)

    def stop_server(self) -> None:
        """SIGSTOP."""
        server = self.life.server
        if server is not None and server.process.is_alive and not self.is_over:
            server.process.stop()
            self.world.after(self._for(), server.process.go_on)

    def kill_worker(self) -> None:
        """kill -9 of a worker."""
        host = self.chance.choice(self.life.hosts)
        if not self.is_over:
            host.kill()
            self.world.after(self._for(), host.start)

    def stop_worker(self) -> None:
        """SIGSTOP of a worker."""
        host = self.chance.choice(self.life.hosts)
        if host.process is not None and host.is_up and not self.is_over:
            host.process.stop()
            self.world.after(self._for(), host.process.go_on)

    def end_worker(self, host: Host | None = None) -> None:
        """SIGTERM of a worker."""
        host = host or self.chance.choice(self.life.hosts)
        if host.agent is not None and host.is_up and not self.is_over:
            self.world.trace("told to go", host.name)
            host.agent.stop()
            self.world.after(self._for(), host.start)

    def cut(self) -> None:
        """A partition, both ways or one way."""
        if self.is_over:
            return
        cut, name = self.life.network.cut, self.chance.choice([one.name for one in (*self.life.hosts, *self.life.people)])
        ways = {(name, way) for way in self.chance.choice((("up", "down"), ("up", "down"), ("up",), ("down",)))}
        self.world.trace("cut", sorted(ways))
        cut |= ways
        self.world.after(self._for(), lambda: cut.difference_update(ways))

    def storm(self) -> None:
        """Messages are lost, late, sent twice."""
        if self.is_over:
            return
        network, chance = self.life.network, self.chance
        network.weather = Weather(
            chance.choice((0.0, 0.1, 0.3)), chance.choice((0.0, 0.3)), chance.choice((0.0, 0.3)), self.lease_s / 4
        )
        self.world.trace("storm", vars(network.weather))

        def calm() -> None:
            network.weather = Weather()

        self.world.after(self._for() * 2, calm)

    def jump(self) -> None:
        """The wall clock is set."""
        by_s = (
            self.chance.choice((-1, 1)) * self.chance.choice((1.0, 60.0, 3600.0, 86400.0, 1e6)) * self.chance.uniform(0.5, 2.0)
        )
        self.world.trace("wall clock", by_s)
        self.world.wall_s += by_s

    def fill(self) -> None:
        """The disk of the server is full."""
        if self.is_over:
            return
        disk = self.life.disk
        disk.is_full = True

        def free() -> None:
            disk.is_full = False

        self.world.after(self._for() / 3, free)
