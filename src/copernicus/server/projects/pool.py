"""The processes that run module code: calls in, answers out, whatever the modules do meanwhile."""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import signal
import sys
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from copernicus.dataflow.calls import Answer, Call, ControllerCall, Forgotten
from copernicus.errors import ModuleError
from copernicus.model.functions import ModuleSchema
from copernicus.plugin.evaluation import failure
from copernicus.plugin.lines import LINE_LIMIT_BYTES, MEMORY_LIMIT_BYTES, Reply, Request
from copernicus.server.projects.homes import Homes

logger = logging.getLogger(__name__)

START_LIMIT_S = 120.0
STOP_GRACE_S = 2.0
STDERR_TAIL_BYTES = 4096
# A call whose process died under it may have been innocent (the machine was out of memory, say): it is tried again once.
TRIES = 2
START_TRIES = 3
SLOW_CALL_S = 1.0


@dataclass(eq=False)
class _Asked:
    """A call that waits for its answer."""

    id: int
    call: Call
    line: bytes
    answer: asyncio.Future[Answer]
    tries: int = 0

    def settle(self, answer: Answer) -> None:
        if not self.answer.done():
            self.answer.set_result(answer)

    def fail(self, error: str) -> None:
        self.settle(failure(self.call, error))


class _IdOnly(msgspec.Struct):
    id: int


class Pool:
    """`size` processes that run module code. Module faults never raise here: they are the `error` of an answer.

    blobs_dir     folder of blobs, from which modules read files
    import_path   further folders of modules, separated as in PATH
    time_limit_s  a call that takes longer is an error, and its process is replaced
    memory_bytes  how much each process keeps of the controllers that it runs, so that calls carry only what is newer
    """

    def __init__(
        self,
        size: int,
        blobs_dir: Path,
        import_path: str = "",
        time_limit_s: float = 60.0,
        memory_bytes: int = MEMORY_LIMIT_BYTES,
    ) -> None:
        self.time_limit_s = time_limit_s
        self._argv = [sys.executable, "-m", "copernicus.plugin.runner", "--blobs", str(blobs_dir)]
        self._argv += ["--memory-bytes", str(memory_bytes)]
        self._argv += ["--import-path", import_path] if import_path else []
        self._ids = itertools.count(1)
        self._slots = [_Slot(self, self._argv) for _ in range(size)]
        self._homes: Homes[_Slot] = Homes()

    async def start(self) -> None:
        """Start the processes; raise `ModuleError` when they do not come up."""
        await asyncio.gather(*(slot.start() for slot in self._slots))

    async def catalog(self) -> list[ModuleSchema]:
        """Return all modules by name, those that could not be loaded with their error."""
        return self._slots[0].modules

    async def call(self, request: Call) -> Answer:
        """Return the answer to `request`. Raises nothing but `CancelledError`, when the pool is stopped."""
        number = next(self._ids)
        line = msgspec.json.encode(Request(number, request)) + b"\n"
        if len(line) > LINE_LIMIT_BYTES:
            limit = f"{LINE_LIMIT_BYTES} bytes are allowed"
            return failure(request, f"The inputs of {request.function} have {len(line)} bytes; at most {limit}.")
        asked = _Asked(number, request, line, asyncio.get_running_loop().create_future())
        if isinstance(request, ControllerCall):
            home = self._homes.of(request)
            if request.base and (home is None or not home.has(request)):
                return Forgotten()
            asked.tries = home.deaths if home is not None else 0
        self.place(asked)
        return await asked.answer

    def place(self, asked: _Asked, without: _Slot | None = None) -> None:
        """Give a call to a process: a controller's always to the same one while that lives, others to the least busy."""
        slots = [slot for slot in self._slots if slot is not without] or self._slots
        if not isinstance(asked.call, ControllerCall):
            min(slots, key=lambda slot: slot.load).send(asked)
            return
        home = self._homes.of(asked.call)
        if home is None or home.slot not in slots:
            slot = min(slots, key=lambda slot: (slot.is_starting, self._homes.number(slot)))
            home = self._homes.settle(asked.call, slot)
        home.slot.send(asked)

    def replace(self, asked: _Asked, without: _Slot) -> None:
        """Give a call whose process died to another one, which knows nothing of what the call is a difference to."""
        if isinstance(asked.call, ControllerCall):
            home = self._homes.of(asked.call)
            if home is not None:
                home.deaths = asked.tries
            if asked.call.base:
                asked.settle(Forgotten())
                return
        self.place(asked, without=without)

    def answered(self, asked: _Asked, reply: Reply) -> None:
        """Remember what a process keeps now, and tell of calls that take long."""
        if isinstance(asked.call, ControllerCall):
            self._homes.answered(asked.call, reply.does_keep, reply.took_s)
        if reply.took_s > SLOW_CALL_S:
            logger.warning("a call of %s took %.1f s; more than %g s is long", asked.call.function, reply.took_s, SLOW_CALL_S)

    def gave_up(self, asked: _Asked) -> None:
        """A call was failed for what became of its process: the next one of its instance starts with a clean sheet."""
        home = self._homes.of(asked.call) if isinstance(asked.call, ControllerCall) else None
        if home is not None:
            home.deaths = 0

    def left(self, slot: _Slot) -> None:
        """The process of a slot is gone, with all that it kept."""
        self._homes.left(slot)

    def slow_call_s(self, project: str, instance: int) -> float:
        """How long the last call of a controller took, if that was long (else 0)."""
        took_s = self._homes.took_s(project, instance)
        return took_s if took_s > SLOW_CALL_S else 0.0

    async def stop(self) -> None:
        """End the processes. Calls without an answer are cancelled."""
        await asyncio.gather(*(slot.stop() for slot in self._slots))


class _Slot:
    """One process after the other, and the calls that are in it, oldest first."""

    def __init__(self, pool: Pool, argv: list[str]) -> None:
        self.modules: list[ModuleSchema] = []
        self._pool, self._argv = pool, argv
        self._waiting: dict[int, _Asked] = {}
        self._process: asyncio.subprocess.Process | None = None
        self._is_ready = False
        self._outbox: list[bytes] = []
        self._head_since_s = 0.0
        self._fault = ""
        self._stderr_tail = b""
        self._failed_starts = 0
        self._task: asyncio.Task[None] | None = None
        self._first: asyncio.Future[None] | None = None
        self._replies = msgspec.json.Decoder(Reply)

    @property
    def is_starting(self) -> bool:
        """Whether its process is not there yet."""
        return not self._is_ready

    @property
    def load(self) -> tuple[bool, int]:
        """How busy it is, for comparison."""
        return self.is_starting, len(self._waiting)

    async def start(self) -> None:
        self._first = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._run(), name="module pool")
        await asyncio.shield(self._first)

    def send(self, asked: _Asked) -> None:
        if not self._waiting:
            self._head_since_s = asyncio.get_running_loop().time()
        self._waiting[asked.id] = asked
        if self._is_ready:
            self._write(asked.line)

    async def stop(self) -> None:
        for asked in self._waiting.values():
            asked.answer.cancel()
        self._waiting.clear()
        process, task = self._process, self._task
        if process is not None and process.stdin is not None:
            process.stdin.close()
            with suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), STOP_GRACE_S)
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    # --- one process after the other ---

    async def _run(self) -> None:
        while True:
            try:
                await self._live()
            except asyncio.CancelledError:
                raise
            except OSError as error:
                self._fault = f"The process for module code could not be started: {error}."
            was_ready, self._is_ready = self._is_ready, False
            self._pool.left(self)
            self._failed_starts = 0 if was_ready else self._failed_starts + 1
            self._bury(was_ready)
            await asyncio.sleep(min(5.0, 0.1 * 2**self._failed_starts) if self._failed_starts else 0)

    async def _live(self) -> None:
        self._fault, self._stderr_tail = "", b""
        self._outbox.clear()
        process = await asyncio.create_subprocess_exec(
            *self._argv,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=LINE_LIMIT_BYTES + 1024,
            start_new_session=True,
        )
        self._process = process
        assert process.stdout is not None
        assert process.stderr is not None
        listener = asyncio.create_task(self._listen(process.stderr))
        watch = asyncio.create_task(self._watch(process))
        try:
            self._head_since_s = asyncio.get_running_loop().time()
            self._write(msgspec.json.encode(Request(0, catalog=True)) + b"\n")
            while (line := await process.stdout.readline()).endswith(b"\n"):
                self._take(line)
        except (ValueError, msgspec.DecodeError):
            self._fault = "It sent a line that is too long or that is no reply."
        finally:
            watch.cancel()
            _kill(process)
            await process.wait()
            await asyncio.wait([listener], timeout=1.0)
            listener.cancel()
            self._process = None

    def _take(self, line: bytes) -> None:
        try:
            reply = self._replies.decode(line)
        except msgspec.ValidationError as error:
            # The module made something of the wrong type: its own fault, not the process's.
            asked = self._waiting.pop(msgspec.json.decode(line, type=_IdOnly).id, None)
            if asked is not None:
                asked.fail(f"{asked.call.function} answered with something that cannot be used: {error}.")
        else:
            if reply.modules is not None:
                self._greet(reply.modules)
            elif reply.answer is not None:
                asked = self._waiting.pop(reply.id, None)
                if asked is not None:
                    self._pool.answered(asked, reply)
                    asked.settle(reply.answer)
        self._head_since_s = asyncio.get_running_loop().time()

    def _greet(self, modules: list[ModuleSchema]) -> None:
        self.modules = modules
        self._is_ready = True
        self._failed_starts = 0
        for asked in self._waiting.values():
            self._write(asked.line)
        if self._first is not None and not self._first.done():
            self._first.set_result(None)

    def _write(self, line: bytes) -> None:
        # What is asked in one turn of the loop goes out in one write.
        if not self._outbox:
            asyncio.get_running_loop().call_soon(self._flush)
        self._outbox.append(line)

    def _flush(self) -> None:
        if self._process is not None and self._process.stdin is not None and not self._process.stdin.is_closing():
            self._process.stdin.write(b"".join(self._outbox))
        self._outbox.clear()

    async def _watch(self, process: asyncio.subprocess.Process) -> None:
        """Kill the process when the call at its head has taken too long."""
        while True:
            limit_s = self._pool.time_limit_s if self._is_ready else START_LIMIT_S
            await asyncio.sleep(min(limit_s, 60.0) / 10)
            is_busy = self._waiting or not self._is_ready
            if is_busy and asyncio.get_running_loop().time() - self._head_since_s > limit_s:
                self._fault = f"It took longer than {limit_s:g} s and was stopped."
                _kill(process)
                return

    async def _listen(self, stderr: asyncio.StreamReader) -> None:
        while chunk := await stderr.read(65536):
            self._stderr_tail = (self._stderr_tail + chunk)[-STDERR_TAIL_BYTES:]
            logger.debug("module output: %s", chunk.decode(errors="replace").rstrip())

    # --- after a death ---

    def _bury(self, was_ready: bool) -> None:
        waiting = list(self._waiting.values())
        self._waiting.clear()
        if not was_ready:
            self._bury_unborn(waiting)
            return
        if waiting:
            head = waiting[0]
            head.tries += 1
            if self._fault:
                head.fail(f"{head.call.function}: {self._fault}")
            elif head.tries >= TRIES:
                head.fail(f"{head.call.function} ended the process it ran in. {self._last_words()}".rstrip())
            if head.answer.done():
                self._pool.gave_up(head)
            logger.warning("module process ended during %s: %s", head.call.function, self._fault or self._last_words())
        self._replace(asked for asked in waiting if not asked.answer.done())

    def _bury_unborn(self, waiting: list[_Asked]) -> None:
        if self._failed_starts < START_TRIES:
            self._replace(waiting)
            return
        error = f"The process for module code does not come up. {self._fault} {self._last_words()}".rstrip()
        for asked in waiting:
            asked.fail(error)
        if self._first is not None and not self._first.done():
            self._first.set_exception(ModuleError(error))

    def _replace(self, waiting: Iterable[_Asked]) -> None:
        for asked in waiting:
            self._pool.replace(asked, without=self)

    def _last_words(self) -> str:
        return self._stderr_tail.decode(errors="replace").strip()[-1000:]


def _kill(process: asyncio.subprocess.Process) -> None:
    """End the process and all that it started: it leads a session of its own."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
