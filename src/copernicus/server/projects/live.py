"""One live project: lets events happen to its network, keeps the record, and performs the effects once that is durable."""

from __future__ import annotations

import asyncio
import gc
import logging
import secrets
from collections import deque
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

import msgspec

from copernicus.dataflow import engine, transaction
from copernicus.dataflow.calls import CommandAnswer, CommandCall, ControllerAnswer, Forgotten, PureAnswer, PureCall
from copernicus.dataflow.network import Network
from copernicus.dataflow.trial import Answers, Trial, try_out
from copernicus.errors import CopernicusError, InternalError, Unavailable
from copernicus.server.projects.changes import Changes
from copernicus.server.projects.ports import Jobs, ModuleCode
from copernicus.server.projects.provisional import with_partial
from copernicus.server.projects.snapshots import Snapshots
from copernicus.server.projects.states import States
from copernicus.server.storage.abc import AppendRecord, BookStore, ProjectRow, Unit

logger = logging.getLogger(__name__)


@contextmanager
def all_that_is_read_stays() -> Iterator[None]:
    """Keep the garbage collector away while projects are read: it would look through millions of objects, and find none."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


class LiveProject:
    """A project in memory, read from the log unless `network` is given. `close` makes it deaf to answers still under way."""

    def __init__(
        self,
        row: ProjectRow,
        catalog: transaction.Catalog,
        store: BookStore,
        jobs: Jobs,
        code: ModuleCode,
        clock: Callable[[], float],
        snapshots: Snapshots,
        network: Network | None = None,
    ) -> None:
        self.row, self.catalog = row, catalog
        self._store, self._jobs, self._code, self._clock, self._snapshots = store, jobs, code, clock, snapshots
        self._tasks: set[asyncio.Task[None]] = set()
        self._describing: dict[int, asyncio.Task[None]] = {}
        self._is_closed = self._is_broken = False
        self.changes = Changes()
        self.young: deque[tuple[int, bytes]] = deque()
        """Records that may not be on disk yet, the oldest first."""
        self._reading = secrets.token_hex(8)
        self.network = network or self._read()

    def slow_call_s(self, instance: int) -> float:
        """How many seconds the last call of a controller took, if that was long (else 0)."""
        return self._code.slow_call_s(self.row.id, instance)

    def _read(self) -> Network:
        # What processes keep of a former reading is nothing that a difference can be told to.
        self._reading = secrets.token_hex(8)
        network = self._snapshots.start(self.row.id)
        first = network.seq
        for _, data in self._store.records(self.row.id, network.seq):
            engine.fold(network, data)
            self._snapshots.grow(self.row.id, len(data))
        logger.info("project %s: %d records, of which %d are in a snapshot", self.row.name, network.seq, first)
        return network

    async def network_before(self, seq: int) -> Network:
        """The network as it stood at some record before `seq`, as near to it as a snapshot allows."""
        return await self._snapshots.before(self.row.id, seq)

    def close(self) -> None:
        """Answers that come from now on are thrown away."""
        self._is_closed = True
        for task in self._tasks:
            task.cancel()
        self.changes.tell()

    def resume(self) -> None:
        """Begin what is to be done, after the log was read."""
        unit = Unit()
        self.step(unit, engine.Resumed())
        unit.then(self._snapshots.make_due)
        self._store.submit(unit)

    def step(self, unit: Unit, event: engine.Event) -> engine.Outcome:
        """Let `event` happen inside `unit`. Raises `CopernicusError` when an edit is refused: nothing happened then."""
        with self._whole(event):
            outcome = engine.step(self.network, self.catalog, event, self._clock())
        if outcome.data is not None and outcome.seq is not None:
            unit.add(AppendRecord(self.row.id, outcome.seq, outcome.data))
            self._snapshots.grow(self.row.id, len(outcome.data))
            self.changes.tell()
            self.young.append((outcome.seq, outcome.data))
            unit.then(self._age)
        for effect in outcome.effects:
            self._perform(unit, effect)
        return outcome

    def _age(self) -> None:
        self.young.popleft()
        self._snapshots.make_due()

    def try_out(self, event: engine.Event, answers: Answers) -> Trial:
        """Find what would follow from `event`, as far as `answers` go; nothing is changed. Raises what refuses it."""
        with self._whole(event):
            return try_out(self.network, self.catalog, event, answers, self._clock())

    @contextmanager
    def _whole(self, event: engine.Event) -> Iterator[None]:
        """See to it that the network is whole, before and after."""
        if self._is_broken:
            raise Unavailable(f"Project {self.row.name} is being read again.", "Try again in a moment.")
        try:
            yield
        except CopernicusError:
            raise
        except Exception as error:
            # The network may be half changed; the log is not. Read it again and go on from there.
            logger.exception("step failed: project %s, %s", self.row.name, type(event).__name__)
            self._is_broken = True
            self._keep(asyncio.get_running_loop().create_task(self._read_again()))
            raise InternalError(f"The engine failed on {type(event).__name__} ({type(error).__name__}).") from error

    def _perform(self, unit: Unit, effect: transaction.Effect) -> None:
        project = self.row.id
        match effect:
            case transaction.WantJob():
                self._jobs.want(
                    unit, project, effect.id, effect.path, effect.key, effect.description, effect.why_blocked, effect.extends,
                    effect.needs,
                )  # fmt: skip
            case transaction.RenameJob():
                self._jobs.rename(unit, project, effect.id, effect.key, effect.path)
            case transaction.BlockJob():
                self._jobs.block(unit, project, effect.key, effect.why, effect.needs)
            case transaction.StopJob():
                self._jobs.stop_now(unit, project, effect.key)
            case transaction.SupersedeJob():
                self._jobs.supersede(unit, project, effect.key)
            case transaction.ClearJob():
                self._jobs.clear(unit, project, effect.key)
            case _:
                network = self.network
                unit.then(lambda: self._launch(network, effect))

    def _launch(self, network: Network, effect: transaction.Effect) -> None:
        if self._is_closed or network is not self.network:
            return
        task = asyncio.get_running_loop().create_task(self._ask(network, effect))
        self._keep(task)
        if isinstance(effect, transaction.DescribeJob):
            self._describing[effect.id] = task
            task.add_done_callback(lambda done: self._described(effect.id, done))

    def _described(self, id: int, task: asyncio.Task[None]) -> None:
        if self._describing.get(id) is task:
            del self._describing[id]

    async def until_described(self, ids: Collection[int], limit_s: float) -> None:
        """Return when these commands have said what their jobs would be, and that is durable; or after `limit_s` seconds."""
        tasks = [self._describing[id] for id in ids if id in self._describing]
        if tasks:
            await asyncio.wait(tasks, timeout=limit_s)
            await self._store.submit(Unit())

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _read_again(self) -> None:
        await self._store.submit(Unit())  # records that were made before the failure may still be on their way
        self.network, self._is_broken = self._read(), False
        self.resume()

    async def _ask(self, network: Network, effect: transaction.Effect) -> None:
        event = await self._answer(effect)
        if self._is_closed or network is not self.network:
            return
        unit = Unit()
        try:
            self.step(unit, event)
        except CopernicusError:
            logger.exception("an answer was not taken: project %s", self.row.name)
            return
        self._store.submit(unit)

    async def _answer(self, effect: transaction.Effect) -> engine.Event:
        match effect:
            case transaction.DescribeJob():
                answer = await self._code.call(CommandCall(effect.function, effect.inputs))
                assert isinstance(answer, CommandAnswer)
                return engine.JobDescribed(effect.id, effect.seen, answer.description, answer.error)
            case transaction.EvaluatePure():
                answer = await self._code.call(PureCall(effect.function, effect.inputs))
                assert isinstance(answer, PureAnswer)
                return engine.PureEvaluated(effect.key, None if answer.error else answer.outputs, answer.error)
            case transaction.StartCall():
                call = msgspec.structs.replace(effect.call, project=self.row.id, reading=self._reading)
                call = with_partial(call, self.network, States(self.network, self.row.id, self._jobs))
                answer = await self._code.call(call)
                if isinstance(answer, Forgotten):
                    return engine.CallForgotten(effect.call.instance, effect.call.seen)
                assert isinstance(answer, ControllerAnswer)
                return engine.CallEnded(effect.call.instance, effect.call.seen, answer)
        raise AssertionError(f"{type(effect).__name__} is no question to module code")
