"""Simulated workers: the real `Agent` with its desk, exchange, heartbeat, spool and leftovers, thread by thread.

Modelled: the program of a job (`Run`), the host's disk (places in memory; what is written is durable), large files and
checkpoints on a timer (there are none), and how often the main thread looks round.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from types import ModuleType, SimpleNamespace
from typing import Any, cast

from greenlet import GreenletExit
from tests.proof.simulation import threads
from tests.proof.simulation.judge import Violation
from tests.proof.simulation.network import Network, SimulatedCaller
from tests.proof.simulation.world import Process, World
from tests.unit import functions

from copernicus.blobs.hashing import hash_bytes
from copernicus.errors import CopernicusError
from copernicus.model.jobs import LeasedJob, Report, StagedFile
from copernicus.model.values import FileRef
from copernicus.server.access.identity import Identity
from copernicus.wire.messages import CheckpointRequest
from copernicus.worker import agent
from copernicus.worker.workload import Ended, Reason

TICK_S, SHORT_POLL_S = 10.0, 10.0
CHECKPOINT_S, CHECKPOINT_LIMIT_S = 10.0, 15.0
GETS_ON = {"finished", "interrupted"}
"""Only who gets somewhere has a checkpoint to send: a program that fails, or kills its worker, comes to nothing new."""
LAST = 10**6
"""The number of the checkpoint that an attempt leaves with its report: the highest."""
COMMANDS = tuple(one.name.replace("::", "/") for one in functions.FUNCTIONS if one.kind == "command")
PROGRAMS = [
    SimpleNamespace(version="1.0", executable=SimpleNamespace(name=name, platform="smp")) for name in COMMANDS
]  # fmt: skip


class _File:
    """One file of a folder in memory."""

    def __init__(self, folder: Folder, name: str) -> None:
        self._folder, self._name = folder, name

    def __lt__(self, other: _File) -> bool:
        return self._name < other._name

    def read_bytes(self) -> bytes:
        return self._folder.files[self._name]

    def unlink(self, missing_ok: bool = False) -> None:
        self._folder.files.pop(self._name, None)

    def write(self, data: bytes) -> None:
        self._folder.files[self._name] = data


class Folder:
    """A folder in memory, as far as the spool uses one."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}

    def mkdir(self, **options: Any) -> None:
        """It is there."""

    def is_dir(self) -> bool:
        return True

    def glob(self, pattern: str) -> list[_File]:
        return [_File(self, name) for name in self.files]

    def __truediv__(self, name: str) -> _File:
        return _File(self, name)


class Place:
    """Stands for `copernicus.worker.place.Place`; it is locked as long as its process lives, or until it is unlocked."""

    def __init__(self, host: Host, process: Process) -> None:
        self.host, self.process, self.is_locked = host, process, True
        self.spool = Folder()
        self.jobs = self.blobs = self.copies = self.path = self.parent = cast(Any, f"a place on {host.name}")
        host.places.append(self)

    def left_behind(self) -> Iterator[Place]:
        for other in list(self.host.places):
            if other is not self and not (other.is_locked and other.process.is_alive):
                other.process, other.is_locked = self.process, True
                yield other

    def clear(self) -> None:
        """There are no work folders."""

    def remove(self) -> None:
        if self.process.is_alive and self in self.host.places:
            self.host.places.remove(self)

    def unlock(self) -> None:
        self.is_locked = False


class Run:
    """Stands for `copernicus.worker.workload.Attempt`: what a program does follows from the job, the attempt and chance."""

    def __init__(self, lease: LeasedJob, program: Any, cores: int, tools: Any) -> None:
        self.lease, self.cores, self.started_at = lease, cores, threads.monotonic()
        self._host: Host = tools.platform.host
        self.fate = ""
        self._reason: Reason | None = None
        self._stopped = threads.Event()

    def run(self, work: Any) -> Ended:
        """The program runs; see `Attempt.run`."""
        host, lease = self._host, self.lease
        fate, lasts_s = host.fate(lease)
        self.fate = fate
        host.runs[lease.job, lease.attempt] = self
        used = sum(one.cores for one in host.runs.values())
        if used > host.cores or self.cores < lease.description.resources.cores_min:
            raise Violation(
                "P5", "other", f"{host.name} runs jobs on {used} of {host.cores} cores, job {lease.job} on {self.cores}"
            )
        begun = threads.monotonic()
        if self._stopped.wait(lasts_s):
            threads.sleep(host.world.chance.expovariate(1.0))  # it saves a checkpoint
            return self._ended("interrupted", threads.monotonic() - begun)
        if fate == "deadly":
            host.when_it_dies(lease.job, lease.attempt)
            host.world.after(0.0, self._host.kill)
            threads.sleep(1.0)
        if fate == "hangs":
            self._stopped.wait()
            return self._ended("interrupted", threads.monotonic() - begun)
        return self._ended(cast(Any, fate), threads.monotonic() - begun)

    def _ended(self, outcome: Any, wall_s: float) -> Ended:
        lease = self.lease
        self._host.runs.pop((lease.job, lease.attempt), None)
        report = Report(lease.job, lease.attempt, outcome, cores=self.cores, wall_s=wall_s, version="1.0")
        if outcome == "finished":
            outputs = functions.evaluate(lease.description.executable.replace("/", "::"), functions.asked(lease.description))
            return Ended(_with(report, outputs=outputs))
        if self._host.world.chance.random() < 0.5:
            file = self.state(LAST)
            return Ended(_with(report, checkpoint=(StagedFile("state", file),)))
        return Ended(_with(report, error="it did not work"))

    def state(self, number: int) -> FileRef:
        """A checkpoint of this attempt, which the server has. Which one it is stands where names are."""
        name = f"{self.lease.attempt}.{number}"
        file = FileRef(hash_bytes(f"{self.lease.job}.{name}".encode()), 5, name)
        self._host.stored.add(file.blob)
        return file

    def stop(self, reason: Reason, grace_s: float | None = None) -> None:
        self._reason = self._reason or reason
        self._stopped.set()

    def check(self, now: float) -> None:
        """It keeps to its limits."""

    def progress(self) -> str:
        return ""


def _with(report: Report, **more: Any) -> Report:
    return Report(**{**{name: getattr(report, name) for name in report.__struct_fields__}, **more})


class Host:
    """A computer with one worker after the other. `fate` says what becomes of an attempt, and after how many seconds."""

    def __init__(
        self, world: World, network: Network, name: str, cores: int, fate: Callable[[LeasedJob], tuple[str, float]]
    ) -> None:
        self.world, self.network, self.name, self.cores, self.fate = world, network, name, cores, fate
        self.places: list[Place] = []
        self.process: Process | None = None
        self.agent: agent.Agent | None = None
        self.runs: dict[tuple[int, int], Run] = {}
        self.when_it_dies: Callable[[int, int], None] = lambda job, attempt: None
        self.stored = set[str]()
        """Blobs of the server."""
        self.time_left_s: float | None = None
        """How long the next worker here may stay, None: as long as it likes."""

    @property
    def is_up(self) -> bool:
        """Whether a worker runs here."""
        return self.process is not None and self.process.is_alive

    def start(self) -> None:
        """Start a worker, if none runs."""
        if not self.is_up:
            self.process = Process(self.world, self.name)
            self.process.when_killed.append(self.runs.clear)
            threads.Thread(self._main, process=self.process).start()

    def kill(self) -> None:
        """kill -9, and what it started ends with it."""
        if self.process is not None:
            self.process.kill()

    def _main(self) -> None:
        process = self.process
        assert process is not None
        platform = SimpleNamespace(
            name="smp", cores=self.cores, host=self, watch_over=lambda worker, folder: None, close=lambda: None
        )
        options = agent.Options(checkpoint_every_s=None, time_left_s=self.time_left_s)
        made = self.agent = agent.Agent(
            options, cast(Any, platform), cast(Any, PROGRAMS), cast(Any, _Connection(self)),
            cast(Any, Place(self, process)), self._say,
        )  # fmt: skip
        try:
            made.run()
        except CopernicusError:
            self.world.trace(self.name, "could not begin")
        if process.is_alive:
            self.world.after(0.0, process.kill)
            raise GreenletExit

    def _say(self, line: str) -> None:
        self.world.trace(self.name, "says", line)
        if line.startswith("Something went wrong"):  # no duty of a worker breaks off here
            raise Violation("fault", "other", line)


class _Connection:
    """Stands for `copernicus.worker.connection.ServerConnection`."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._identity = Identity("bundle", "worker", "root", projects=None, serial="of the workers")

    def caller(self, timeout_s: float = 60.0) -> SimulatedCaller:
        return SimulatedCaller(self._host.network, self._host.name, self._identity, timeout_s)

    def upload(self, file: Any, path: Any) -> None:
        """There are no large files."""

    download = upload

    def stop_downloads(self) -> None:
        """There are none."""

    close = stop_downloads


class Checkpoints:
    """Stands for `copernicus.worker.checkpoints.Checkpointer`: now and then a checkpoint of each attempt is sent over.

    Its name is a number that grows; that its content is on the server already is modelled.
    """

    def __init__(self, worker: str, desk: Any, shelf: Any, copies: Any, caller: SimulatedCaller, *others: Any) -> None:
        self._worker, self._desk, self._caller = worker, desk, caller
        self._is_over = False
        self._caller.timeout_s = CHECKPOINT_LIMIT_S
        self._taken: Counter[tuple[int, int]] = Counter()

    def run(self) -> None:
        """As `Checkpointer.run`."""
        chance = threads.here().chance
        while self._desk.wait_running() and not self._is_over:
            threads.sleep(chance.expovariate(1.0 / CHECKPOINT_S))
            for attempt in self._desk.all_running():
                lease = attempt.lease
                if attempt.fate not in GETS_ON:
                    continue
                self._taken[lease.job, lease.attempt] += 1
                file = attempt.state(self._taken[lease.job, lease.attempt])
                with suppress(CopernicusError):
                    self._caller.call(request_of(self._worker, lease, file, self._taken[lease.job, lease.attempt]))

    def close(self) -> None:
        self._is_over = True


def request_of(worker: str, lease: LeasedJob, file: FileRef, number: int) -> CheckpointRequest:
    """The message about a checkpoint."""
    return CheckpointRequest(worker, lease.job, lease.attempt, (StagedFile("state", file),), number=number)


class _Idle:
    """Stands for threads that bring files: there are none to bring."""

    def __init__(self, *arguments: Any) -> None:
        self.last_look = lambda attempt: None

    def run(self) -> None:
        """Nothing."""

    close = remove = run
    remember = unpin = lambda self, *arguments: None
    verify = path = remember


STAND_INS = {
    "threading": threads.THREADING,
    "time": threads.TIME,
    "random": threads.RANDOM,
    "uuid": threads.UUID,
    "queue": threads.QUEUE,
}


def _in_all_rooms() -> dict[str, Any]:
    """Threads, clocks and chance, wherever a room of the worker has imported them."""
    rooms = [room for room in sys.modules if room.startswith("copernicus.worker.")]
    return {
        f"{room}.{name}": stand_in
        for room in rooms
        for name, stand_in in STAND_INS.items()
        if isinstance(getattr(sys.modules[room], name, None), ModuleType)
    }


PLACES: dict[str, Any] = {
    **_in_all_rooms(),
    **{f"copernicus.worker.agent.{name}": _Idle for name in ("Fetcher", "Streamer", "Uploader", "WorkFolder", "Shelf")},
    "copernicus.worker.leftovers.BlobFolder": lambda folder, is_durable: _Idle(),
    "copernicus.worker.agent.Attempt": Run,
    "copernicus.worker.agent.Checkpointer": Checkpoints,
    "copernicus.worker.agent.node_name": lambda: threads.own_process().name,
    "copernicus.worker.agent.site_name": lambda: "",
    "copernicus.worker.agent.psutil": SimpleNamespace(virtual_memory=lambda: SimpleNamespace(total=2**34)),
    "copernicus.worker.agent.TICK_S": TICK_S,
    "copernicus.worker.exchange.SHORT_POLL_S": SHORT_POLL_S,
    "copernicus.worker.spool.write_atomic": lambda file, data: file.write(data),
    "copernicus.worker.spool.os": SimpleNamespace(listdir=lambda folder: list(folder.files)),
}
