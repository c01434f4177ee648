"""Servers and sessions of `cpcc`, over real TLS: first contact, login, and a server that is not who it was."""

from __future__ import annotations

import datetime
import io
import json
import stat
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from tests.integration.answering import AnsweringServer, Said

from copernicus.client.cli import run
from copernicus.client.cli.context import Context
from copernicus.errors import CopernicusError, NotAuthenticated
from copernicus.model.secret import Secret
from copernicus.net.keys import KeyFolder
from copernicus.net.tls import fingerprint, server_client_port_context
from copernicus.wire import messages as m
from copernicus.wire.codec import decode, encode
from copernicus.wire.endpoints import BY_NAME, PREFIX

PASSWORD = "correct horse battery"


class TlsServer:
    """A client port: TLS with a CA of its own, one session at a time; `heard` holds every body that reached it."""

    def __init__(self, folder: Path, port: int = 0) -> None:
        self.keys = KeyFolder(folder)
        now = datetime.datetime.now(datetime.UTC)
        self.keys.create(now)
        self.keys.renew_server_certificate(["localhost"], now)
        self.fingerprint = fingerprint(self.keys.authority())
        self.heard: list[bytes] = []
        self.tokens: set[str] = set()
        self.inner = AnsweringServer()
        self.inner.answers = {
            m.AuthorityRequest: m.AuthorityReply(self.keys.authority()),
            m.LoginRequest: self._login,
        }
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                status, body = outer.answer(self.path, self.rfile.read(int(self.headers["Content-Length"])), self.headers)
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        context = server_client_port_context(self.keys.server_certificate, self.keys.server_key)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.server.handle_error = lambda request, client_address: None
        self.port = self.server.server_port
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    def answer(self, path: str, body: bytes, headers: Any) -> tuple[int, bytes]:
        self.heard.append(body)
        endpoint = BY_NAME[path.removeprefix(PREFIX)]
        try:
            if endpoint.name not in ("authority", "login"):
                token = headers.get("Authorization", "").removeprefix("Bearer ")
                if token not in self.tokens:
                    raise NotAuthenticated("The session has ended.", "Log in: cpcc login USER")
                if endpoint.name == "logout":
                    self.tokens.remove(token)
                    return 200, encode(m.Done())
            return 200, encode(self.inner.call(decode(body, endpoint.request)))
        except CopernicusError as error:
            return error.status, encode(m.ErrorReply(error.code, error.message, error.hint))

    def _login(self, request: m.LoginRequest) -> m.LoginReply:
        if request.password.reveal() != PASSWORD:
            raise NotAuthenticated("Wrong user or password.")
        token = f"token {len(self.heard)}"
        self.tokens.add(token)
        return m.LoginReply(Secret(token), request.user, 4e9)

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TlsServer]:
    monkeypatch.setenv("CPC_CONF_HOME", str(tmp_path / "conf"))
    monkeypatch.delenv("CPC_BUNDLE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    server = TlsServer(tmp_path / "keys")
    yield server
    server.stop()


class Terminal(io.StringIO):
    """A terminal at which somebody has typed."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def cpcc(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    def call(*words: str, stdin: io.StringIO | None = None) -> Said:
        monkeypatch.setattr("sys.stdin", stdin or io.StringIO())
        status = run(words, Context())
        return Said(status, *capfd.readouterr())

    return call


def add(cpcc: Any, server: TlsServer, *flags: str) -> Said:
    return cpcc("add-server", "--fingerprint", server.fingerprint, *flags, "localhost", str(server.port))


def test_a_session_from_first_contact_to_logout(server: TlsServer, cpcc: Any, tmp_path: Path) -> None:
    assert add(cpcc, server).status == 0
    assert "not logged in to localhost" in cpcc("p").err
    said = cpcc("login", "-stdin", "root", stdin=io.StringIO(PASSWORD + "\n"))
    assert said.status == 0, said.err
    assert cpcc("start", "first").status == 0
    assert cpcc("pwd").out == "first\n"
    files = [file for file in (tmp_path / "conf").rglob("*") if file.is_file()]
    assert files
    assert all(stat.S_IMODE(file.stat().st_mode) == 0o600 for file in files)
    (row,) = json.loads(cpcc("list-server", "--json").out)
    assert (row["user"], row["is_in_use"], "token" in row) == ("root", True, False)
    assert cpcc("logout").status == 0
    assert server.tokens == set()
    assert cpcc("p").status != 0
    assert cpcc("logout").status != 0
    assert cpcc("login", "-stdin", "root", stdin=io.StringIO(PASSWORD)).status == 0
    assert cpcc("pwd").out == "first\n"


def test_a_wrong_password_opens_nothing(server: TlsServer, cpcc: Any) -> None:
    add(cpcc, server)
    said = cpcc("login", "root", "-stdin", stdin=io.StringIO("guess\n"))
    assert (said.status, said.err) == (1, "ERROR: Wrong user or password.\n")
    assert cpcc("login", "-stdin", "root").err.startswith("ERROR: No password was given.")
    assert cpcc("p").status != 0


def test_first_contact_asks_and_never_trusts_by_itself(server: TlsServer, cpcc: Any) -> None:
    words = ("add-server", "localhost", str(server.port))
    said = cpcc(*words)
    assert said.status == 1
    assert server.fingerprint in said.err
    assert "--fingerprint" in said.err
    refused = cpcc("add-server", "--fingerprint", "00" * 32, *words[1:])
    assert refused.status == 1
    assert server.fingerprint in refused.err
    assert cpcc(*words, stdin=Terminal("n\n")).status == 1
    assert json.loads(cpcc("list-server", "--json").out) == []
    assert cpcc(*words, stdin=Terminal("y\n")).status == 0
    assert "No server is known" not in cpcc("list-server").out


def test_no_byte_of_a_password_reaches_another_server(server: TlsServer, cpcc: Any, tmp_path: Path) -> None:
    add(cpcc, server)
    cpcc("login", "-stdin", "root", stdin=io.StringIO(PASSWORD))
    server.stop()
    impostor = TlsServer(tmp_path / "other", server.port)
    try:
        for words in (("login", "-stdin", "root"), ("p",)):
            said = cpcc(*words, stdin=io.StringIO(PASSWORD))
            assert said.status == 1
            assert said.err.startswith("ERROR: certificate verify failed")
        assert impostor.heard == []
        changed = cpcc("add-server", "--fingerprint", impostor.fingerprint, "localhost", str(impostor.port))
        assert changed.status == 1
        assert "cpcc forget-server localhost" in changed.err
        assert cpcc("forget-server", "localhost").status == 0
        assert add(cpcc, impostor).status == 0
    finally:
        impostor.stop()
        server.server, server.thread = impostor.server, impostor.thread


def test_a_server_that_does_not_run(server: TlsServer, cpcc: Any) -> None:
    add(cpcc, server)
    cpcc("login", "-stdin", "root", stdin=io.StringIO(PASSWORD))
    server.server.shutdown()
    server.server.server_close()
    for words in (("p",), ("login", "-stdin", "root"), ("add-server", "localhost", str(server.port))):
        said = cpcc(*words, stdin=io.StringIO(PASSWORD))
        assert (said.status, said.err.count("\n")) == (1, 1)
        assert f"localhost:{server.port}" in said.err
    said = cpcc("logout")
    assert said.status == 0, "the session ends here in any case"
    assert "could not be told" in said.err


def test_two_servers_have_two_names(server: TlsServer, cpcc: Any, tmp_path: Path) -> None:
    other = TlsServer(tmp_path / "other")
    try:
        add(cpcc, server)
        add(cpcc, other)
        add(cpcc, other, "-n", "again")
        names = [row["name"] for row in json.loads(cpcc("list-server", "--json").out)]
        assert names == ["again", "localhost", f"localhost:{other.port}"]
        assert cpcc("use-server", "localhost").status == 0
        cpcc("login", "-stdin", "root", stdin=io.StringIO(PASSWORD))
        assert len(server.tokens) == 1
        assert not other.tokens
    finally:
        other.stop()


def test_a_memory_that_others_can_read_is_not_used(server: TlsServer, cpcc: Any, tmp_path: Path) -> None:
    add(cpcc, server)
    file = tmp_path / "conf" / "client" / "known.json"
    file.chmod(0o644)
    assert "can be used by others" in cpcc("p").err
    file.chmod(0o600)
    file.write_bytes(b"{")
    said = cpcc("p")
    assert (said.status, said.err.count("\n")) == (1, 1)
    assert "is broken" in said.err


def test_an_expired_session_is_no_session(server: TlsServer, cpcc: Any) -> None:
    add(cpcc, server)
    server.inner.answers[m.LoginRequest] = lambda request: m.LoginReply(Secret("t"), request.user, 1.0)
    cpcc("login", "-stdin", "root", stdin=io.StringIO(PASSWORD))
    assert "has expired" in cpcc("p").err
    assert not any(b"projects" in body for body in server.heard)
