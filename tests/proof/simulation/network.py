"""The network between hosts and the server: messages that are late, lost, sent twice or cut off, and callers over it.

A request whose caller has given up may still arrive, after later ones: that is how requests are reordered. A caller may
send the same bytes twice, as the real one does when a connection breaks.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from tests.proof.simulation import threads
from tests.proof.simulation.world import Process, World

from copernicus.errors import InternalError, Unreachable, from_code
from copernicus.net.caller import TIMEOUT_S
from copernicus.server.access.identity import Identity
from copernicus.wire.codec import decode, encode
from copernicus.wire.endpoints import BY_REQUEST
from copernicus.wire.messages import ErrorReply, Message


class Weather:
    """How the network is: chances by message."""

    def __init__(self, lost: float = 0.0, twice: float = 0.0, late: float = 0.0, late_s: float = 10.0) -> None:
        self.lost, self.twice, self.late, self.late_s = lost, twice, late, late_s


class Request:
    """One request on its way, or at the server; `answer` is called once at most, with (is ok, body)."""

    def __init__(self, caller: SimulatedCaller, path: str, body: bytes) -> None:
        self.caller, self.path, self.body = caller, path, body
        self.is_open = True
        self.result: tuple[bool, bytes] | None = None
        self.waiting: deque[Any] = deque()

    def settle(self, result: tuple[bool, bytes]) -> None:
        """The first answer counts."""
        if self.result is None:
            self.result = result
            if self.waiting:
                self.waiting[0].wake()


class Server(Protocol):
    """Where requests arrive."""

    process: Process

    def arrive(self, request: Request) -> None:
        """A request is here; `Network.answer` or `Network.reset` follows, or nothing."""


class Network:
    """All links to one server. `cut` holds (host, direction) of links that are cut: "up" to the server, "down" from it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.server: Server | None = None
        self.weather = Weather()
        self.cut: set[tuple[str, str]] = set()

    def send(self, request: Request) -> None:
        """A request sets out; it may arrive twice, or never."""
        self._carry(request.caller.host, "up", lambda: self._arrive(request))
        if self.world.chance.random() < self.weather.twice:
            self._carry(request.caller.host, "up", lambda: self._arrive(request))

    def answer(self, request: Request, is_ok: bool, body: bytes) -> None:
        """The server's answer sets out."""
        self._carry(request.caller.host, "down", lambda: request.settle((is_ok, body)))

    def reset(self, request: Request) -> None:
        """The connection is refused, or breaks."""
        self._carry(request.caller.host, "down", lambda: request.settle((False, b"")))

    def give_up(self, request: Request) -> None:
        """The caller has closed its connection; the server sees that when it is told."""

        def close() -> None:
            request.is_open = False

        self._carry(request.caller.host, "up", close)

    def _arrive(self, request: Request) -> None:
        server = self.server
        if server is None or not server.process.is_alive:
            self.reset(request)
        else:
            server.arrive(request)

    def _carry(self, host: str, direction: str, action: Callable[[], None]) -> None:
        weather, chance = self.weather, self.world.chance
        if (host, direction) in self.cut or chance.random() < weather.lost:
            return
        delay = chance.uniform(0.0005, 0.02)
        if chance.random() < weather.late:
            delay += chance.expovariate(1.0 / weather.late_s)
        self.world.after(delay, action)


class SimulatedCaller:
    """Stands for `copernicus.net.caller.Caller`: same messages, same errors. For one thread at a time."""

    def __init__(self, network: Network, host: str, identity: Identity, timeout_s: float = TIMEOUT_S) -> None:
        self.network, self.host, self.identity, self.timeout_s = network, host, identity, timeout_s
        self._request: Request | None = None

    def call(self, request: Message, timeout_s: float | None = None) -> Any:
        """See `Caller.call`."""
        endpoint = BY_REQUEST[type(request)]
        sent = self._request = Request(self, endpoint.path, encode(request))
        self.network.world.trace(self.host, "asks", endpoint.name, sent.body)
        self.network.send(sent)
        threads.wait(sent.waiting, self.timeout_s if timeout_s is None else timeout_s)
        self._request = None
        if sent.result is None:
            self.network.give_up(sent)
            raise Unreachable("The server has not answered.", "Try again.")
        is_ok, body = sent.result
        if is_ok:
            return decode(body, endpoint.reply)
        if not body:
            raise Unreachable("The connection broke.", "Try again.")
        failure = decode(body, ErrorReply)
        error = from_code(failure.code, failure.message, failure.hint, failure.seq)
        if isinstance(error, InternalError):
            self.network.world.trace(self.host, "is told of a fault", failure.message)
        raise error

    def again(self) -> SimulatedCaller:
        """See `Caller.again`."""
        return SimulatedCaller(self.network, self.host, self.identity, self.timeout_s)

    def interrupt(self) -> None:
        """See `Caller.interrupt`."""
        if self._request is not None:
            self._request.settle((False, b""))

    def close(self) -> None:
        """See `Caller.close`."""
