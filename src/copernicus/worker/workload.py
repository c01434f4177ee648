"""One attempt at a job: folder, files, start, wait, judge, collect, clean up."""

from __future__ import annotations

import contextlib
import functools
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import msgspec

from copernicus.errors import CopernicusError, Unreachable
from copernicus.model.counts import gigabytes
from copernicus.model.jobs import LeasedJob, Report, StagedFile
from copernicus.plugin.containers import Berth, end_container, filled
from copernicus.plugin.registry import Found
from copernicus.worker.collecting import Collector, MissingOutput, Parcel
from copernicus.worker.environment import THREADS, check_job_environment, own_environment, program_environment
from copernicus.worker.execution import executed, located
from copernicus.worker.folder import WorkFolder
from copernicus.worker.gpus import Device, Gpus, NoGpu
from copernicus.worker.harvest import STREAMS, Harvest
from copernicus.worker.judging import Judgement, judge
from copernicus.worker.live_folder import LiveFolder
from copernicus.worker.platforms import Platform
from copernicus.worker.processes import TAG, WARM, CannotStart, Launch, Lost, Process
from copernicus.worker.shelf import Shelf, size_on_disk

STREAM_LIMIT_BYTES = 256 * 1024**2
GRACE_S = 10.0
Reason = Literal["", "unwanted", "held", "stopped", "leaving", "wall time", "too much output", "too much memory"]
TOO_MUCH: frozenset[Reason | None] = frozenset({"too much output", "too much memory"})
ASKED_TO: frozenset[Reason | None] = frozenset({"unwanted", "held", "stopped", "leaving"})


@dataclass(frozen=True)
class Tools:
    """What every attempt of a worker uses. `last_look` is called when a program has ended, before its files go."""

    worker: str
    platform: Platform
    shelf: Shelf
    gpus: Gpus = field(default_factory=Gpus)
    inline_limit_bytes: int = 65536
    grace_s: float = GRACE_S
    environment: Mapping[str, str] = field(default_factory=own_environment)
    last_look: Callable[[Attempt], None] = lambda attempt: None


@dataclass(frozen=True)
class Ended:
    """How an attempt ended, with the content that goes with the report."""

    report: Report
    parcel: Parcel = field(default_factory=Parcel)


class Attempt:
    """One attempt at a leased job. `run` is for one thread; everything else may be called from any."""

    def __init__(self, lease: LeasedJob, program: Found | None, cores: int, tools: Tools) -> None:
        self.lease = lease
        self.cores = cores
        self.started_at = time.monotonic()
        self._program = program
        self._tools = tools
        self._tag = f"{tools.worker}/{lease.job}.{lease.attempt}"
        self._lock = threading.Lock()
        self._process: Process | None = None
        self.live = LiveFolder()
        self._reason: Reason | None = None
        self._kill_at: float | None = None
        self._bytes_in = 0
        self._memory_bytes = 0
        self._gpus: tuple[Device, ...] = ()

    # --- the attempt's own thread ---

    def run(self, work: WorkFolder) -> Ended:
        """Make the attempt and return how it ended; never raises, and leaves neither process nor file behind."""
        is_alone = True
        try:
            folder = work.prepare()
            self._stage(folder)
            self.live.begin(folder)
            with self._claimed() as cpus:
                begun = time.monotonic()
                status, is_alone = self._execute(folder, cpus)
                wall_s = time.monotonic() - begun
            return self._conclude(Harvest(folder), status, wall_s)
        except _Stopped:
            return Ended(self._report("interrupted", self._why()))
        except ValueError as error:
            return Ended(self._report("failed", self._not_started(error)))
        except (CannotStart, NoGpu) as error:
            return self._unable("failed", self._not_started(error))
        except Lost as error:
            return self._unable("retry", f"The program was lost: {error}.")
        except Unreachable as error:  # while files were fetched: not the job's fault, so it does not count
            return Ended(self._report("interrupted", f"Its files could not be fetched: {error.message}"))
        except CopernicusError as error:
            return self._unable("retry", f"The worker could not do it: {error}")
        except OSError as error:
            return self._unable("retry", f"The worker could not do it: {error.strerror} ({error.filename}).")
        except Exception as error:  # a fault of ours must not lose the job
            return self._unable("retry", f"The worker failed: {type(error).__name__}: {error}.")
        finally:
            self.live.end()
            work.clear(is_alone)

    @contextlib.contextmanager
    def _claimed(self) -> Iterator[frozenset[int] | None]:
        """Hold cores and GPUs; gives the numbers of the cores."""
        platform, gpus, resources = self._tools.platform, self._tools.gpus, self.lease.description.resources
        self._gpus = gpus.claim(resources.gpus, resources.gpu_kind)
        try:
            cpus = platform.claim(self.cores)
            try:
                yield cpus
            finally:
                platform.release(cpus, self.cores)
        finally:
            gpus.release(self._gpus)

    def _not_started(self, error: Exception) -> str:
        return f"{self.lease.description.executable} was not started: {error}."

    def _unable(self, outcome: Literal["failed", "retry"], error: str) -> Ended:
        """The program was never judged: what keeps this worker from running it may not keep another."""
        return Ended(msgspec.structs.replace(self._report(outcome, error), is_workers_fault=True))

    def _stage(self, folder: Path) -> None:
        lease = self.lease
        check_job_environment(lease.description.environment)
        if lease.description.files or lease.checkpoint:
            staged = (*lease.description.files, *lease.checkpoint)
            self._tools.shelf.stage(staged, folder)
            self._bytes_in = sum(one.file.size for one in staged)

    def _execute(self, folder: Path, cpus: frozenset[int] | None) -> tuple[int, bool]:
        """Run the program to its end; return its exit status and whether nothing of it is left."""
        platform = self._tools.platform
        launch = self._launch(folder, cpus)
        if self._is_stopping():
            raise _Stopped
        process = platform.start(launch)
        with self._lock:
            self._process = process
            if self._is_stopping():  # since a moment ago: it could not be told yet
                process.send(signal.SIGTERM)
        is_alone, status = False, None
        try:
            status = process.wait()
        finally:
            with self._lock:
                self._process = None
            is_alone = platform.end(process.pid, self._tag)
            self._end_container(folder, status)
        return status, is_alone

    def _launch(self, folder: Path, cpus: frozenset[int] | None) -> Launch:
        description = self.lease.description
        if self._program is None:
            raise CannotStart(f"this worker has no {description.executable} {description.versions}".rstrip())
        executable = self._program.executable
        shared = program_environment(self._tools.environment, executable.environment, self.cores)
        own = {TAG: self._tag, "TMPDIR": str(folder), **self._tools.gpus.environment(self._gpus)}
        environment = {**shared, **description.environment, **own}
        before: tuple[str, ...] = ()
        if executable.container is not None:
            before = filled(
                executable.container.prefix, self._berth(folder, {**executable.environment, **description.environment, **own})
            )
        return Launch(
            argv=(*located((*before, *executable.argv)), *description.arguments),
            folder=folder,
            stdout=folder / "stdout",
            stderr=folder / "stderr",
            environment=environment,
            tag=self._tag,
            cores=self.cores,
            cpus=cpus,
            memory_bytes=description.resources.memory_bytes,
            warm="" if before else executable.warm,
            warm_argv=description.arguments,
            warm_environment={**shared, TAG: f"{self._tools.worker}/{WARM}"},
        )

    def _berth(self, folder: Path, environment: Mapping[str, str]) -> Berth:
        """What the attempt's container is to know."""
        gpus = ",".join(device.identity for device in self._gpus)
        name = f"cpc-{self._tag}".replace("/", "-")
        return Berth(str(folder), name, self.cores, gpus, {**dict.fromkeys(THREADS, str(self.cores)), **environment})

    def _end_container(self, folder: Path, status: int | None) -> None:
        container = self._program.executable.container if self._program else None
        if container is not None and status != 0:
            end_container(container, self._berth(folder, {}))

    def _conclude(self, harvest: Harvest, status: int, wall_s: float) -> Ended:
        self._tools.last_look(self)
        collector = Collector(harvest, self._tools.shelf, self._tools.inline_limit_bytes)
        evidence = _Evidence(self, harvest, collector, status)
        tails = {stream: harvest.tail(stream) for stream in STREAMS}
        outputs = {}
        judgement, outcome = self._judged(evidence)
        if outcome == "finished":
            try:
                outputs = collector.outputs(self.lease.description)
            except MissingOutput as error:
                outcome, judgement = "failed", Judgement("failed", str(error))
                if not self.lease.description.checkpoint:
                    collector.let_go()
        if outcome == "finished":
            checkpoint = collector.last_checkpoint(self.lease.description)
        else:
            checkpoint = evidence.checkpoint
        report = self._report(outcome, judgement.why, collector.parcel.size_bytes)
        report = msgspec.structs.replace(
            report,
            outputs=outputs,
            exit_status=status,
            stdout_tail=tails["stdout"],
            stderr_tail=tails["stderr"],
            checkpoint=checkpoint,
            cores_max=judgement.cores_max,
            wall_s=wall_s,
            is_overtime=self._reason == "wall time" and outcome == "retry",
        )
        return Ended(report, collector.parcel)

    def _judged(self, evidence: _Evidence) -> tuple[Judgement, Literal["finished", "failed", "retry", "interrupted"]]:
        """A program that was stopped has not finished, whatever it says; otherwise the job's rules decide."""
        if self._reason in ASKED_TO:
            return Judgement("retry", self._why()), "interrupted"
        if self._reason == "wall time":
            # Without progress the next attempt would end the same way: it must count, though not as the program's failure.
            return Judgement("retry", self._why()), "interrupted" if evidence.has_progress else "retry"
        if self._reason in TOO_MUCH:
            return Judgement("failed", self._why()), "failed"
        lease = self.lease
        try:
            failures = lease.attempt - 1 if lease.failures is None else lease.failures
            judgement = judge(lease.description, failures + 1, self.cores, evidence)
        except ValueError as error:
            return Judgement("failed", f"Its rules cannot be applied: {error}."), "failed"
        return judgement, judgement.outcome

    # --- any thread ---

    def stop(self, reason: Reason, grace_s: float | None = None) -> None:
        """Ask the program to end (SIGTERM); kill it when `grace_s` seconds are over (0: at once). Said again: only sooner."""
        kill_at = time.monotonic() + (self._tools.grace_s if grace_s is None else grace_s)
        with self._lock:
            is_first = self._reason is None
            self._reason = self._reason or reason
            self._kill_at = min(kill_at, self._kill_at or kill_at)
            if is_first and self._process is not None:
                self._process.send(signal.SIGKILL if grace_s == 0 else signal.SIGTERM)
                self._process.send(signal.SIGCONT)

    def check(self, now: float) -> None:
        """Hold the attempt to its limits; to be called about twice a second. `now` is monotonic."""
        with self._lock:
            process, kill_at, folder = self._process, self._kill_at, self.live.path
        if process is None or folder is None:
            return
        if kill_at is not None:
            if now >= kill_at:
                process.send(signal.SIGKILL)
            return
        resources = self.lease.description.resources
        if resources.wall_time_s is not None and now - self.started_at > resources.wall_time_s:
            self.stop("wall time")
        elif any(size_on_disk(folder / stream) > STREAM_LIMIT_BYTES for stream in STREAMS):
            self.stop("too much output", 0.0)
        elif resources.memory_bytes is not None and self._exceeds(process, resources.memory_bytes):
            self.stop("too much memory", 0.0)

    def _exceeds(self, process: Process, memory_bytes: int) -> bool:
        used = self._tools.platform.used_bytes(process.pid, self._tag, memory_bytes)
        with self._lock:  # if it has ended meanwhile, the number of the process may have been somebody else's
            if self._process is not process or used <= memory_bytes:
                return False
            self._memory_bytes = used
        return True

    def progress(self) -> str:
        """Return the last line that the program printed, for people."""
        with self.live.held() as folder:
            tails = [Harvest(folder).tail(stream).strip() for stream in STREAMS] if folder is not None else []
        return next((tail.splitlines()[-1][-200:] for tail in tails if tail), "")

    def _is_stopping(self) -> bool:
        return self._reason is not None

    def _why(self) -> str:
        name, asked = self.lease.description.executable, self.lease.description.resources
        return {
            "unwanted": f"{name} was stopped: nobody wants it any more.",
            "held": f"{name} was stopped: it is held.",
            "stopped": f"{name} was stopped by a person.",
            "leaving": f"{name} was interrupted: the worker had to stop.",
            "wall time": f"{name} was stopped: its wall time of {asked.wall_time_s} s was over.",
            "too much output": f"{name} was stopped: it printed more than {STREAM_LIMIT_BYTES >> 20} MiB.",
            "too much memory": f"{name} was stopped: it used {gigabytes(self._memory_bytes)} of memory, "
            f"{gigabytes(asked.memory_bytes or 0)} were asked for.",
            "": "",
            None: "",
        }[self._reason]

    def _report(self, outcome: Literal["finished", "failed", "retry", "interrupted"], error: str, bytes_out: int = 0) -> Report:
        lease, found = self.lease, self._program
        report = Report(lease.job, lease.attempt, outcome, error=error, cores=self.cores)
        if found is None:
            return report
        gpus = tuple(device.gpu.name for device in self._gpus)
        execution = executed(found.executable, self._tools.environment, self._bytes_in, bytes_out, gpus)
        return msgspec.structs.replace(report, version=found.version, execution=execution)


class _Stopped(Exception):
    """Stopped before the program was started."""


class _Evidence:
    """What judging asks of an ended attempt."""

    def __init__(self, attempt: Attempt, harvest: Harvest, collector: Collector, status: int) -> None:
        self.exit_status = status
        self._harvest = harvest
        self._lease = attempt.lease
        self._collector = collector

    @functools.cached_property
    def checkpoint(self) -> tuple[StagedFile, ...]:
        return self._collector.checkpoint(self._lease.description)

    @functools.cached_property
    def has_progress(self) -> bool:
        before = {(staged.name, staged.file.blob) for staged in self._lease.checkpoint}
        return any((staged.name, staged.file.blob) not in before for staged in self.checkpoint)

    def says(self, stream: str, pattern: str) -> bool:
        return self._harvest.search(stream, pattern) is not None

    def has(self, pattern: str) -> bool:
        return bool(self._harvest.find(pattern))
