"""The simulated server: the real `Server` with its rooms and routes, without sockets, keys and processes for module code.

Real: the order of coming up, recovery from a full disk, the watch over workers, routes with their checks and barriers,
dispatch, steering, projects with the engine, group commit. Modelled: the disk below the writer, blobs (a set), and module
code, which takes a moment to answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import fields
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from msgspec.structs import replace
from tests.proof.simulation.book import Disk, SimulatedBook
from tests.proof.simulation.judge import Judge
from tests.proof.simulation.loop import Loop
from tests.proof.simulation.network import Network, Request
from tests.proof.simulation.world import Process, World
from tests.unit import functions
from tests.unit.office import Code

from copernicus.config.settings import ServerSettings
from copernicus.dataflow.calls import Answer, Call as CodeCall, CommandAnswer
from copernicus.errors import CopernicusError, InternalError, Unavailable
from copernicus.model.jobs import Resources
from copernicus.server import app
from copernicus.server.dispatch.dispatch import Dispatch
from copernicus.server.dispatch.loans import Loans
from copernicus.server.dispatch.quarantine import Quarantine
from copernicus.server.dispatch.steering import Steering
from copernicus.server.http import jobs, projects, streams, workers
from copernicus.server.http.calls import Call, Rooms
from copernicus.server.http.repeats import Repeats
from copernicus.server.http.routing import Route
from copernicus.server.http.server import SHUTDOWN_S
from copernicus.server.peers.federation import Federation
from copernicus.server.peers.room import PeerRoom
from copernicus.server.peers.trust import Trust
from copernicus.server.projects.service import Projects
from copernicus.server.projects.snapshots import FORM, Snapshots
from copernicus.server.storage.snapshots import SnapshotFolder
from copernicus.wire.codec import encode
from copernicus.wire.endpoints import ENDPOINTS
from copernicus.wire.messages import ErrorReply, InlineBlob

PLACES: dict[str, Any] = {
    "copernicus.server.projects.live.gc": SimpleNamespace(disable=lambda: None, freeze=lambda: None, enable=lambda: None),
}


class Blobs(set[str]):
    """Blobs by hash, all of five bytes."""

    def has(self, blob: str) -> bool:
        return blob in self

    def size(self, blob: str) -> int:
        return 5


WIDE = 4
"""Every so manieth input makes a job that needs two cores, where there is a host with so many."""


class _Code(Code):
    """Module code that takes its time."""

    def __init__(self, world: World, *, are_some_wide: bool) -> None:
        super().__init__()
        self._world, self._are_some_wide = world, are_some_wide

    async def call(self, request: CodeCall) -> Answer:
        await asyncio.sleep(self._world.chance.expovariate(100.0))
        answer = await super().call(request)
        if isinstance(answer, CommandAnswer) and answer.description and self._are_some_wide:
            x = functions.asked(answer.description).get("x", 0)
            if x % WIDE == 0:
                wide = replace(answer.description, resources=Resources(cores_min=2, cores_max=None), priority=x % 3)
                return replace(answer, description=wide)
        return answer


class _Files:
    """Small files, that come inside messages."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs, self.folder = blobs, None

    async def keep(self, blobs: list[InlineBlob]) -> None:
        if blobs:
            await asyncio.sleep(0.001)
            self._blobs.update(blob.blob for blob in blobs)

    def close(self) -> None:
        """Nothing is open."""

    async def inline(self, jobs: Any, worker: Any) -> list[InlineBlob]:
        return []


class _Absent:
    """Stands for rooms that hold nothing."""

    def close(self) -> None:
        """Nothing is open."""

    forget_project = grant = lambda self, *arguments: None


class _Ports:
    """The ports: closing them lets requests in hand be answered."""

    def __init__(self, server: SimulatedServer) -> None:
        self._server = server

    async def close(self) -> None:
        self._server.is_listening = False
        for _ in range(50):
            if not self._server.pending:
                return
            await asyncio.sleep(SHUTDOWN_S / 50)


class SimulatedServer(app.Server):
    """One run of the server. `kill` ends it; a new one comes up from `disk`."""

    def __init__(
        self, world: World, disk: Disk, blobs: Blobs, network: Network, judge: Judge, heartbeat_s: float, *,
        are_some_wide: bool,
    ) -> None:  # fmt: skip
        self.world, self.disk, self.network = world, disk, network
        self.process = Process(world, "server")
        self.loop = Loop(world, self.process)
        self._judge, self._are_some_wide = judge, are_some_wide
        self._settings = ServerSettings(heartbeat_time=heartbeat_s)
        self._closing = AsyncExitStack()
        self._refusal: CopernicusError | None = Unavailable("The server is starting.", "Try again.")
        self._recovery: asyncio.Task[None] | None = None
        self._is_stopping = False
        self._run_dir = Path("/nowhere")
        self._blobs = cast(Any, blobs)
        self.pending: dict[Request, None] = {}
        self.is_listening = True
        self.process.when_killed.append(self._break)
        self.disk.die = self.process.kill
        world.after(0.0, self._begin, self.process)

    @property
    def dispatch(self) -> Dispatch:
        """The dispatch room."""
        return self._dispatch

    @property
    def is_up(self) -> bool:
        """Whether it lives, and serves."""
        return self.process.is_alive and self._refusal is None

    def end(self) -> None:
        """SIGTERM: it answers who waits, and ends."""
        self.world.trace("told to go", "server")
        self._keep(self._go)

    async def _go(self) -> None:
        with suppress(RuntimeError):  # it was killed meanwhile, and what is left of it finds no loop
            await self.stop()
        self.world.after(0.0, self.process.kill)

    def arrive(self, request: Request) -> None:
        """See `network.Server`."""
        if not self.is_listening:
            self.network.reset(request)
            return
        self.pending[request] = None
        self._judge.arrived(request)
        self.world.after(0.0, lambda: self._receive(request), self.process)

    # --- inside

    def _begin(self) -> None:
        self._keep(self._come_up)

    async def _come_up(self) -> None:
        try:
            await self._start()
        except CopernicusError as error:  # a full disk: whoever looks after it starts it again
            self.world.trace("the server does not start:", error)
            self.world.after(0.0, self.process.kill)

    def _keep(self, work: Callable[[], Any]) -> None:
        self.loop.call_soon(lambda: self.loop.create_task(work()).add_done_callback(self.loop.look))

    def _break(self) -> None:
        for request in self.pending:
            self.network.reset(request)
        self.pending.clear()

    def _receive(self, request: Request) -> None:
        self._keep(partial(self._serve, request))

    async def _serve(self, request: Request) -> None:
        is_ok = False
        try:
            route: Route = self._routes[request.path]
            call = Call(request.caller.identity, request.caller.host, True, lambda: request.is_open)
            reply = await route.answer(call, request.body)
            is_ok, body = True, encode(reply)
        except CopernicusError as error:
            body = encode(ErrorReply(error.code, error.message, error.hint, getattr(error, "seq", 0)))
            if isinstance(error, InternalError):
                self.world.failure = error
        if request in self.pending:
            del self.pending[request]
        self._judge.answered(request, is_ok, body)
        self.world.trace("answer", request.path, "to", request.caller.host, body)
        self.network.answer(request, is_ok, body)

    def _prepare(self) -> None:
        """There are no keys and folders."""

    def _build(self) -> None:
        """As `Server._build`, with what stands for disk, pool and access."""
        world, blobs = self.world, self._blobs
        self._store = cast(Any, SimulatedBook(world, self.disk, self._judge))
        self._dispatch = Dispatch(
            store=self._store, names=self._names, name_of=self._name_of, has_blob=blobs.has, clock=world.clock,
            monotonic=self.loop.time, heartbeat_s=self._settings.heartbeat_time,
        )  # fmt: skip
        code = _Code(world, are_some_wide=self._are_some_wide)
        snapshots = Snapshots(SnapshotFolder(Path("no snapshots"), FORM), self._store)
        self._projects = Projects(
            store=self._store, jobs=self._dispatch.jobs, blobs=blobs, pool=cast(Any, code), snapshots=snapshots,
            clock=world.clock,
        )  # fmt: skip
        tick, load = self._dispatch.tick, self._dispatch.load
        self._dispatch.tick = lambda: self._tick(tick)  # type: ignore[method-assign]
        self._dispatch.load = lambda: self._load(load)  # type: ignore[method-assign]
        self._dispatch.ends = self._projects
        self._dispatch.when_broken = self._recover_from
        self._store.when_refused(self._recover_from)
        self._access = self._audit = self._archives = cast(Any, _Absent())
        self._http = cast(Any, _Ports(self))
        self._files = cast(Any, _Files(blobs))
        nobody = cast(Any, SimpleNamespace(peers=list, trust=lambda peers: None))
        trust = Trust(nobody, nobody, nobody, "", "", nobody, world.clock)
        self._peers = PeerRoom(trust, nobody, nobody, keep_alive_s=1.0, reconnect_s=1.0, limit_bytes=1)
        self._federation = Federation(
            self._peers, own=self._dispatch, streams=self._dispatch.streams, loans=Loans(self._dispatch), store=self._store,
            blobs=cast(Any, blobs), clock=world.clock, monotonic=self.loop.time,
        )  # fmt: skip
        given = {
            "store": self._store, "projects": self._projects, "dispatch": self._dispatch,
            "steering": Steering(self._dispatch, self._store, world.clock),
            "quarantine": Quarantine(self._dispatch, self._store, world.clock), "access": self._access, "audit": self._audit,
            "files": self._files, "about": SimpleNamespace(authority=b""), "refusal": lambda: self._refusal,
            "federation": self._federation,
        }  # fmt: skip
        rooms = Rooms(**cast(Any, {field.name: given.get(field.name) for field in fields(Rooms)}))
        handlers = {name: one for noun in (jobs, projects, streams, workers) for name, one in noun.handlers(rooms).items()}
        repeats = Repeats()
        self._routes = {
            one.path: Route(one, handlers[one.name], rooms, repeats) for one in ENDPOINTS if one.name in handlers
        }  # fmt: skip

    def _tick(self, tick: Callable[[], None]) -> None:
        before = [worker for worker in self._dispatch.workers if not worker.is_lost]
        tick()
        for worker in before:
            if worker.is_lost:
                self._judge.lost(worker.name)
        self._judge.ticked([worker.name for worker in before if not worker.is_lost and worker.leases])

    def _load(self, load: Callable[[], None]) -> None:
        load()
        self._judge.renewed()

    @property
    def _ports(self) -> tuple[int, int]:
        return 0, 0

    async def _listen(self) -> None:
        self.network.server = self
        self._judge.came_up()

    async def _watch_certificate(self) -> None:
        """There is none."""

    async def _sweep(self) -> None:
        """Nothing is old enough."""
