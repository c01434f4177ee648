"""The caller over real TLS: typed replies, kept-alive connections, failures in words, and nothing said to strangers."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace
from tests.integration.small_server import PASSWORD, SmallServer, made_bundle, made_keys

from copernicus.errors import CertificateRefused, InternalError, NotAuthenticated, Unreachable
from copernicus.model.secret import Secret
from copernicus.net import tls
from copernicus.net.caller import Caller
from copernicus.net.first_contact import check_fingerprint, fetch_authority
from copernicus.net.keys import KeyFolder
from copernicus.wire import messages as m


@pytest.fixture
def keys(tmp_path: Path) -> KeyFolder:
    return made_keys(tmp_path / "keys")


@pytest.fixture
def server(keys: KeyFolder) -> Iterator[SmallServer]:
    with SmallServer(keys) as server:
        yield server


@contextlib.contextmanager
def listener() -> Iterator[socket.socket]:
    """A socket on loopback that a test serves itself."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(20)
        yield listening


def test_calls_share_one_connection_and_errors_come_as_they_were_raised(server: SmallServer) -> None:
    with server.caller() as caller:
        assert caller.call(m.ServerInfoRequest()).hostname == "small"
        with pytest.raises(NotAuthenticated) as raised:
            caller.call(m.LoginRequest("root", Secret("wrong")))
        assert (raised.value.message, raised.value.hint) == ("User name or password is wrong.", "Try again.")
        assert caller.call(m.LoginRequest("root", Secret(PASSWORD))).token == Secret("token")
    assert {number for number, _ in server.requests} == {1}


def test_a_connection_closed_while_idle_is_opened_again_without_a_word(server: SmallServer) -> None:
    server.closes_after = 2
    with server.caller() as caller:
        for _ in range(5):
            caller.call(m.ServerInfoRequest())
    assert len(server.requests) == 5
    assert server.connections == 3


def test_no_byte_of_a_password_goes_to_a_server_with_another_ca(server: SmallServer, tmp_path: Path) -> None:
    other = made_keys(tmp_path / "other")
    caller = Caller("127.0.0.1", server.port, tls.client_context(other.authority()))
    with pytest.raises(CertificateRefused, match="certificate verify failed"):
        caller.call(m.LoginRequest("root", Secret(PASSWORD)))
    assert server.requests == []


def test_without_a_pinned_ca_there_is_no_caller() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with pytest.raises(CertificateRefused):
        Caller("127.0.0.1", 1, context)


def test_first_contact_shows_the_fingerprint(server: SmallServer, keys: KeyFolder) -> None:
    authority = fetch_authority("127.0.0.1", server.port)
    assert authority.fingerprint == tls.fingerprint(keys.authority())
    spaced = ":".join(authority.fingerprint[at : at + 2] for at in range(0, 64, 2)).upper()
    check_fingerprint(authority, spaced)
    with pytest.raises(CertificateRefused):
        check_fingerprint(authority, "00" * 32)


def test_nobody_at_the_port(keys: KeyFolder) -> None:
    with listener() as listening:
        port = listening.getsockname()[1]
    with pytest.raises(Unreachable, match="No server answers"):
        Caller("127.0.0.1", port, tls.client_context(keys.authority())).call(m.ServerInfoRequest())
    with pytest.raises(Unreachable, match="not known"):
        Caller("host.invalid", port, tls.client_context(keys.authority())).call(m.ServerInfoRequest())
    with pytest.raises(Unreachable):
        fetch_authority("127.0.0.1", port)


@pytest.mark.parametrize("said", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-OpenSSH_9\r\n", b""])
def test_something_else_at_the_port(keys: KeyFolder, said: bytes) -> None:
    def serve(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        connection.sendall(said)
        connection.close()

    with listener() as listening:
        thread = threading.Thread(target=serve, args=(listening,))
        thread.start()
        with pytest.raises(Unreachable):
            Caller("127.0.0.1", listening.getsockname()[1], tls.client_context(keys.authority())).call(m.ServerInfoRequest())
        thread.join()


def test_an_answer_cut_short_is_never_taken_for_a_whole_one(keys: KeyFolder) -> None:
    def serve(listening: socket.socket) -> None:
        context = tls.server_client_port_context(keys.server_certificate, keys.server_key)
        raw, _ = listening.accept()
        with context.wrap_socket(raw, server_side=True) as connection:
            connection.recv(65536)
            connection.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{"note": "so far"}')

    with listener() as listening:
        thread = threading.Thread(target=serve, args=(listening,))
        thread.start()
        port = listening.getsockname()[1]
        with Caller("127.0.0.1", port, tls.client_context(keys.authority())) as caller:
            response = caller.exchange("GET", "/")
            with pytest.raises(Unreachable, match="in the middle"):
                caller.read(response)
        thread.join()


def test_an_answer_of_another_program_is_said_to_be_one(server: SmallServer, keys: KeyFolder) -> None:
    def teapot(request: object) -> m.Message:
        raise RuntimeError

    server.answers["server-info"] = teapot  # its thread ends without an answer
    with server.caller() as caller, pytest.raises(Unreachable, match="closed before the answer"):
        caller.call(m.ServerInfoRequest())
    with server.caller() as caller:
        response = caller.exchange("PUT", "/")
        with pytest.raises(InternalError, match="not Copernicus"):
            caller.read(response)


def test_silence_ends_in_time_and_a_waiting_call_can_be_interrupted(server: SmallServer) -> None:
    arrived, release = threading.Event(), threading.Event()

    def wait(request: object) -> m.Message:
        arrived.set()
        release.wait(60)
        return m.ServerInfoReply("late", "f", "1", 1, 1, 2, "root", 0.0)

    server.answers["server-info"] = wait
    with server.caller() as caller, pytest.raises(Unreachable, match=r"has not answered for 0\.1 s"):
        caller.call(m.ServerInfoRequest(), timeout_s=0.1)
    failed: list[BaseException] = []

    def call(caller: Caller) -> None:
        try:
            caller.call(m.ServerInfoRequest())
        except Unreachable as error:
            failed.append(error)

    with server.caller() as caller:
        arrived.clear()
        thread = threading.Thread(target=call, args=(caller,))
        thread.start()
        assert arrived.wait(20)
        caller.interrupt()
        thread.join(20)
        assert not thread.is_alive()
        assert len(failed) == 1
        release.set()
        assert caller.call(m.ServerInfoRequest()).hostname == "late"


def test_a_secure_port_that_closes_before_its_first_reply_refused_the_bundle(keys: KeyFolder, tmp_path: Path) -> None:
    other = made_keys(tmp_path / "other")
    with SmallServer(keys, is_secure=True) as server:
        with server.caller() as caller:
            assert caller.call(m.ServerInfoRequest()).hostname == "small"
        foreign = made_bundle(other, server.port)
        shown = replace(made_bundle(keys, 1), certificate=foreign.certificate, key=foreign.key)
        posing = Caller("127.0.0.1", server.port, tls.bundle_context(shown), is_secure_port=True)
        with pytest.raises(CertificateRefused, match="refused this bundle"):
            posing.call(m.ServerInfoRequest())
        with pytest.raises(CertificateRefused, match="certificate verify failed"):
            Caller.of_bundle(foreign).call(m.ServerInfoRequest())
    with pytest.raises(Unreachable):
        server.caller().call(m.ServerInfoRequest())


def test_a_server_that_dies_has_not_refused_the_bundle(keys: KeyFolder) -> None:
    with listener() as listening:
        caller = Caller.of_bundle(made_bundle(keys, listening.getsockname()[1]))

        def die() -> None:
            for _ in range(2):  # the connection that was there, and one that was still let in
                listening.accept()[0].close()
            listening.close()

        dying = threading.Thread(target=die)
        dying.start()
        with pytest.raises(Unreachable):
            caller.call(m.ServerInfoRequest())
        dying.join(20)


def test_a_server_that_lets_nobody_in_has_not_refused_the_bundle(keys: KeyFolder) -> None:
    """One that has no descriptor left closes what comes, before anybody has shown anything."""
    with listener() as listening:
        caller = Caller.of_bundle(made_bundle(keys, listening.getsockname()[1]))

        def turn_away() -> None:
            with contextlib.suppress(OSError):
                while True:
                    listening.accept()[0].close()

        turning = threading.Thread(target=turn_away)
        turning.start()
        with pytest.raises(Unreachable):
            caller.call(m.ServerInfoRequest())
        listening.shutdown(socket.SHUT_RDWR)
        turning.join(20)
