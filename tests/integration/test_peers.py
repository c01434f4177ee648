"""Servers that ask each other for a connection, agree, and end it: over real sockets, with what an attacker would try."""

from __future__ import annotations

import datetime
import http.client
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.connected import ask, connect, id_of, is_linked, row_of, servers, until
from tests.integration.standing import Standing

from copernicus.errors import (
    CertificateRefused,
    NotAllowed,
    NotAuthenticated,
    Refused,
    Unavailable,
    UnknownPath,
)
from copernicus.net.keys import KeyFolder
from copernicus.net.tls import fingerprint, link_context
from copernicus.wire import messages as m
from copernicus.wire.codec import encode
from copernicus.wire.endpoints import ENDPOINTS, LINK

NOW = datetime.datetime.now(datetime.UTC)


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Standing, Standing]]:
    with servers(tmp_path, "ab") as made:
        yield made["a"], made["b"]


def test_two_servers_trust_each_other_when_both_have_agreed_and_no_more_when_one_ends_it(
    pair: tuple[Standing, Standing],
) -> None:
    a, b = pair
    reply = ask(b, a)
    assert (reply.peer.state, reply.peer.id, reply.own) == ("sent", id_of(a), id_of(b))
    row = row_of(a, b)
    assert row is not None
    assert row.state == "received"
    assert not row.is_connected
    with pytest.raises(Refused, match="has not agreed"):
        b.caller().call(m.TrustRequest([id_of(a)]))
    a.caller().call(m.TrustRequest([id_of(b)[:12]]))
    until(lambda: is_linked(a, b) and is_linked(b, a))
    ping = a.caller().call(m.PingRequest(id_of(b)))
    assert ping.id == id_of(b)
    assert ping.seconds > 0
    network = b.caller().call(m.NetworkRequest())
    assert [node.id for node in network.nodes] == [id_of(b), id_of(a)]
    assert len(network.edges) == 1
    a.caller().call(m.PeerPriorityRequest(7, host="127.0.0.1", client_port=b.client_port))
    assert (row := row_of(a, b)) is not None
    assert row.priority == 7
    b.caller().call(m.RevokePeerRequest(id_of(a)))
    assert row_of(b, a) is None
    until(lambda: row_of(a, b) is None)
    with pytest.raises(UnknownPath, match="knows no server"):
        a.caller().call(m.PingRequest(id_of(b)))


def test_trust_outlives_restarts_of_both(pair: tuple[Standing, Standing]) -> None:
    a, b = pair
    connect(b, a)
    a.kill()
    until(lambda: not is_linked(b, a))
    a.start()
    until(lambda: is_linked(a, b) and is_linked(b, a))
    b.kill()
    b.start()
    until(lambda: is_linked(a, b) and is_linked(b, a))


def test_servers_that_ask_each_other_have_agreed(pair: tuple[Standing, Standing]) -> None:
    """Also when both do so in the same moment: neither waits for the other."""
    a, b = pair
    asking = [threading.Thread(target=ask, args=order) for order in ((a, b), (b, a))]
    for one in asking:
        one.start()
    until(lambda: is_linked(a, b) and is_linked(b, a))
    for one in asking:
        one.join(60)
        assert not one.is_alive()


def test_a_request_counts_once_and_only_where_it_was_sent_to(pair: tuple[Standing, Standing], tmp_path: Path) -> None:
    a, b = pair
    keys = KeyFolder(tmp_path / "stranger")
    keys.create(NOW)

    def signed(to: Standing, seq: int, signer: KeyFolder = keys) -> m.PeerRequest:
        said = encode(m.Statement(keys.authority(), id_of(to), "stranger", "127.0.0.1", 1, 2, seq))
        return m.PeerRequest(said, signer.sign(said))

    request = signed(a, 5)
    a.nobody().call(request)
    for again in (request, signed(a, 4), signed(b, 9), signed(a, 6, b.keys)):
        with pytest.raises(NotAllowed):
            a.nobody().call(again)
    with pytest.raises(NotAllowed):
        b.nobody().call(request)
    assert [row.state for row in a.caller().call(m.PeersRequest()).peers] == ["received"]
    assert b.caller().call(m.PeersRequest()).peers == []


def status_of_link(server: Standing, shown_by: KeyFolder, serial: int = 5, target: str = LINK) -> int:
    """What the secure port answers to whoever shows a certificate of another server's CA, 0: nothing."""
    certificate, key = shown_by.issue_bundle_certificate(serial, NOW, NOW + datetime.timedelta(days=1))
    context = link_context(server.keys.authority(), certificate, key)
    connection = http.client.HTTPSConnection("127.0.0.1", server.secure_port, context=context, timeout=20)
    try:
        upgrade = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13",
                   "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA=="}  # fmt: skip
        connection.request(
            "GET" if target == LINK else "POST",
            target,
            headers=upgrade if target == LINK else {},
            body=b"{}" if target != LINK else None,
        )
        return connection.getresponse().status
    except (ConnectionError, ssl.SSLError, http.client.RemoteDisconnected):
        return 0
    finally:
        connection.close()


def test_nobody_opens_a_link_before_it_is_agreed_to_or_after_it_has_ended(pair: tuple[Standing, Standing]) -> None:
    a, b = pair
    assert status_of_link(a, b.keys) == 0
    ask(b, a)
    assert status_of_link(a, b.keys) == 0, "a person has not agreed yet"
    a.caller().call(m.TrustRequest(is_all=True))
    assert status_of_link(a, b.keys) == 101
    assert status_of_link(b, a.keys) == 101
    a.caller().call(m.RevokePeerRequest(id_of(b)))
    assert status_of_link(a, b.keys) == 401
    until(lambda: row_of(b, a) is None)
    assert status_of_link(b, a.keys) == 401


def test_a_peer_that_copies_the_serial_of_an_admin_bundle_is_no_admin(pair: tuple[Standing, Standing]) -> None:
    a, b = pair
    connect(b, a)
    bundle = a.bundle("admin")
    for endpoint in ENDPOINTS:
        assert status_of_link(a, b.keys, int(bundle.serial, 16), endpoint.path) == 403, endpoint.name


def test_only_super_users_decide_about_other_servers(pair: tuple[Standing, Standing]) -> None:
    a, b = pair
    requests = (m.ConnectServerRequest("127.0.0.1", b.client_port), m.TrustRequest(is_all=True), m.RevokePeerRequest("f" * 64),
                m.PeerPriorityRequest(1, "f" * 64), m.PeerLimitsRequest("f" * 64))  # fmt: skip
    for request in requests:
        for caller in (a.user("guest"), a.caller("worker"), a.caller("client", "guest"), a.nobody()):
            with pytest.raises((NotAllowed, NotAuthenticated)):
                caller.call(request)
    for request in (m.NeighboursRequest(), m.PartRequest(), m.HelloRequest(b"", b"")):
        with pytest.raises(NotAllowed, match="Only servers"):
            a.caller().call(request)


def test_asking_a_port_that_is_no_server_tells_nothing_of_it(pair: tuple[Standing, Standing]) -> None:
    a, _ = pair
    with pytest.raises(Unavailable, match="No Copernicus server answers") as refusal:
        a.caller().call(m.ConnectServerRequest("127.0.0.1", a.secure_port))
    assert "certificate" not in str(refusal.value).lower()
    with pytest.raises(Refused, match="this server itself"):
        a.caller().call(m.ConnectServerRequest("127.0.0.1", a.client_port))
    with pytest.raises(CertificateRefused, match="fingerprint"):
        a.caller().call(m.ConnectServerRequest("127.0.0.1", pair[1].client_port, 0, "ab" * 32))
    assert a.caller().call(m.PeersRequest()).peers == []
    assert fingerprint(a.keys.authority()) == id_of(a)
