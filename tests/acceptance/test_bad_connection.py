"""Bad bundles, passwords and servers: refused in one line, with nothing changed and no secret sent."""

from __future__ import annotations

import datetime
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from tests.acceptance.refusals import as_a_person, fault, furnish, standing, try_all

from copernicus.net.keys import KeyFolder
from copernicus.net.tls import server_client_port_context
from copernicus.testing.system import PASSWORD, System, free_ports

SECRET = "of all the passwords this one stays here"


@pytest.fixture(scope="module")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """One server for all tests of this file, known to `cpcc` as `own`; its bundle lies where it is not looked for."""
    with System(tmp_path_factory.mktemp("refusing")) as system:
        furnish(system)
        system.cpcc("add-server", "-n", "own", "127.0.0.1", str(system.client_port))
        yield system


def altered(system: System, name: str, mode: int = 0o600, **fields: Any) -> None:
    """Write the owner's bundle with some of its fields changed as the file `name`."""
    file = system.folder / name
    file.write_text(json.dumps(json.loads((system.home / "client.cnx").read_text()) | fields))
    file.chmod(mode)


def foreign_keys(folder: Path) -> KeyFolder:
    """The keys of a server that nobody here knows."""
    keys, now = KeyFolder(folder), datetime.datetime.now(datetime.UTC)
    keys.create(now)
    keys.renew_server_certificate(["127.0.0.1"], now)
    return keys


class RecordingServer:
    """A TLS server with a CA of its own that writes down all that it is sent, before and after decryption."""

    def __init__(self, keys: KeyFolder) -> None:
        self.raw, self.plain = bytearray(), bytearray()
        self.connections = 0
        self._context = server_client_port_context(keys.server_certificate, keys.server_key)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._thread.join(10)
        self._listening.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                self.connections += 1
                with closing(connection), suppress(OSError, ssl.SSLError):
                    connection.settimeout(10)
                    self._listen_to(connection)

    def _listen_to(self, connection: socket.socket) -> None:
        inward, outward = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = self._context.wrap_bio(inward, outward, server_side=True)
        is_open = False
        while data := connection.recv(65536):
            self.raw += data
            inward.write(data)
            with suppress(ssl.SSLWantReadError):
                if not is_open:
                    tls.do_handshake()
                    is_open = True
                while more := tls.read(65536):
                    self.plain += more
            connection.sendall(outward.read())


@pytest.fixture
def impostor(tmp_path: Path) -> Iterator[RecordingServer]:
    server = RecordingServer(foreign_keys(tmp_path / "foreign"))
    yield server
    server.close()


def test_the_recorder_would_see_a_password(tmp_path: Path) -> None:
    keys = foreign_keys(tmp_path / "keys")
    recorder = RecordingServer(keys)
    context = ssl.create_default_context(cadata=keys.authority())
    context.check_hostname = False
    with socket.create_connection(("127.0.0.1", recorder.port)) as plain, context.wrap_socket(plain) as tls:
        tls.sendall(SECRET.encode())
    recorder.close()
    assert recorder.plain == SECRET.encode()


def test_bundles_that_cannot_be_used(furnished: System) -> None:
    altered(furnished, "wide.cnx", 0o644)
    altered(furnished, "unreadable.cnx", 0)
    altered(furnished, "expired.cnx", expires_at=1.0)
    altered(furnished, "format.cnx", format=7)
    altered(furnished, "no-port.cnx", secure_port=0)
    altered(furnished, "text-port.cnx", secure_port="https")
    altered(furnished, "no-address.cnx", addresses=[])
    altered(furnished, "odd-address.cnx", addresses=["a b"])
    altered(furnished, "unknown.cnx", addresses=["no.such.host.invalid"])
    altered(furnished, "bad-key.cnx", key="nonsense")
    altered(furnished, "bad-authority.cnx", authority="nonsense")
    altered(furnished, "nobody.cnx", secure_port=free_ports(1)[0])
    (furnished.folder / "garbage.cnx").write_bytes(bytes(range(256)))
    (furnished.folder / "garbage.cnx").chmod(0o600)
    (furnished.folder / "cut.cnx").write_text((furnished.home / "client.cnx").read_text()[:300])
    (furnished.folder / "cut.cnx").chmod(0o600)
    said = {
        "missing.cnx": "Could not find a connection bundle: there is no file missing.cnx",
        "folder": "Could not find a connection bundle",
        "''": "it is empty",
        "wide.cnx": "Run: chmod go= wide.cnx",
        "unreadable.cnx": "Permission denied",
        "expired.cnx": "has expired",
        "format.cnx": "has format 7; this version reads 1",
        "no-port.cnx": "is not a connection bundle",
        "text-port.cnx": "is not a connection bundle",
        "no-address.cnx": "is not a connection bundle",
        "odd-address.cnx": "'a b' is no host",
        "unknown.cnx": "The host name 'no.such.host.invalid' is not known",
        "bad-key.cnx": "are broken, or do not fit together",
        "bad-authority.cnx": "cannot be read",
        "nobody.cnx": "No server answers at 127.0.0.1:",
        "garbage.cnx": "is not a connection bundle",
        "cut.cnx": "is not a connection bundle",
    }
    was = standing(furnished)
    try_all(furnished, [(f"cpcc -c {name} ls", words) for name, words in said.items()], as_a_person())
    # A worker reads bundles by the same code: some will do.
    some = {name: said[name] for name in ("missing.cnx", "''", "wide.cnx", "cut.cnx", "odd-address.cnx", "bad-key.cnx")}
    try_all(furnished, [(f"cpc-worker -c {name} -q 0.01 smp", words) for name, words in some.items()])
    assert standing(furnished) == was


def test_a_bundle_of_another_server_fails_to_verify(furnished: System, impostor: RecordingServer, tmp_path: Path) -> None:
    altered(furnished, "other.cnx", authority=foreign_keys(tmp_path / "third").authority())
    altered(furnished, "elsewhere.cnx", secure_port=impostor.port)
    was = standing(furnished)
    try_all(furnished, [("cpcc -c other.cnx ls", "certificate verify failed")])
    try_all(furnished, [("cpcc -c elsewhere.cnx start second", "certificate verify failed")])
    worker = furnished.run(["cpc-worker", "-c", "other.cnx", "-q", "0.01", "smp"], is_checked=False)
    assert worker.returncode == 1
    assert worker.stderr.startswith("ERROR: certificate verify failed")
    assert standing(furnished) == was
    assert impostor.connections
    assert impostor.plain == b""


def test_bundles_that_may_not(furnished: System) -> None:
    for name, flags in (("worker.cnx", ["--role", "worker"]), ("client.cnx", ["--role", "client"])):
        furnished.cpc_server("bundle", *flags, "-o", name)
    furnished.cpc_server("bundle", "--project", "first", "-o", "first.cnx")
    was = standing(furnished)
    try_all(
        furnished,
        [
            ("cpcc -c worker.cnx -p first ls", "This bundle is for workers only"),
            ("cpcc -c worker.cnx start second", "This bundle is for workers only"),
            ("cpcc -c first.cnx start second", "This bundle is for these projects only: first"),
            ("cpcc -c first.cnx -p second ls", "There is no project 'second'"),
        ],
    )
    worker = furnished.run(["cpc-worker", "-c", "client.cnx", "-q", "0.01", "smp"], is_checked=False)
    assert worker.returncode == 1
    assert worker.stderr.startswith("ERROR: Only workers may do this.")
    assert standing(furnished) == was
    assert furnished.cpcc("-c", "first.cnx", "-p", "first", "ls", "a").stdout


def test_no_bundle_anywhere(furnished: System) -> None:
    environment = furnished.environment
    furnished.environment = environment | {"CPC_CONF_HOME": str(furnished.folder / "empty")}
    try:
        try_all(
            furnished,
            [
                ("cpcc ls", "Could not find a connection bundle. Looked at: "),
                ("cpcc ls", "Please specify one with the -c flag or put client.cnx into"),
                ("cpcc login root", "No server is in use"),
                ("cpcc logout", "No server is in use"),
                ("cpc-worker -q 0.01 smp", "Could not find a connection bundle. Looked at: "),
            ],
        )
    finally:
        furnished.environment = environment
    assert not (furnished.folder / "empty").exists()


def test_wrong_passwords(furnished: System) -> None:
    was = standing(furnished)
    for words, given, said in (
        (("login", "-stdin", "root"), "wrong horse battery\n", "User name or password is wrong"),
        (("login", "-stdin", "nobody"), f"{PASSWORD}\n", "User name or password is wrong"),
        (("login", "-stdin", "root"), "\n", "No password was given"),
        (("login", "root"), f"{PASSWORD}\n", "There is no terminal to ask for the password"),
    ):
        assert fault(furnished.cpcc(*words, text=given, is_checked=False), said) == ""
    assert standing(furnished) == was


def test_no_byte_of_a_password_leaves_for_a_server_that_is_another(furnished: System, impostor: RecordingServer) -> None:
    known = furnished.home / "client" / "known.json"
    kept = known.read_bytes()
    plain = json.loads(kept)
    plain["servers"]["own"]["port"] = impostor.port
    known.write_text(json.dumps(plain))
    try:
        refused = furnished.cpcc("login", "-stdin", "root", text=SECRET + "\n", is_checked=False)
    finally:
        known.write_bytes(kept)
    assert fault(refused, "certificate verify failed") == ""
    assert impostor.connections == 1
    assert impostor.raw, "the handshake was heard"
    assert impostor.plain == b""
    assert SECRET.encode() not in impostor.raw


def test_servers_that_cannot_be_added(furnished: System, impostor: RecordingServer) -> None:
    port, nobody = furnished.client_port, free_ports(1)[0]
    was = standing(furnished)
    try_all(
        furnished,
        [
            ("cpcc add-server", "Missing argument 'HOST'"),
            ("cpcc add-server ''", "is empty"),
            ("cpcc add-server 'a b'", "The host name 'a b' is not known"),
            ("cpcc add-server no.such.host.invalid", "is not known"),
            ("cpcc add-server 127.0.0.1 port", "'port' is not a whole number"),
            ("cpcc add-server 127.0.0.1 0", "is not in the range"),
            ("cpcc add-server 127.0.0.1 70000", "is not in the range"),
            (f"cpcc add-server 127.0.0.1 {nobody}", "No Copernicus server answers"),
            (f"cpcc add-server --fingerprint 00 127.0.0.1 {port}", "somebody may be in between"),
            (f"cpcc add-server --fingerprint '' 127.0.0.1 {port}", "is empty"),
            (f"cpcc add-server 127.0.0.1 {furnished.secure_port}", "No Copernicus server answers"),
            ("cpcc forget-server nope", "There is no server known as 'nope'"),
            ("cpcc use-server nope", "There is no server known as 'nope'"),
            ("cpcc logout", "You are not logged in"),
        ],
    )
    assert standing(furnished) == was


def test_a_server_that_is_not_running(furnished: System) -> None:
    furnished.stop()
    said = "No server answers at 127.0.0.1:"
    try_all(
        furnished,
        [
            ("cpcc ls", said),
            ("cpcc start second", said),
            ("cpcc setf a:in.file file", said),
            ("cpcc login -stdin root", "No password was given"),
            ("cpc-server stop", "The server is not running"),
        ],
    )
    worker = furnished.run(["cpc-worker", "-q", "0.01", "smp"], is_checked=False)
    assert (worker.returncode, worker.stderr.count("\n")) == (1, 1)
    assert worker.stderr.startswith(f"ERROR: {said}")
    assert not list(furnished.folder.glob("cpc-worker-*"))
    furnished.start()
