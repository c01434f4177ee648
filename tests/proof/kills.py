"""kill -9 of real servers and workers, again and again, at random moments and at chosen points of their own code.

    python -m tests.proof.kills [--seed S] [--minutes M] [--planted] [--world N] [--json]

One world is one server, two workers and a client that feeds them (`tests/proof/mixture.py`). Servers and workers live one
short life after the other, each with a doom of its own (`tests/proof/doom.py`), independently of each other, so that now and
then both are dead. Then they are left in peace, all that was asked for must come, and the checker judges by the journal.
A seed draws the dooms; which instruction a program was at when a random kill came is not repeated by it.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.proof.checker import Finding
from tests.proof.doom import POINTS
from tests.proof.lives import HEARTBEAT_S, Deck, Servers, Workers
from tests.proof.mixture import Mixture, install_module, left_behind
from tests.proof.part import Result, main

from copernicus.testing.system import ProgramFailed, System, wait_until_gone

KILLS_A_WORLD, SHORT_KILLS, SHORT_LIMIT_MIN = 36, 50, 6.0
WORLD_LIMIT_S, PEACE_S = 100.0, 60.0
IN_MEMORY = Path("/dev/shm")
DRAWN = [name for name, point in POINTS.items() if not point.is_seldom]


class World:
    """One system that is killed until it has had enough, and its verdict."""

    def __init__(
        self, folder: Path, seed: int, *, points: Sequence[str] | None = None, bugs: Sequence[str] = (),
        is_forgetful: bool = False, is_whole: bool = True,
    ) -> None:  # fmt: skip
        self.system = System(folder)
        self.system.setup(heartbeat_s=HEARTBEAT_S)
        self.system.cpc_server("config", "server_cores", "1")  # half of what a start takes is the processes for module code
        install_module(self.system)
        names = DRAWN if points is None else points
        chances = [random.Random(f"{seed} {what}") for what in ("servers", "workers", "client", "deaths")]
        of = {kind: [name for name in names if POINTS[name].program == kind] for kind in ("server", "worker")}
        self.servers = Servers(self.system, Deck(of["server"], chances[0], bugs, 0.3 if is_whole else 0.0))
        self.workers = Workers(self.system, Deck(of["worker"], chances[1], bugs), chances[3], self.servers)
        self._is_whole = is_whole
        self._process = self.servers.start(self.servers.deck.peace())
        self.mixture = Mixture(self.system, chances[2], is_forgetful=is_forgetful)

    @property
    def deaths(self) -> Counter[str]:
        """How often somebody died where."""
        return self.servers.deaths + self.workers.deaths

    def rage(self, kills: int, limit_s: float) -> None:
        """Kill until there were so many deaths, or the time is over."""
        ends_at = time.monotonic() + limit_s
        self.mixture.start()
        self.workers.begin(self._is_whole)
        self.servers.end(self._process)
        while self.deaths.total() < kills and time.monotonic() < ends_at and self.mixture.error is None:
            self.servers.live(self.workers.waits_s())
            if self.workers.error is not None:
                raise self.workers.error

    def judge(self, peace_s: float = PEACE_S) -> list[Finding]:
        """Leave all in peace for so long at most, end it, and judge what is left."""
        self.servers.start(self.servers.deck.peace())
        self.workers.leave_in_peace()
        self.mixture.finish()
        ends_at = time.monotonic() + peace_s
        while not self.mixture.is_complete() and time.monotonic() < ends_at:
            time.sleep(0.1)
        found = [Finding("unexpected", f"a worker that was told to go ended with {status}")
                 for status in self.workers.stop() if status]  # fmt: skip
        found += self.mixture.judge()
        self._save()
        left = list(self.system.processes())
        if not wait_until_gone(left, 15.0):
            found.append(Finding("stuck", f"processes are left: {[process.cmdline() for process in self.system.processes()]}"))
        if files := left_behind(self.workers.work):
            found.append(Finding("stuck", f"workers have left behind: {files[:8]}"))
        verdict = self.system.cpc_server("verify", is_checked=False)
        if "All is well." not in verdict.stdout:
            found.append(Finding("unexpected", f"verify: {verdict.stdout}{verdict.stderr}"))
        return found

    def _save(self) -> None:
        for name, journal in (("numbers", self.mixture.numbers), ("files", self.mixture.files)):
            journal.save(self.system.folder / f"journal-{name}.json")


def one_world(seed: int, result: Result, limit_s: float = WORLD_LIMIT_S, keep: bool = False) -> Counter[str]:
    """Go through one world and file what is found; return who died where."""
    folder = new_folder()
    again = f"python -m tests.proof.kills --world {seed}"
    world = World(folder, seed)
    is_good = False
    try:
        world.rage(KILLS_A_WORLD, limit_s)
        findings = world.judge()
        for finding in findings:
            result.find(finding.kind, finding.what, again)
        is_good = not findings
    except ProgramFailed as error:
        result.find("stuck", f"{error}", again)
    finally:
        world.system.end()
        _tell(seed, world, result)
        if is_good and not keep:
            shutil.rmtree(folder)
        else:
            print(f"what is left of world {seed} lies in {folder}", flush=True)
    return world.deaths


def new_folder() -> Path:
    """A folder for a world: in memory, where there is such a place. What a kill leaves does not depend on the disk."""
    return Path(tempfile.mkdtemp(prefix="kills-", dir=IN_MEMORY if IN_MEMORY.is_dir() else None))


def _tell(seed: int, world: World, result: Result) -> None:
    servers, workers = world.servers.deaths.total(), world.workers.deaths.total()
    at_points = sum(count for place, count in world.deaths.items() if place in POINTS)
    points = len([place for place in world.deaths if place in POINTS])
    numbers, files = len(world.mixture.numbers.operations), len(world.mixture.files.operations)
    result.counts.update(kills=servers + workers, server_kills=servers, worker_kills=workers, kills_at_points=at_points)
    result.counts.update(worlds=1, appends=numbers, files=files)
    print(
        f"world {seed}: {servers} servers and {workers} workers killed, {at_points} of them at {points} chosen points,"
        f" while {numbers} numbers and {files} files came",
        flush=True,
    )


def run(asked: argparse.Namespace, result: Result) -> None:
    """The part."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    if asked.world is not None:
        one_world(asked.world, result, keep=asked.keep)
        return
    deaths: Counter[str] = Counter()
    number = 0
    while (asked.minutes is not None or deaths.total() < SHORT_KILLS) and not result.is_over(
        SHORT_LIMIT_MIN if asked.minutes is None else asked.minutes
    ):
        deaths += one_world(asked.seed * 1000 + number, result)
        number += 1
        if result.findings:
            break
    if deaths:
        missed = [name for name in DRAWN if not deaths[name]]
        print(f"deaths: {dict(deaths.most_common())}\nnobody died at: {missed or 'no point was missed'}", flush=True)
    if asked.planted:
        from tests.proof.kill_plants import PLANTS, SHORT, plant

        plant(SHORT if asked.minutes is None else PLANTS, result)


def arguments(made: argparse.ArgumentParser) -> None:
    """The part's own arguments."""
    made.add_argument("--world", type=int, default=None, help="only this world")
    made.add_argument("--keep", action="store_true", help="keep its folder")


if __name__ == "__main__":
    sys.exit(main("kills", __doc__, run, arguments))
