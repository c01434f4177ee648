"""P10: two servers are connected as the guide says, with its commands and its words."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.integration.connected import id_of, is_linked, servers, until
from tests.integration.standing import Standing

from copernicus.net.bundle import write_bundle

Cpcc = Callable[..., str]


def terminal(folder: Path, server: Standing) -> Cpcc:
    """A terminal of the server's super user."""
    write_bundle(folder / "client.cnx", server.bundle())
    environment = {**os.environ, "CPC_CONF_HOME": str(folder), "COLUMNS": "200"}
    program = Path(sys.executable).with_name("cpcc")

    def cpcc(*words: str) -> str:
        done = subprocess.run(
            [program, "-c", str(folder / "client.cnx"), *words], env=environment, capture_output=True, text=True, timeout=60,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return cpcc


def test_a_request_is_sent_listed_trusted_and_ended_as_the_guide_says(tmp_path: Path) -> None:
    with servers(tmp_path, "ab") as made:
        a, b = made["a"], made["b"]
        at_a, at_b = terminal(tmp_path / "a", a), terminal(tmp_path / "b", b)
        said = at_b("connect-server", "127.0.0.1", str(a.client_port))
        assert f"Connection request sent to 127.0.0.1 {a.client_port}" in said
        assert id_of(a) in said
        assert id_of(b) in said
        said = at_b("list-nodes").splitlines()
        assert said[0] == "Sent connection requests"
        assert said[1].split() == ["Hostname", "Port", "Server", "Id"]
        assert said[2].split() == ["127.0.0.1", str(a.client_port), id_of(a)]
        said = at_a("connected-servers").splitlines()
        assert said[0] == "Received connection requests"
        assert said[2].split() == ["127.0.0.1", str(b.client_port), id_of(b)]
        said = at_a("trust", id_of(b)).splitlines()
        assert said[0] == "Following nodes are now trusted:"
        assert said[2].split() == ["127.0.0.1", str(b.client_port), id_of(b)]
        until(lambda: is_linked(a, b) and is_linked(b, a))
        at_a("node-pri", "3", "127.0.0.1", str(b.client_port))
        said = at_a("cs").splitlines()
        assert said[0] == "Connected nodes:"
        assert said[1].split()[:5] == ["Priority", "Hostname", "Port", "Server", "Id"]
        assert said[2].split() == ["3", "127.0.0.1", str(b.client_port), id_of(b)]
        assert "is lent 2 cores at most" in at_a("limit-server", id_of(b), "--cores", "2")
        assert "no limits" in at_a("limit-server", id_of(b))
        until(lambda: is_linked(a, b) and is_linked(b, a))
        assert "answers 127.0.0.1, in " in at_a("ping", id_of(b)[:10])
        assert f"<-> 127.0.0.1  {id_of(b)[:16]}" in at_a("network")
        at_a("network-graph", str(tmp_path / "network.dot"))
        assert f'"{id_of(a)}" -- "{id_of(b)}"' in (tmp_path / "network.dot").read_text()
        assert "trusted no more" in at_b("revoke", id_of(a))
        until(lambda: "No other server is known" in at_a("cs"))
