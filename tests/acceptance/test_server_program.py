"""`cpc-server` as a program: started, asked, beside itself, stopped; with bundles made while it runs."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from copernicus.config.places import ServerPlaces
from copernicus.config.running import holder
from copernicus.errors import CertificateRefused, NotAuthenticated
from copernicus.net.bundle import read_bundle
from copernicus.net.caller import Caller
from copernicus.net.keys import KeyFolder
from copernicus.server.access.bundles import Bundles
from copernicus.server.storage.sqlite.access import SqliteAccessStore
from copernicus.wire import messages as m

PROGRAM = [sys.executable, "-c", "import sys; from copernicus.server.cli import main; sys.argv[0] = 'cpc-server'; main()"]


def free_ports() -> tuple[str, str]:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        return str(one.getsockname()[1]), str(two.getsockname()[1])


class Program:
    """`cpc-server` with a settings home of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / "home"

    def __call__(self, *words: str, given: str = "") -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "CPC_CONF_HOME": str(self.home)}
        return subprocess.run(
            [*PROGRAM, *words], input=given, env=environment, cwd=self.folder, text=True, capture_output=True, timeout=200
        )

    def set_up(self, *words: str) -> None:
        client_port, server_port = free_ports()
        ports = ("--client-port", client_port, "--server-port", server_port)
        done = self("setup", "-stdin", *ports, *words, "projects", given="twelve letters or more\n")
        assert done.returncode == 0, done.stderr


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    program = Program(tmp_path)
    yield program
    for folder in program.home.glob("*/server"):
        running = holder(folder)
        process = running.process() if running is not None else None
        if process is not None:
            process.kill()


def test_a_server_from_start_to_stop(program: Program) -> None:
    program.set_up()
    started = program("start")
    assert started.returncode == 0, started.stderr
    said = json.loads(program("status", "--json").stdout)
    assert (said["is_running"], said["is_answering"]) == (True, True)
    assert said["fingerprint"] in started.stdout
    again = program("start")
    assert again.returncode == 1
    assert f"running already (process {said['pid']})" in again.stderr
    assert "Traceback" not in again.stderr

    owners = Caller.of_bundle(read_bundle(program.home / "client.cnx"))
    assert owners.call(m.ServerInfoRequest()).fingerprint == said["fingerprint"]
    assert program("bundle", "--role", "worker").returncode == 0
    worker = read_bundle(program.folder / "worker.cnx")
    assert Caller.of_bundle(worker).call(m.ServerInfoRequest()).user == worker.user

    stopped = program("stop")
    assert stopped.returncode == 0, stopped.stderr
    assert program("status").returncode == 3
    assert program("stop").returncode == 1


def test_a_second_server_on_the_same_projects_says_why_it_ends(program: Program) -> None:
    (program.folder / "projects").mkdir(mode=0o700)
    program.set_up()
    program.set_up("-servername", "second")
    assert program("start").returncode == 0
    refused = program("-c", "second", "start")
    assert refused.returncode == 1
    assert "ended at once" in refused.stderr
    assert "is using" in refused.stderr
    assert program("-c", "second", "status").returncode == 3


def test_a_bundle_of_another_server_or_a_revoked_one_gets_nothing(program: Program) -> None:
    program.set_up()
    program.set_up("-servername", "second")
    assert program("start").returncode == 0
    own, foreign = read_bundle(program.home / "client.cnx"), read_bundle(program.home / "second" / "client.cnx")
    with pytest.raises(CertificateRefused, match="certificate verify failed"):
        Caller.of_bundle(replace(foreign, secure_port=own.secure_port)).call(m.ServerInfoRequest())
    posing = replace(own, certificate=foreign.certificate, key=foreign.key)
    with pytest.raises(CertificateRefused, match="refused this bundle"):
        Caller.of_bundle(posing).call(m.ServerInfoRequest())

    with Caller.of_bundle(own) as caller:
        caller.call(m.ServerInfoRequest())
        revoke(program.home / "_default" / "server", own.serial)
        with pytest.raises(NotAuthenticated, match="revoked"):
            caller.call(m.ServerInfoRequest())


def revoke(folder: Path, serial: str) -> None:
    """Revoke a bundle from this process, beside the running server."""
    places = ServerPlaces(folder)
    store = SqliteAccessStore(places.access)
    Bundles(store, KeyFolder(places.keys), time.time).revoke(serial)
    store.close()
