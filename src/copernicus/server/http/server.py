"""Both ports: TLS sites, who calls, limits, and the way from a request to an answer."""

from __future__ import annotations

import asyncio
import errno
import logging
import ssl
import time
from collections.abc import Callable
from urllib.parse import unquote

from aiohttp import web

from copernicus.errors import (
    CopernicusError,
    NotAllowed,
    NotAuthenticated,
    SettingsError,
    TooLarge,
    Unavailable,
    UnknownPath,
    UsageError,
)
from copernicus.net.tls import is_bundle_certificate, serial_of
from copernicus.server.access.identity import ANONYMOUS, Identity, authorise
from copernicus.server.access.rates import Rates
from copernicus.server.http import archives, blobs
from copernicus.server.http.calls import Call, Rooms
from copernicus.server.http.failures import failure, fault, starved
from copernicus.server.http.lines import SERVE_MANY, Port
from copernicus.server.http.links import link_server, peer_identity
from copernicus.server.http.metrics import Meter
from copernicus.server.http.routing import all_handlers, build_routes
from copernicus.wire.codec import encode
from copernicus.wire.endpoints import ARCHIVES, BESIDE, LINK, METRICS, PROTOCOL, Beside, Policy

KEEP_ALIVE_S = 300.0
SHUTDOWN_S = 5.0
READ_BUFFER_BYTES = 256 * 1024
MOST_CONNECTIONS = 20_000
MOST_ANONYMOUS_BYTES = 64 * 1024
ANONYMOUS_PER_S = 20.0
WORKERS_SHARE = 10.0  # of the rate that a user has
_log = logging.getLogger(__name__)


class HttpServer:
    """The server's two doors. On the client port a session's token says who calls, on the secure port the certificate."""

    def __init__(self, rooms: Rooms, message_limit_bytes: int, rate_limit: float = 0.0, patience_s: float = 60.0) -> None:
        self._rooms = rooms
        self.limit_bytes, self.rate_limit, self.patience_s = message_limit_bytes, rate_limit, patience_s
        self._rates = Rates(time.monotonic)
        self._meter = Meter()
        self._routes = build_routes(rooms, all_handlers(rooms))
        rooms.peers.serve = link_server(rooms, self._routes, lambda: self.limit_bytes)
        self._runners: list[web.ServerRunner] = []
        self._servers: list[web.Server] = []

    async def listen(self, host: str | None, port: int, context: ssl.SSLContext, *, is_secure_port: bool) -> None:
        """Open one port; raise `SettingsError` when that cannot be."""

        async def handle(request: web.BaseRequest) -> web.StreamResponse:
            return await self._handle(request, is_secure_port=is_secure_port)

        server = Port(
            self._rooms.lines,
            lambda: self.patience_s,
            handle,
            access_log=None,
            keepalive_timeout=KEEP_ALIVE_S,
            read_bufsize=READ_BUFFER_BYTES,
            auto_decompress=False,
        )
        runner = web.ServerRunner(server)
        await runner.setup()
        site = web.TCPSite(
            runner, host, port, ssl_context=context, backlog=1024, reuse_address=True, shutdown_timeout=SHUTDOWN_S
        )  # fmt: skip
        try:
            await site.start()
        except OSError as error:
            await runner.cleanup()
            name = "server_secure_port" if is_secure_port else "client_secure_port"
            hint = f"Choose another one: cpc-server config {name} NUMBER" if error.errno == errno.EADDRINUSE else ""
            raise SettingsError(f"The port {port} ({name}) cannot be used: {error.strerror}.", hint) from None
        self._servers.append(server)
        self._runners.append(runner)

    async def close(self) -> None:
        """Close both ports; requests in hand are answered, as far as they come to an end soon."""
        await asyncio.gather(*(runner.cleanup() for runner in self._runners))

    async def _handle(self, request: web.BaseRequest, *, is_secure_port: bool) -> web.StreamResponse:
        response = await self._answer_anyhow(request, is_secure_port=is_secure_port)
        self._meter.answers[response.status] += 1
        return response

    async def _answer_anyhow(self, request: web.BaseRequest, *, is_secure_port: bool) -> web.StreamResponse:
        path = request.rel_url.raw_path
        try:
            return await self._answer(request, path, is_secure_port=is_secure_port)
        except CopernicusError as error:
            return failure(error)
        except (ConnectionError, web.RequestPayloadError) as error:
            _log.debug("the connection of %s broke: %s", request.remote, error)
            return failure(UsageError("The request was cut."))
        except Exception as error:
            if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno is not None):
                return starved(error, f"{request.method} {path}")
            return fault(error, f"{request.method} {path}")

    async def _answer(self, request: web.BaseRequest, path: str, *, is_secure_port: bool) -> web.StreamResponse:
        if sum(len(server.connections) for server in self._servers) > MOST_CONNECTIONS:
            raise Unavailable("The server has too many connections.", "Try again later.")
        _check_protocol(request)
        try:
            identity = await self._identify(request, is_secure_port=is_secure_port)
        except CopernicusError:
            self._count(request, ANONYMOUS)  # whoever guesses tokens
            raise
        self._count(request, identity)
        beside = next((row for row in BESIDE if row.is_for(request.method, path)), None)
        if identity.kind == "peer" and (beside is None or beside.prefix != LINK):
            raise NotAllowed("What a server has to say to this one, it says over its link.")
        if beside is not None:
            return await self._answer_beside(request, identity, beside, unquote(path.removeprefix(beside.prefix)))
        route = self._routes.get(path)
        if route is None or request.method != "POST":
            raise UnknownPath(f"There is nothing at {request.method} {path[:200]}.", "Is the program of another version?")
        is_open_to_all = route.endpoint.policy is Policy.ANYONE
        if not is_open_to_all:
            authorise(Policy.ANY_BUNDLE_OR_USER, identity)  # before the body is read
        body = await self._read(request, MOST_ANONYMOUS_BYTES if is_open_to_all else self.limit_bytes)
        call = Call(identity, request.remote or "", is_secure_port, _is_open(request), request.protocol)
        reply = await route.answer(call, body)
        return web.Response(body=encode(reply), content_type="application/json")

    def _count(self, request: web.BaseRequest, identity: Identity) -> None:
        """Raise `TooMany` for whoever asks too often, or over too many connections."""
        address = request.remote or ""
        self._rooms.lines.heard(request.protocol, identity, address)
        if identity.kind == "anonymous":
            self._rates.take(f"address {address}", min(self.rate_limit, ANONYMOUS_PER_S))
        else:
            many = WORKERS_SHARE if identity.role in SERVE_MANY else 1.0
            self._rates.take(identity.key, self.rate_limit * many)

    async def _identify(self, request: web.BaseRequest, *, is_secure_port: bool) -> Identity:
        if is_secure_port:
            shown = request.transport.get_extra_info("ssl_object") if request.transport is not None else None
            issuer = self._issuer(shown)
            if issuer and issuer != self._rooms.about.fingerprint:
                return peer_identity(self._rooms, issuer)
            serial = serial_of(shown) if issuer else None
            if serial is None:
                raise NotAuthenticated("The certificate is not a bundle's.", "Use a bundle of this server.")
            return await self._rooms.door.identify(serial, None)
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        return await self._rooms.door.identify(None, token.strip() if scheme.lower() == "bearer" else None)

    def _issuer(self, shown: ssl.SSLObject | None) -> str:
        """The server whose CA issued the certificate that the caller shows (a bundle's, or a peer's for its links)."""
        certificate = shown.getpeercert(binary_form=True) if shown is not None else None
        return self._rooms.peers.issuers.of(certificate) if certificate and is_bundle_certificate(certificate) else ""

    async def _answer_beside(
        self, request: web.BaseRequest, identity: Identity, beside: Beside, name: str
    ) -> web.StreamResponse:
        authorise(beside.policy, identity, name)
        if beside.prefix == METRICS:
            return self._meter.response(self._rooms)
        if beside.prefix == LINK:
            return await self._rooms.peers.take_in(request, identity.serial)
        if beside.prefix == ARCHIVES:
            return await archives.get(self._rooms, request, identity, name)
        if request.method == "GET":
            return await blobs.get(self._rooms, request, name)
        return await blobs.patch(self._rooms, request, name, self.patience_s)

    async def _read(self, request: web.BaseRequest, limit_bytes: int) -> bytes:
        """The body; raise `TooLarge` before more than the limit is in memory."""
        error = TooLarge(f"The message is larger than {limit_bytes} bytes.", "Send files as blobs, edits in several lists.")
        if limit_bytes and (request.content_length or 0) > limit_bytes:
            raise error
        chunks, count = list[bytes](), 0
        async for chunk in blobs.patiently(request, self.patience_s):
            count += len(chunk)
            if limit_bytes and count > limit_bytes:
                raise error
            chunks.append(chunk)
        return b"".join(chunks)


def _check_protocol(request: web.BaseRequest) -> None:
    spoken = request.headers.get("Copernicus-Protocol", str(PROTOCOL))
    if spoken != str(PROTOCOL):
        raise UsageError(
            f"The program speaks version {spoken[:20]} of the protocol, this server version {PROTOCOL}.",
            "Install the same version on both sides.",
        )


def _is_open(request: web.BaseRequest) -> Callable[[], bool]:
    def is_open() -> bool:
        transport = request.transport
        return transport is not None and not transport.is_closing()

    return is_open
