"""System calls that fail: every call that server, module processes and worker make in the life of one job, one at a time.

First the calls are recorded, of all threads and of the programs that they start. Then, for each call, each error that it may
have, and each time that it is made, the n-th call of every thread fails once while a number and a file go through three jobs.
Whatever the programs do (carry on, refuse, run a job again, report it as failed, end and be started again): afterwards what was
acknowledged is there, once, and the next life, in which nothing fails, is as it should be. It takes Linux and strace.
"""

from __future__ import annotations

import argparse
import itertools
import random
import shutil
import signal
import sys
import tempfile
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import psutil
from tests.proof.checker import Finding, judge_book, judge_seen, judge_sequence, judge_values
from tests.proof.evidence import read_book
from tests.proof.mixture import Mixture, content, install_module
from tests.proof.part import Result, main
from tests.proof.planting import planted
from tests.proof.tracing import ERRORS, calls_in, check_possible, traced, was_injected

from copernicus.blobs.hashing import hash_bytes
from copernicus.client import Client
from copernicus.errors import CopernicusError
from copernicus.model.edits import Edit, SetFile, SetValue
from copernicus.testing.system import System

MODULE = "tests.proof.syscalls"
PROGRAMS = ("server", "module", "worker")
PATIENCE_S, CALM_S, PLANTED_PATIENCE_S = 120.0, 60.0, 15.0
RETRY_S = 0.1
LIVES = 40
"""Faults that one system goes through before it is stopped and judged."""
SHORT_S = 45.0
PLANTED = {"acknowledge in spite of a failed commit": "server fdatasync EIO 1"}
OUTCOMES = (
    "not reached", "carried on", "asked again", "run again", "failed job, cleared", "ended, started again",
)  # fmt: skip


@dataclass(frozen=True)
class Fault:
    """The `nth` call of each thread of a program (or of what it starts) fails with `error`."""

    program: str
    call: str
    error: str
    nth: int

    def __str__(self) -> str:
        return f"{self.program} {self.call} {self.error} {self.nth}"

    @classmethod
    def of(cls, text: str) -> Fault:
        """Read what `str` wrote."""
        program, call, error, nth = text.split()
        return cls(program, call, error, int(nth))


class World:
    """A system of real programs, and what it went through."""

    def __init__(self, folder: Path, bug: str = "") -> None:
        self.system = System(folder)
        if bug:
            self.system.environment |= planted(bug, folder / "bug")
        self.system.setup(heartbeat_s=10)
        install_module(self.system)
        self.system.start()
        self.mixture = Mixture(self.system, random.Random(1))
        self.values = itertools.count(1001)
        self.patience_s = PLANTED_PATIENCE_S if bug else PATIENCE_S
        self.refusals = self.endings = self.cleared = 0
        self.worker = self.system.worker("-n", "1")
        self.system.until(self.system.workers_known, what="the worker has announced itself")
        self.live(CALM_S)

    # --- one life

    def live(self, patience_s: float) -> bool:
        """Send a number and a file through their jobs; return whether all came to its end. Who ended is started again."""
        ends_at = time.monotonic() + patience_s
        value = next(self.values)
        with self.system.client() as client:
            self.give(client, value, SetValue("db:in.integer_inputs[+]", value), ends_at)
            self.give_file(client, next(self.values), ends_at)
        while not self.is_complete():
            if time.monotonic() > ends_at:
                return False
            self.look_after()
            time.sleep(RETRY_S)
        return True

    def is_complete(self) -> bool:
        """Whether all results are there; an error of the server is none."""
        try:
            return self.mixture.is_complete()
        except CopernicusError:
            self.refusals += 1
            return False

    def give(self, client: Client, value: int, edit: Edit, ends_at: float) -> None:
        """Ask for an edit under one id until it is acknowledged."""
        journal = self.mixture.files if isinstance(edit, SetFile) else self.mixture.numbers
        operation = journal.intend(uuid.uuid4().hex, value)
        while operation.seq is None and time.monotonic() < ends_at:
            try:
                operation.seq = client.project(self.mixture.project).apply([edit], request_id=operation.request).seq
            except CopernicusError:
                self.refused(client)

    def give_file(self, client: Client, number: int, ends_at: float) -> None:
        """Bring a file to the server and set it."""
        path = self.system.folder / "given.txt"
        path.write_bytes(content(number))
        while time.monotonic() < ends_at:
            try:
                file = client.upload(path)
            except CopernicusError:
                self.refused(client)
                continue
            self.give(client, number, SetFile("swell:in.content[+]", file), ends_at)
            return

    def refused(self, client: Client) -> None:
        """The server did not do it, or did not say so."""
        self.refusals += 1
        client.close()
        self.look_after()
        time.sleep(RETRY_S)

    def look_after(self) -> None:
        """Do what people do: start what has ended, and clear the error of a job that failed."""
        if self.system.server_process() is None:
            self.endings += 1
            self.system.start()
        if self.worker.process.poll() is not None:
            self.endings += 1
            self.worker = self.system.worker("-n", "1")
        with self.system.client() as client:
            try:
                project = client.project(self.mixture.project)
                for row in project.status().errors:
                    print(f"  in error: {row.path}: {row.why} {row.below}", flush=True)
                if project.status().errors:
                    project.clear_error()
                    self.cleared += 1
            except CopernicusError:
                return

    # --- faults

    def pids(self, program: str) -> list[int]:
        """The processes of a program."""
        server = self.system.server_process()
        if program == "worker":
            return [self.worker.pid]
        if server is None:
            return []
        return [server.pid] if program == "server" else [child.pid for child in server.children(recursive=True)]

    def suffer(self, fault: Fault) -> tuple[str, list[Finding]]:
        """Live through a fault, and then a life without; return what became of it."""
        self.refusals = self.endings = self.cleared = 0
        log = self.system.folder / "trace"
        before, threads = self.attempts(), self.threads()
        words = ("-e", f"trace={fault.call}", "-e", f"inject={fault.call}:error={fault.error}:when={fault.nth}")
        with traced(self.pids(fault.program), log, *words):
            is_complete = self.live(self.patience_s)
        injected = was_injected(log)
        found = [] if is_complete else [Finding("stuck", f"{fault}: the life did not come to its end")]
        outcome = self.outcome(before)
        if not injected:
            return OUTCOMES[0], found
        if is_complete and not self.live(CALM_S):
            found.append(Finding("stuck", f"{fault}: the next life did not come to its end"))
        if not self.endings and any(now < was for was, now in zip(threads, self.threads(), strict=True)):
            found.append(Finding("unexpected", f"{fault}: a thread has died, {threads} before, {self.threads()} now"))
        return outcome, found

    def outcome(self, before: int) -> str:
        """What became of the fault, the gravest first."""
        if self.endings:
            return OUTCOMES[5]
        if self.cleared:
            return OUTCOMES[4]
        if self.attempts() - before > 3:
            return OUTCOMES[3]
        return OUTCOMES[2] if self.refusals else OUTCOMES[1]

    def attempts(self) -> int:
        """How many attempts at jobs the book knows of."""
        return sum(len(job.attempts) for job in read_book(self.system.projects / "book.sqlite", self.mixture.project).jobs)

    def threads(self) -> tuple[int, int]:
        """How many threads server and worker have."""
        return tuple(psutil.Process(self.pids(name)[0]).num_threads() for name in ("server", "worker"))  # type: ignore[return-value]

    def record(self) -> dict[str, dict[str, int]]:
        """Which calls each program makes in one life, and how often one thread of it makes each."""
        log, found = self.system.folder / "trace", dict[str, dict[str, int]]()
        for program in PROGRAMS:
            with traced(self.pids(program), log):
                self.live(CALM_S)
            found[program] = calls_in(log)
        return found

    # --- the verdict

    def judge(self) -> list[Finding]:
        """Stop the server in good order, and judge what all lives have left."""
        mixture = self.mixture
        with self.system.client() as client:
            project = client.project(mixture.project)
            given, files = project.get("db:in.integer_inputs") or [], project.get("swell:in.content") or []
        looked = mixture.look()
        if looked is None:
            return [Finding("stuck", "the server does not answer any more")]
        self.system.stop()
        book = read_book(self.system.projects / "book.sqlite", mixture.project)
        names = {hash_bytes(content(operation.value)): operation.value for operation in mixture.files.operations}
        twice = {hash_bytes(2 * content(number)): number for number in names.values()}
        got = [None if file is None else twice.get(file.blob, -1) for file in looked[2]]
        verified = self.system.cpc_server("verify", is_checked=False)
        return [
            *judge_values(mixture.numbers, given, looked[0]),
            *judge_values(mixture.numbers, given, looked[1], times=4),
            *judge_values(mixture.files, [names.get(file.blob, -1) for file in files], got, times=1),
            *(finding for journal in (mixture.numbers, mixture.files) for finding in judge_sequence(journal, book)),
            *judge_seen(mixture.numbers),
            *judge_seen(mixture.files),
            *judge_book(book, jobs_wanted=2 * len(mixture.numbers.operations) + len(mixture.files.operations)),
            *([] if "All is well." in verified.stdout else [Finding("lost", f"verify: {verified.stdout}{verified.stderr}")]),
        ]


class Course:
    """Faults, one after the other, over as many systems as it takes."""

    def __init__(self, result: Result, bug: str = "") -> None:
        self.result, self.bug = result, bug
        self.table: dict[str, dict[str, Counter[str]]] = {program: defaultdict(Counter) for program in PROGRAMS}
        self._world: World | None = None
        self._faults: list[Fault] = []

    @property
    def world(self) -> World:
        """The present system."""
        if self._world is None:
            self._world = World(Path(tempfile.mkdtemp(prefix="syscalls-")), self.bug)
        return self._world

    def suffer(self, fault: Fault) -> None:
        """One fault more."""
        self._faults.append(fault)
        try:
            outcome, found = self.world.suffer(fault)
        except Exception as error:
            outcome, found = "broke off", [Finding("unexpected", f"{fault}: {error!r}")]
        if outcome != OUTCOMES[0]:
            self.result.count("syscall_faults")
            self.table[fault.program][fault.call][outcome] += 1
        print(f"{fault}: {outcome}", flush=True)
        self._tell(found, fault)
        if found or len(self._faults) >= LIVES:
            self.end()

    def end(self) -> None:
        """Stop the system and judge it."""
        if self._world is None:
            return
        world, self._world = self._world, None
        faults, self._faults = self._faults, []
        try:
            found = world.judge()
        except Exception as error:
            found = [Finding("unexpected", f"the system could not be judged: {error!r}")]
        if found:
            print(world.system.evidence())
        self._tell(found, *faults)
        world.system.end()
        if not found:
            shutil.rmtree(world.system.folder, ignore_errors=True)

    def drop(self) -> None:
        """Take the system down without a verdict."""
        if self._world is not None:
            self._world.system.end()
            shutil.rmtree(self._world.system.folder, ignore_errors=True)

    def _tell(self, found: list[Finding], *faults: Fault) -> None:
        named = " ".join(f"'{fault}'" for fault in faults)
        for finding in found:
            self.result.find(finding.kind, finding.what, f"python -m {MODULE} --fault {named}")

    def print_table(self) -> None:
        """Print, for each program, its calls and what became of the faults."""
        for program, calls in self.table.items():
            for call, outcomes in sorted(calls.items()):
                print(f"| {program} | {call} | " + ", ".join(f"{number} {name}" for name, number in outcomes.items()) + " |")


def all_faults(recorded: dict[str, dict[str, int]], most: int) -> Iterator[Fault]:
    """Every fault of one life: each call, each error, each of the first `most` times, and the last one."""
    for program, calls in recorded.items():
        for call, count in calls.items():
            times = sorted({*range(1, min(count, most) + 1), count})
            yield from (Fault(program, call, error, nth) for error in ERRORS.get(call, ()) for nth in times)


def run(asked: argparse.Namespace, result: Result) -> None:
    """The part."""
    check_possible()
    signal.signal(signal.SIGTERM, _end)
    course = Course(result, asked.bug or "")
    try:
        if asked.fault:
            for text in asked.fault:
                course.suffer(Fault.of(text))
        else:
            go_on(course, asked, result)
    except (SystemExit, KeyboardInterrupt):
        course.drop()
        raise
    course.end()
    course.print_table()
    for bug, text in PLANTED.items() if asked.planted else ():
        trial = Result("planted")
        mutant = Course(trial, bug)
        mutant.suffer(Fault.of(text))
        mutant.end()
        result.plant(bug, trial.sums["lost"] > 0, f"as {trial.findings[0].split(':')[0]}" if trial.findings else "")


def go_on(course: Course, asked: argparse.Namespace, result: Result) -> None:
    """Record, and go through a sample, or through all."""
    recorded = course.world.record()
    for program, calls in recorded.items():
        print(f"{program}: " + ", ".join(f"{call} {count}" for call, count in calls.items()))
    faults = list(all_faults(recorded, asked.most))
    print(f"{len(faults)} faults in all", flush=True)
    random.Random(asked.seed).shuffle(faults)
    limit_s = SHORT_S if asked.minutes is None else asked.minutes * 60
    for fault in faults:
        if time.monotonic() - result.began_at > limit_s:
            break
        course.suffer(fault)


def _end(number: int, frame: object) -> NoReturn:
    """A signal that asks for the end: everything is taken down on the way out."""
    raise SystemExit(128 + number)


def _extend(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--fault", nargs="+", metavar="'PROGRAM CALL ERROR NTH'", help="go through these faults only")
    parser.add_argument("--most", type=int, default=3, help="of how many times of one call each is tried, from the first on")
    parser.add_argument("--bug", choices=PLANTED, help="plant a bug first")


if __name__ == "__main__":
    sys.exit(main("syscalls", __doc__ or "", run, _extend))
