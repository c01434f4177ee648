"""Network partitions between real programs on machines of their own: shorter and longer than a lease, one way and both ways,
lossy, with resets, with the cable pulled out; transfers that are cut; requests that hang half-open.

A round is drawn from its seed: which machine is cut off in which way, when and for how long, and what work there is meanwhile.
What chance decides in the network itself (which packets get lost) and on the machine (what runs when) is not repeated.
It takes Linux with network namespaces (as root, or where any user may make them), iproute2 and nftables.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn, cast

from tests.proof.apart import ApartSystem
from tests.proof.checker import Finding, judge_book
from tests.proof.evidence import read_book
from tests.proof.lan import OWN, SHAPES, Lan, Shape, isolate
from tests.proof.part import Result, main
from tests.proof.transfers import cut_transfers
from tests.proof.workload import Doubling, Sleeping

MODULE = "tests.proof.partitions"
DEADLINE_S, PLANTED_DEADLINE_S = 180.0, 12.0
FEED_PAUSE_S = 0.2
RESET_S = 0.5
PLANTED = {
    "undelivered results dropped": ("short", 3, "silent"),
    "idempotency pruned early": ("short", 1, "mute"),
    "cut uploads thrown away": ("transfers", 1, ""),
}
"""Each planted bug, the kind of round in which it is looked for, the number of its partitions, and their shape: a bug that
shows itself only where the server does not hear, or is not heard, need not wait until that is drawn."""


@dataclass(frozen=True)
class Partition:
    """One fault: `pause_s` after the one before, `who` is cut off for `seconds`; what hangs on its connections then goes on
    with them, or (`is_broken`) they are reset at the end."""

    pause_s: float
    who: str
    shape: Shape
    seconds: float
    loss: int
    is_broken: bool


@dataclass(frozen=True)
class Plan:
    """What a round does."""

    heartbeat_s: float
    partitions: list[Partition]
    durations_s: list[float]

    @property
    def is_strict(self) -> bool:
        """Whether leases outlast all of it, so that no job may be given twice: the partitions, as long again until the
        network is used that is back, and a connection that only one end knows to be over."""
        return all(cut.seconds * 3 < self.heartbeat_s for cut in self.partitions)


def draw(seed: int, kind: str, count: int, only: str = "") -> Plan:
    """Draw a round with so many partitions: "short" ones, or "long" ones that may outlast leases; or only the server, cut off
    in one way, with all connections broken at the end."""
    chance = random.Random(f"{kind} {seed}")
    heartbeat_s = {"short": 10.0 if only else 60.0, "long": 3.0}[kind]
    shapes = list(SHAPES) * (count // len(SHAPES) + 1)
    chance.shuffle(shapes)
    partitions = []
    for number, shape in enumerate(shapes[:count]):
        is_outlasting = kind == "long" and number % 2 == 0
        seconds = chance.uniform(1.2, 2.0) * heartbeat_s if is_outlasting else chance.uniform(0.3, 2.0)
        who = chance.choice(("worker 0", "worker 0", "worker 1", "worker 1", "client", "server"))
        is_broken = chance.random() < 0.5
        partition = Partition(chance.uniform(0.3, 1.5), who, shape, seconds, chance.choice((10, 30, 60)), is_broken)
        if only:
            partition = replace(partition, who="server", shape=cast(Shape, only), is_broken=True)
        partitions.append(partition)
    lasts_s = sum(cut.pause_s + cut.seconds for cut in partitions)
    durations_s = [round(chance.uniform(0.5, 3.5), 1) for _ in range(max(3, int(lasts_s * 0.8)))]
    return Plan(heartbeat_s, partitions, durations_s)


def go_on_with(system: ApartSystem, cut: Partition) -> None:
    """Cut off whom the partition names, for its time."""
    if cut.who == "client":
        machine, other = system.server, OWN
    else:
        machine, other = system.server if cut.who == "server" else system.places[int(cut.who.split()[1])], ""
    shape = "silent" if other and cut.shape == "cable" else cut.shape  # the server has one cable for all
    with machine.cut(shape, other, cut.loss):
        time.sleep(cut.seconds)
        if cut.is_broken:
            with machine.cut("reset", other):
                time.sleep(max(RESET_S, cut.seconds))  # so long may TCP wait before it sends again, and hears of it


@contextlib.contextmanager
def apart(bug: str = "") -> Iterator[ApartSystem]:
    """A system on machines of its own, in a folder that is removed unless something went wrong."""
    folder = Path(tempfile.mkdtemp(prefix="partitions-"))
    try:
        with Lan() as lan, ApartSystem(folder, lan, bug) as system:
            yield system
    except (SystemExit, KeyboardInterrupt):
        shutil.rmtree(folder, ignore_errors=True)
        raise
    shutil.rmtree(folder, ignore_errors=True)


def go_through(seed: int, kind: str, count: int, result: Result, bug: str = "") -> list[Finding]:
    """Work while the network fails as planned; return what must not be."""
    plan = draw(seed, kind, count, PLANTED[bug][2] if bug else "")
    with apart(bug) as system:
        system.setup(heartbeat_s=plan.heartbeat_s)
        system.start()
        doubling, sleeping = Doubling(system), Sleeping(system, plan.durations_s)
        for _ in range(2):
            system.add_worker("-n", "2")
        system.until(lambda: system.workers_known() == 2, what="the workers have announced themselves")
        lasts_s = sum(cut.pause_s + cut.seconds for cut in plan.partitions)
        feeder = doubling.feed(int(lasts_s / FEED_PAUSE_S) + 1, FEED_PAUSE_S)
        for cut in plan.partitions:
            time.sleep(cut.pause_s)
            go_on_with(system, cut)
            result.count("partitions")
            result.count(cut.shape)
        feeder.join(DEADLINE_S)
        hang_half_open(system, sleeping, result)
        found = [Finding("stuck", "the client never got its answers")] if feeder.is_alive() else []
        if doubling.error is not None:
            found.append(Finding("unexpected", f"the client gave up: {doubling.error!r}"))
        return found + judge(system, doubling, sleeping, plan.is_strict, PLANTED_DEADLINE_S if bug else DEADLINE_S)


def hang_half_open(system: ApartSystem, sleeping: Sleeping, result: Result) -> None:
    """Let a job come while the long polls of all workers wait on connections through which nothing passes any more."""
    ends_at = time.monotonic() + DEADLINE_S
    while not sleeping.is_complete() and time.monotonic() < ends_at:
        time.sleep(0.1)
    with ExitStack() as cuts:
        for place in system.places:
            cuts.enter_context(place.cut("silent"))
        with system.client() as client, client.project(sleeping.project).transaction() as change:
            change.set("sleep:in.sleep_time[+]", 0.3)
        sleeping.count += 1
        time.sleep(1.5)
    result.count("partitions")
    result.count("half-open")


def judge(system: ApartSystem, doubling: Doubling, sleeping: Sleeping, is_strict: bool, deadline_s: float) -> list[Finding]:
    """Wait for the end, stop the server, and judge what it left."""
    ends_at = time.monotonic() + deadline_s
    while not sleeping.is_complete() and time.monotonic() < ends_at:
        time.sleep(0.1)
    alive = [worker for worker in system.workers if worker.process.poll() is None]
    found = doubling.judge(deadline_s)
    evidence = read_book(system.projects / "book.sqlite", sleeping.project)
    found += judge_book(evidence, jobs_wanted=sleeping.count)
    if len(alive) < len(system.workers):
        found.append(Finding("unexpected", "a worker ended"))
    # given back before it was begun, or when its files did not come: that is no second run
    runs = {job.job: [outcome for _, outcome in job.attempts if outcome != "interrupted"] for job in evidence.jobs}
    again = [job for job in evidence.jobs if runs[job.job] != ["finished"]]
    if is_strict:
        found += [Finding("unexpected", f"job {job.job} was run again, though its lease held: {job.attempts}") for job in again]
    if found:
        print(system.evidence())
    return found


def be_away(away_s: float, result: Result) -> list[Finding]:
    """The server cannot be reached for so long, by anyone, while jobs end: each result is delivered once, when it can be."""
    with apart() as system:
        system.setup()
        system.start()
        sleeping = Sleeping(system, [2.0, 2.0, 0.5, 0.5])
        system.add_worker("-n", "2")
        system.until(lambda: len(sleeping.running()) == 2, what="two jobs run")
        with system.server.cut("silent"):
            time.sleep(away_s)
        result.count("partitions")
        result.count("outages")
        found, attempts = sleeping.judge(DEADLINE_S)
        if attempts != [[(1, "finished")]] * 4:
            found.append(Finding("unexpected", f"a job was run again although its worker had finished it: {attempts}"))
        return found


def one(kind: str, seed: int, count: int, result: Result, bug: str = "") -> list[Finding]:
    """Go through one round of a kind."""
    if kind == "transfers":
        with apart(bug) as system:
            return cut_transfers(system, random.Random(f"transfers {seed}"), count, result)
    if kind == "outage":
        return be_away(60.0, result)
    return go_through(seed, kind, count, result, bug)


def rounds(seed: int, is_long: bool) -> Iterator[tuple[str, int, int]]:
    """The rounds to go through: kind, seed, partitions."""
    yield from [("short", seed, 6), ("long", seed, 4), ("transfers", seed, 1)]
    if is_long:
        yield "outage", seed, 0
        while True:
            seed += 1
            yield from [("short", seed, 12), ("long", seed, 8), ("transfers", seed, 3)]


def run(asked: argparse.Namespace, result: Result) -> None:
    """The part."""
    isolate(MODULE)
    signal.signal(signal.SIGTERM, _end)
    wanted = [(asked.round, asked.seed, asked.count)] if asked.round else rounds(asked.seed, asked.minutes is not None)
    if asked.bug:
        kind, count, _ = PLANTED[asked.bug]
        wanted = [(kind, asked.seed, count)]
    for kind, seed, count in wanted:
        how = f"--bug '{asked.bug}'" if asked.bug else f"--round {kind} --count {count}"
        again = f"python -m {MODULE} {how} --seed {seed}"
        for finding in _tried(lambda: one(kind, seed, count, result, asked.bug or "")):  # noqa: B023 - called at once
            result.find(finding.kind, finding.what, again)
        if result.is_over(asked.minutes):
            break
    for bug, (kind, count, _) in PLANTED.items() if asked.planted else ():
        found = _tried(lambda: one(kind, asked.seed, count, Result("planted"), bug))  # noqa: B023 - called at once
        result.plant(bug, bool(found), found[0].kind if found else "")


def _tried(action: Callable[[], list[Finding]]) -> list[Finding]:
    """What was found; a round that broke off counts as a finding."""
    try:
        return action()
    except Exception as error:
        return [Finding("unexpected", f"the round broke off: {error!r}\n" + "\n".join(getattr(error, "__notes__", [])))]


def _end(number: int, frame: object) -> NoReturn:
    """A signal that asks for the end: everything is taken down on the way out."""
    raise SystemExit(128 + number)


def _extend(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--round", choices=("short", "long", "transfers", "outage"), help="go through this round only")
    parser.add_argument("--count", type=int, default=6, help="partitions of that round, or cuts of each of its transfers")
    parser.add_argument("--bug", choices=PLANTED, help="plant a bug first")


if __name__ == "__main__":
    sys.exit(main("partitions", __doc__ or "", run, _extend))
