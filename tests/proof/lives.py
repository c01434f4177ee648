"""Lives of the programs of a world: servers and workers that die, one after the other, each by a doom of its own."""

from __future__ import annotations

import random
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path

import psutil
from tests.proof import doom
from tests.proof.doom import POINTS, Doom

from copernicus.config.running import holder
from copernicus.testing.system import ProgramFailed, System, Worker, wait_until_gone

HEARTBEAT_S = 2.0
DOOMED_LIMIT_S, RANDOM_LIFE_S, PATIENCE_S = 4.0, 2.0, 3.0
START_LIMIT_S = 60.0
PULSE_S = 0.05
NOBODY = "ERROR: No server answers"
"""What a worker says, and ends, when no server is there while it starts; one that has been let in once stays."""


class Deck:
    """Dooms of one kind of program: every point comes once before one comes again, and random moments in between."""

    def __init__(self, points: Sequence[str], chance: random.Random, bugs: Sequence[str] = (), share: float = 0.3) -> None:
        self._points, self._chance, self._bugs, self._share = list(points), chance, list(bugs), share
        self._rest: list[str] = []

    def draw(self) -> tuple[Doom, float]:
        """A doom, and after how many seconds a life that has not met it is ended from outside."""
        if not self._points or self._chance.random() < self._share:
            return Doom(bugs=self._bugs), self._chance.uniform(0.02, RANDOM_LIFE_S)
        if not self._rest:
            self._rest = self._chance.sample(self._points, len(self._points))
        point = self._rest.pop()
        return Doom(point, self._chance.randint(1, POINTS[point].most), self._bugs), DOOMED_LIMIT_S

    def peace(self) -> Doom:
        """No doom; bugs stay."""
        return Doom(bugs=self._bugs)


class Servers:
    """The server of a world, one life after the other."""

    def __init__(self, system: System, deck: Deck) -> None:
        self.system, self.deck = system, deck
        self.plan = system.folder / "server.json"
        self.folder = system.home / "_default" / "server"
        system.environment |= doom.environment(self.plan)
        self.deaths: Counter[str] = Counter()
        self.is_up = threading.Event()

    def start(self, fate: Doom) -> psutil.Process | None:
        """Start a server and wait until it answers; None when it died first. Raise `ProgramFailed` when it did not come up.

        It is started as `cpc-server start` does it, without what that program looks at before.
        """
        fate.write(self.plan)
        with (self.system.folder / "server.log").open("ab") as log:
            process = psutil.Popen(
                [sys.executable, "-m", "copernicus.server", "--folder", str(self.folder)],
                cwd="/", env=self.system.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        ends_at = time.monotonic() + START_LIMIT_S
        while not (self._is_served_by(process.pid) and self.system.is_answering()):
            if process.poll() is not None:
                if doom.was_met(self.plan):
                    return None
                raise ProgramFailed(f"The server ended at once ({process.returncode}).", self.system.server_log())
            if time.monotonic() > ends_at:
                raise ProgramFailed("The server does not answer.", self.system.server_log())
            time.sleep(0.02)
        self.is_up.set()
        return process

    def _is_served_by(self, pid: int) -> bool:
        """Whether this process has the folder. A dead one may keep the port for a moment longer."""
        running = holder(self.folder)
        return running is not None and running.pid == pid

    def live(self, waits_s: float) -> None:
        """One life and its end. Where leases have waited that long, it has no doom, so that they run out."""
        fate, limit_s = self.deck.draw()
        if waits_s > PATIENCE_S:
            fate, limit_s = self.deck.peace(), 2 * HEARTBEAT_S
        self.end(self.start(fate), limit_s)

    def end(self, process: psutil.Process | None, limit_s: float = 0.0) -> None:
        """Wait for the end of a life, and bring it about after so many seconds."""
        if process is not None:
            _outlive(process, limit_s)
        self.is_up.clear()
        self.deaths[doom.was_met(self.plan) or "server: a random moment"] += 1


class Workers:
    """Two workers of a world, in a thread of its own: who dies is replaced, by one with a doom unless a job has had enough."""

    def __init__(self, system: System, deck: Deck, chance: random.Random, servers: Servers) -> None:
        self.system, self.deck, self._chance, self._servers = system, deck, chance, servers
        self.work = system.folder / "work"
        self.work.mkdir()
        self.deaths: Counter[str] = Counter()
        self.error: BaseException | None = None
        self._waits_since: float | None = None
        self._over = threading.Event()
        self._plans: dict[int, Path] = {}
        self._left_s: dict[int, float] = {}
        self.living: list[Worker] = []
        self._thread = threading.Thread(target=self._run, daemon=True)

    def begin(self, is_doomed: bool) -> None:
        """Start both, and the thread that kills and replaces them, if they are doomed."""
        self.living = [self._start(is_doomed) for _ in range(2)]
        if is_doomed:
            self._thread.start()

    def leave_in_peace(self) -> None:
        """Kill no more: whoever is doomed is killed one last time, and two that are not take over."""
        if not self._thread.is_alive() and self.error is None:
            return
        self._over.set()
        self._thread.join(30)
        if self.error is not None:
            raise self.error
        for worker in self.living:
            worker.kill()
        self.living = [self._start(False) for _ in range(2)]

    def stop(self) -> list[int]:
        """Have both leave in good order; return their exit statuses."""
        return [worker.terminate() for worker in self.living]

    def _run(self) -> None:
        try:
            while not self._over.wait(PULSE_S):
                if not self._servers.is_up.is_set():  # without a server a worker has nothing to lose
                    continue
                may_kill = self._may_kill() and self.deaths.total() <= self._servers.deaths.total()
                for index, worker in enumerate(self.living):
                    self._see_to(index, worker, may_kill)
        except BaseException as error:
            self.error = error

    def _see_to(self, index: int, worker: Worker, may_kill: bool) -> None:
        plan = self._plans[worker.pid]
        self._left_s[worker.pid] -= PULSE_S
        if worker.process.poll() is not None:
            if doom.was_met(plan):
                self.deaths[doom.was_met(plan)] += 1
            elif NOBODY not in worker.log:
                raise ProgramFailed(f"A worker ended by itself:\n{worker.log}")
        elif may_kill and self._left_s[worker.pid] < 0:
            worker.kill()
            self.deaths[doom.was_met(plan) or "worker: a random moment"] += 1
        else:
            return
        self.living[index] = self._start(may_kill)

    def _start(self, is_doomed: bool) -> Worker:
        plan = self.system.folder / f"worker-{len(self.system.workers)}.json"
        fate, limit_s = self.deck.draw() if is_doomed else (self.deck.peace(), self._chance.uniform(0.5, RANDOM_LIFE_S))
        fate.write(plan)
        worker = self.system.worker("-n", "1", "-wd", str(self.work), environment=doom.environment(plan))
        self._plans[worker.pid] = plan
        self._left_s[worker.pid] = limit_s
        return worker

    def waits_s(self) -> float:
        """For how many seconds a job has been open that has cost a worker."""
        since = self._waits_since
        return 0.0 if since is None else time.monotonic() - since

    def _may_kill(self) -> bool:
        """Not while a job is open that has cost a worker already: with the third it would fail, and rightly so."""
        book = self.system.projects / "book.sqlite"
        count = "SELECT count(*) FROM jobs WHERE json_extract(CAST(data AS TEXT), '$.lost_workers') >= 1 AND {}"
        is_open = "json_extract(CAST(data AS TEXT), '$.state') IN ('queued', 'leased', 'blocked')"
        try:
            with closing(sqlite3.connect(f"file:{book}?mode=ro", uri=True, timeout=5)) as connection:
                is_peace = bool(connection.execute(count.format(is_open)).fetchone()[0])
        except sqlite3.OperationalError:  # the server is about to make it, or to fold its log
            is_peace = True
        self._waits_since = (self._waits_since or time.monotonic()) if is_peace else None
        return not is_peace


def _outlive(process: psutil.Process, limit_s: float) -> None:
    """Return when a process is dead: by its own hand, or after so long by ours."""
    if not wait_until_gone([process], limit_s):
        with suppress(psutil.NoSuchProcess):
            process.kill()
        if not wait_until_gone([process], 10.0):
            raise ProgramFailed(f"Process {process.pid} does not die.")
