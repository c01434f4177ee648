"""Several real servers that can be connected to each other: on loopback here, in namespaces for whoever needs real networks.

Three in a line: `with servers(folder, "abc") as made: connect(made["b"], made["a"]); connect(made["c"], made["b"])`. Where
each has an address of its own, give `server_host="all"` and `server_fqdn=ADDRESS` as settings, start `Standing` within its
namespace, and ask by that address: `m.ConnectServerRequest(ADDRESS, client_port, secure_port)`. `heartbeat_time` and
`reconnect_interval` (seconds) make leases and links quick; `tests.integration.lent.Hand` is a worker that does what it is told.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.integration.standing import DEADLINE_S, Standing

from copernicus.net.tls import fingerprint
from copernicus.wire import messages as m

QUICK: dict[str, object] = {"reconnect_interval": 0.2, "heartbeat_time": 20}


def until(condition: Callable[[], object], why: str = "waited in vain") -> None:
    """Poll until it holds."""
    ends_at = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < ends_at, why
        time.sleep(0.02)


@contextmanager
def servers(folder: Path, names: str, **settings: object) -> Iterator[dict[str, Standing]]:
    """Start one server for each letter."""
    made: dict[str, Standing] = {}
    try:
        for name in names:
            made[name] = Standing(folder / name, **{**QUICK, "server_fqdn": "127.0.0.1", **settings})
            made[name].start()
        yield made
    finally:
        for standing in made.values():
            standing.close()


def id_of(server: Standing) -> str:
    """The server's id: its fingerprint."""
    return fingerprint(server.keys.authority())


def row_of(server: Standing, other: Standing) -> m.PeerRow | None:
    """How one server sees another."""
    id = id_of(other)
    return next((row for row in server.caller().call(m.PeersRequest()).peers if row.id == id), None)


def is_linked(server: Standing, other: Standing) -> bool:
    """Whether one trusts another, and a link stands."""
    row = row_of(server, other)
    return row is not None and row.state == "trusted" and row.is_connected


def ask(server: Standing, other: Standing) -> m.ConnectServerReply:
    """One asks another for a connection."""
    request = m.ConnectServerRequest("127.0.0.1", other.client_port, other.secure_port)
    return server.caller().call(request)


def connect(server: Standing, other: Standing) -> None:
    """One asks, the other agrees; return when each sees the link."""
    ask(server, other)
    other.caller().call(m.TrustRequest([id_of(server)]))
    until(lambda: is_linked(server, other) and is_linked(other, server), "no link")
