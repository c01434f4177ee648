"""A small real server for the carrier's tests: TLS on loopback, the blob protocol, a few messages."""

from __future__ import annotations

import datetime
import http.server
import socketserver
import ssl
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, urlsplit

from copernicus.blobs.folder import BlobFolder, WrongOffset
from copernicus.errors import CopernicusError, NotAuthenticated
from copernicus.model.secret import Secret
from copernicus.net import tls
from copernicus.net.bundle import FORMAT, Bundle
from copernicus.net.caller import Caller
from copernicus.net.keys import KeyFolder
from copernicus.wire import messages as m
from copernicus.wire.codec import decode, encode
from copernicus.wire.endpoints import BLOBS, BY_NAME, PREFIX

PASSWORD = "a long enough password"
NOW = datetime.datetime.now(datetime.UTC)
DAY = datetime.timedelta(days=1)


def made_keys(folder: Path) -> KeyFolder:
    """Return a new CA with a server certificate for loopback."""
    keys = KeyFolder(folder)
    keys.create(NOW)
    keys.renew_server_certificate(["127.0.0.1"], NOW)
    return keys


def made_bundle(keys: KeyFolder, port: int, serial: int = 0xABC, ends: datetime.datetime = NOW + DAY) -> Bundle:
    """Return a bundle of the server with these keys, without any book."""
    certificate, key = keys.issue_bundle_certificate(serial, NOW - 2 * DAY, ends)
    hosts, authority = ("127.0.0.1",), keys.authority()
    return Bundle(FORMAT, "test", hosts, port, port, authority, certificate, key, f"{serial:x}", "admin", "root", (), 4e9)


class SmallServer:
    """Listens until closed. `requests` holds (connection number, what came); a connection ends after `closes_after`."""

    def __init__(self, keys: KeyFolder, blobs: BlobFolder | None = None, *, is_secure: bool = False) -> None:
        self.keys, self.blobs = keys, blobs
        self.requests: list[tuple[int, str]] = []
        self.connections = 0
        self.closes_after = 10**9
        self.answers: dict[str, Callable[[Any], m.Message]] = {
            "authority": lambda request: m.AuthorityReply(keys.authority()),
            "login": self._login,
            "server-info": lambda request: m.ServerInfoReply("small", "f", "1", 1, 1, 2, "root", 0.0),
        }
        self.context = tls.server_client_port_context(keys.server_certificate, keys.server_key)
        if is_secure:
            self.context = tls.server_secure_port_context(keys.server_certificate, keys.server_key, keys.authority())
        self._is_secure = is_secure
        handler = type("Handler", (Handler,), {"owner": self})
        self._http = Listener(("127.0.0.1", 0), handler)
        self._http.context = self.context
        self.port = int(self._http.server_address[1])
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()

    def caller(self, port: int | None = None) -> Caller:
        """Return a caller that pins this server's CA (or shows a bundle of it), directly or through `port`."""
        bundle = made_bundle(self.keys, port or self.port)
        if self._is_secure:
            return Caller.of_bundle(bundle)
        return Caller("127.0.0.1", port or self.port, tls.client_context(self.keys.authority()))

    def _login(self, request: m.LoginRequest) -> m.LoginReply:
        if request.password.reveal() != PASSWORD:
            raise NotAuthenticated("User name or password is wrong.", "Try again.")
        return m.LoginReply(Secret("token"), request.user, time.time() + 60)

    def __enter__(self) -> SmallServer:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._http.shutdown()
        self._http.server_close()


class Listener(socketserver.ThreadingMixIn, http.server.HTTPServer):
    """Makes the TLS handshake in the connection's own thread."""

    daemon_threads = True
    block_on_close = False
    context: ssl.SSLContext

    def finish_request(self, request: Any, client_address: Any) -> None:
        with self.context.wrap_socket(request, server_side=True) as secured:
            self.RequestHandlerClass(secured, client_address, self)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Refused handshakes and cut connections are what the tests are about."""


class Handler(http.server.BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    owner: SmallServer

    def setup(self) -> None:
        super().setup()
        self.owner.connections += 1
        self.number, self.served = self.owner.connections, 0

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def handle_one_request(self) -> None:
        super().handle_one_request()
        self.served += 1
        self.close_connection |= self.served >= self.owner.closes_after

    def do_POST(self) -> None:
        name = self.path.removeprefix(PREFIX)
        self.owner.requests.append((self.number, f"POST {name}"))
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        endpoint = BY_NAME[name]
        try:
            if name == "blob/status":
                self.reply(200, encode(self.blob_status(decode(body, m.BlobStatusRequest))))
            else:
                self.reply(200, encode(self.owner.answers[name](decode(body, endpoint.request))))
        except CopernicusError as error:
            self.reply_error(error)

    def do_GET(self) -> None:
        self.owner.requests.append((self.number, "GET"))
        blob = self.path.removeprefix(BLOBS)
        try:
            assert self.owner.blobs is not None
            size = self.owner.blobs.size(blob)
            offset = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").removesuffix("-"))
            self.send_response(206 if offset else 200)
            self.send_header("Content-Length", str(size - offset))
            self.end_headers()
        except CopernicusError as error:
            self.reply_error(error)
            return
        for chunk in self.owner.blobs.stream(blob, offset):  # an error ends the connection: part of the answer is out
            self.wfile.write(chunk)

    def do_PATCH(self) -> None:
        self.owner.requests.append((self.number, "PATCH"))
        target = urlsplit(self.path)
        blob, size = target.path.removeprefix(BLOBS), int(parse_qs(target.query)["size"][0])
        left = int(self.headers["Content-Length"])
        try:
            assert self.owner.blobs is not None
            upload = self.owner.blobs.upload(blob, size, int(self.headers["Upload-Offset"]))
            try:
                while left:
                    piece = self.rfile.read1(min(left, 65536))
                    if not piece:
                        raise ConnectionResetError
                    upload.write(piece)
                    left -= len(piece)
                upload.finish()
            finally:
                upload.close()
            self.reply(204, b"", {"Upload-Offset": str(upload.received)})
        except WrongOffset as error:
            self.rfile.read(left)
            self.reply_error(error, {"Upload-Offset": str(error.received)})
        except CopernicusError as error:
            self.rfile.read(left)
            self.reply_error(error)

    def blob_status(self, request: m.BlobStatusRequest) -> m.BlobStatusReply:
        blobs = self.owner.blobs
        assert blobs is not None
        return m.BlobStatusReply([blobs.received(blob) for blob in request.blobs], [blobs.has(blob) for blob in request.blobs])

    def reply_error(self, error: CopernicusError, headers: dict[str, str] | None = None) -> None:
        self.reply(error.status, encode(m.ErrorReply(error.code, error.message, error.hint)), headers)

    def reply(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
