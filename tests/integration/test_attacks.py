"""Attacks on a real server: floods, slow and half-open callers, malformed requests, replays, a worker that lies."""

from __future__ import annotations

import contextlib
import gzip
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.standing import DEADLINE_S, PASSWORD, Standing, offer
from tests.integration.test_server import double, finished, output, take

from copernicus.errors import CopernicusError, NotAllowed, NotAuthenticated, TooMany, Unavailable, UnknownPath
from copernicus.model.jobs import Report
from copernicus.model.secret import Secret
from copernicus.net.caller import Caller
from copernicus.net.tls import client_context
from copernicus.server.access.identity import ANONYMOUS, Identity
from copernicus.server.http.lines import MOST_OF_ONE_CALLER, Lines
from copernicus.wire import messages as m

PATIENCE_S = 2.0


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standing]:
    standing = Standing(tmp_path_factory.mktemp("attacked"), patience=PATIENCE_S)
    try:
        standing.start()
        yield standing
    finally:
        standing.close()


@contextlib.contextmanager
def raw(standing: Standing) -> Iterator[ssl.SSLSocket]:
    """A connection to the client port on which the test says what it likes."""
    with socket.create_connection(("127.0.0.1", standing.client_port), timeout=DEADLINE_S) as plain:
        yield client_context(standing.keys.authority()).wrap_socket(plain)


def until_closed(line: ssl.SSLSocket) -> bytes:
    """What comes until the server closes; `TimeoutError` when it does not."""
    found = b""
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        while piece := line.recv(65536):
            found += piece
    return found


# --- slow and half-open callers


def test_a_caller_that_says_nothing_is_closed(standing: Standing) -> None:
    with raw(standing) as line:
        assert until_closed(line) == b""


@pytest.mark.parametrize("said", [b"POST /v1/authority HTTP/1.1\r\n", b"POST /v1/authority HTTP/1.1\r\nHost: x\r\nContent-"])
def test_a_request_that_never_ends_is_closed(standing: Standing, said: bytes) -> None:
    with raw(standing) as line:
        line.sendall(said)
        assert until_closed(line) == b""


@pytest.mark.parametrize("target", ["POST /v1/server-info", f"PATCH /v1/blobs/{'0' * 64}?size=100"])
def test_a_body_that_does_not_come_is_not_waited_for(standing: Standing, target: str) -> None:
    token = standing.user().token
    head = f"{target} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nUpload-Offset: 0\r\nContent-Length: 100\r\n\r\n"
    with raw(standing) as line:
        line.sendall(head.encode() + b"{")
        assert b"The request was cut" in line.recv(65536)


def test_many_half_open_callers_keep_nobody_out(standing: Standing) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(50):
            stack.enter_context(socket.create_connection(("127.0.0.1", standing.client_port), timeout=DEADLINE_S))
        assert standing.user().call(m.ServerInfoRequest()).user == "root"


# --- floods


def test_one_caller_cannot_have_all_connections() -> None:
    lines, user = Lines(), Identity("user", "user", "ann")
    for number in range(MOST_OF_ONE_CALLER):
        lines.heard(number, user, "a")  # type: ignore[arg-type]
    with pytest.raises(TooMany):
        lines.heard(-1, user, "a")  # type: ignore[arg-type]
    lines.heard(-2, Identity("user", "user", "bob"), "a")  # type: ignore[arg-type]
    lines.heard(-3, ANONYMOUS, "a")  # type: ignore[arg-type]
    lines.lost(-1)  # type: ignore[arg-type]
    lines.lost(0)  # type: ignore[arg-type]
    lines.heard(-4, user, "a")  # type: ignore[arg-type]


def test_who_asks_too_often_is_told_to_wait_and_nobody_else(tmp_path: Path) -> None:
    standing = Standing(tmp_path, rate_limit=5.0)
    try:
        standing.start()
        eager, other = standing.user("eager"), standing.user("other")

        def ask() -> type | None:
            try:
                eager.call(m.ServerInfoRequest())
            except CopernicusError as error:
                return type(error)
            return None

        said = {ask() for _ in range(400)}
        assert TooMany in said
        other.call(m.ServerInfoRequest())
        response = eager.exchange("POST", "/v1/server-info", b"{}")
        assert response.status in (200, 429)
        response.read()
        guesser = standing.nobody()
        guesses = []
        for number in range(100):
            guesser.token = f"guess {number}"
            with pytest.raises(CopernicusError) as raised:
                guesser.call(m.ServerInfoRequest())
            guesses.append(type(raised.value))
        assert set(guesses) == {NotAuthenticated, TooMany}, "tokens are not guessed at full speed"
    finally:
        standing.close()


# --- malformed requests


@pytest.mark.parametrize(
    "head",
    [
        b"POST /v1/authority HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
        b"POST /v1/authority HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        b"POST /v1/authority HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /v1/authority HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 100_000 + b"\r\n\r\n",
        b"POST /v1/authority HTTP/1.1\r\nHost: x\r\n" + b"".join(b"X%d: y\r\n" % n for n in range(50_000)) + b"\r\n",
        b"\x16\x03\x01\x02\x00\x01" * 100 + b"\r\n\r\n",
        b"GET " + b"/" * 100_000 + b" HTTP/1.1\r\n\r\n",
    ],
    ids=["two lengths", "contradicting lengths", "negative length", "long header", "many headers", "no HTTP", "long path"],
)
def test_what_is_no_proper_request_is_refused(standing: Standing, head: bytes) -> None:
    with raw(standing) as line:
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            line.sendall(head)
        said = until_closed(line)
    assert said == b"" or said.startswith((b"HTTP/1.1 400", b"HTTP/1.0 400")), said[:200]
    assert standing.nobody().call(m.AuthorityRequest()).certificate


def test_a_compressed_bomb_is_not_unpacked(standing: Standing) -> None:
    bomb = gzip.compress(b"[" * 50_000_000)
    response = standing.user().exchange("POST", "/v1/server-info", bomb, {"Content-Encoding": "gzip"})
    response.read()
    assert response.status == 400


@pytest.mark.parametrize("name", ["../" * 8 + "etc/passwd", "..%2f..%2fserver%2fkeys%2fca.key", "%00", "x" * 64, "0" * 63])
def test_what_is_no_hash_is_no_file(standing: Standing, name: str) -> None:
    root = standing.user()
    for method, headers in (("GET", {}), ("PATCH", {"Upload-Offset": "0"})):
        response = root.exchange(method, f"/v1/blobs/{name}?size=1", b"x" if method == "PATCH" else b"", headers)
        assert b"PRIVATE" not in response.read()
        assert response.status in (400, 404)
    response = root.exchange("GET", f"/v1/archives/{name}")
    response.read()
    assert response.status == 404


# --- replays


def test_an_ended_session_is_not_brought_back(standing: Standing) -> None:
    session = standing.user("leaver")
    copy = standing.nobody()
    copy.token = session.token
    copy.call(m.ServerInfoRequest())
    session.call(m.LogoutRequest())
    with pytest.raises(NotAuthenticated):
        copy.call(m.ServerInfoRequest())


def test_somebody_else_s_request_id_gives_nothing_away(standing: Standing) -> None:
    ann, eve = standing.user("ann"), standing.user("eve")
    ann.call(m.StartProjectRequest("replayed", "the id"))
    with pytest.raises(UnknownPath):
        eve.call(m.ApplyRequest("replayed", [], "the id"))
    with pytest.raises(CopernicusError, match="already"):
        eve.call(m.StartProjectRequest("replayed", "the id"))
    assert "replayed" not in [row.name for row in eve.call(m.ProjectsRequest()).projects]


# --- a worker that lies


def test_a_worker_may_end_its_own_current_attempts_and_nothing_else(standing: Standing) -> None:
    admin, honest, liar = standing.caller(), standing.caller("worker"), standing.caller("worker")
    double(admin, "lied-about", 5)
    job = take(honest, "honest")
    liar.call(offer("liar"))

    def verdicts(*reports: Report) -> list[str]:
        reply = liar.call(m.ExchangeRequest("liar", 0, 0, [*reports], request_id=f"lie {time.monotonic_ns()}"))
        return [verdict.verdict for verdict in reply.verdicts]

    forged = finished(job, 666)
    assert (
        verdicts(forged, Report(job.job, job.attempt + 1, "finished", {"integer_outputs": 6}, exit_status=0)) == ["stale"] * 2
    )
    assert verdicts(Report(1 << 40, 1, "finished", {}, exit_status=0)) == ["stale"]
    for request in (
        m.ExchangeRequest("honest", 0, 0, [forged], request_id="as another"),
        m.HeartbeatRequest("honest", [m.Beat(job.job, job.attempt)]),
        m.FarewellRequest("honest"),
    ):
        with pytest.raises(NotAllowed, match="another bundle"):
            liar.call(request)  # type: ignore[call-overload]
    assert liar.call(m.HeartbeatRequest("liar", [m.Beat(job.job, job.attempt)])).stop == [job.job]
    for request in (m.StatusRequest("lied-about"), m.StartProjectRequest("x", "x"), m.UsersRequest(), m.WorkersRequest()):
        with pytest.raises(NotAllowed):
            liar.call(request)  # type: ignore[call-overload]
    reply = honest.call(m.ExchangeRequest("honest", 0, 0, [finished(job, 10)], request_id="truth"))
    assert [verdict.verdict for verdict in reply.verdicts] == ["accepted"]
    assert output(admin, "lied-about") == 10
    again = honest.call(m.ExchangeRequest("honest", 0, 0, [finished(job, 11)], request_id="second thoughts"))
    assert [verdict.verdict for verdict in again.verdicts] == ["stale"]
    assert output(admin, "lied-about") == 10


# --- guessed passwords


def test_logins_at_once_get_no_more_tries_than_one_after_the_other(tmp_path: Path) -> None:
    standing = Standing(tmp_path)
    try:
        standing.start()
        said: list[type] = []

        def guess(number: int) -> None:
            with contextlib.closing(
                Caller("127.0.0.1", standing.client_port, client_context(standing.keys.authority()))
            ) as one:
                try:
                    one.call(m.LoginRequest("root", Secret(f"guess {number} of many")))
                except (NotAuthenticated, Unavailable) as error:
                    said.append(type(error))

        threads = [threading.Thread(target=guess, args=(number,)) for number in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(DEADLINE_S)
        assert said.count(NotAuthenticated) <= 7, "five, and those that the waits of a second or two have let in"
        assert len(said) == 20
        assert PASSWORD not in standing.log()
    finally:
        standing.close()
