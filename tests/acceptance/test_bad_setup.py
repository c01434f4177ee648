"""Bad settings, folders, ports and flags of `cpc-server` and `cpc-worker`: refused in one line, with nothing left behind."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator

import pytest
from tests.acceptance.refusals import as_a_person, fault, files_of, furnish, standing, try_all

from copernicus.testing.system import PASSWORD, System


@pytest.fixture(scope="module")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """One running server for all tests of this file."""
    with System(tmp_path_factory.mktemp("refusing")) as system:
        furnish(system)
        yield system


def test_flags_of_the_server(furnished: System) -> None:
    was = standing(furnished)
    try_all(
        furnished,
        [
            ("cpc-server nope", "No such command 'nope'. See: cpc-server -h"),
            ("cpc-server -x", "No such option '-x'"),
            ("cpc-server start extra", "unexpected extra argument (extra). See: cpc-server start -h"),
            ("cpc-server -c '' status", "is empty"),
            ("cpc-server -c ../up status", "cannot be the name of a server"),
            ("cpc-server -c nope start", "Run: cpc-server -c nope setup PROJECT_DIR"),
            ("cpc-server -c nope stop", "There is no server set up"),
            ("cpc-server -c nope bundle", "There is no server set up"),
            ("cpc-server setup", "Missing argument 'PROJECT_DIR'"),
            ("cpc-server config heartbeat_time", "Missing argument 'VALUE'"),
            ("cpc-server config nope 1", "There is no setting called nope"),
            ("cpc-server config hartbeat_time 5", "Did you mean heartbeat_time?"),
            ("cpc-server config heartbeat_time x", "It must be a number from 2"),
            ("cpc-server config heartbeat_time 1", "It must be a number from 2"),
            ("cpc-server config client_secure_port abc", "It must be a whole number from 1 to 65535"),
            ("cpc-server config client_secure_port 0", "It must be a whole number from 1 to 65535"),
            (f"cpc-server config client_secure_port {furnished.secure_port}", "Give each its own"),
            ("cpc-server config server_host ''", "It must be a host name or an address"),
            ("cpc-server config server_host 'a b'", "It must be a host name or an address"),
            ("cpc-server config mode fast", "one of debug, prod, trace"),
            ("cpc-server bundle --role boss", "'boss' is not one of"),
            ("cpc-server bundle --user nobody", "There is no user 'nobody'"),
            ("cpc-server bundle --expires soon", "is not a length of time"),
            ("cpc-server bundle --expires 0", "cannot live for 0 days"),
            ("cpc-server bundle -o file", "is not a valid bundle of this server"),
            ("cpc-server bundle -o folder", "folder is a folder"),
            ("cpc-server bundle -o ''", "is empty"),
            ("cpc-server bundle -o nowhere/x.cnx", "No such file or directory"),
            ("cpc-server start", "The server is running already"),
        ],
    )
    try_all(furnished, [("cpc-server bundle -o closed/x.cnx", "Permission denied")], as_a_person())
    assert standing(furnished) == was


def setup(system: System, *words: str, password: str = PASSWORD, name: str = "second", **how: list[str]) -> str:
    """Set up another server; return what is wrong with its refusal."""
    *words, said = words
    argv = [*how.get("before", []), "cpc-server", "-c", name, "setup", "-stdin", *words]
    return fault(system.run(argv, text=password + "\n", is_checked=False), said)


def test_a_setup_that_cannot_be_leaves_nothing(furnished: System) -> None:
    was = standing(furnished)
    for words in (
        ("projects2", "short", "at least 12"),
        ("", PASSWORD, "is empty"),
        ("file", PASSWORD, "is not a folder"),
        ("file/below", PASSWORD, "is not a folder"),
        ("--client-port", "abc", "projects2", PASSWORD, "'abc' is not a whole number"),
        ("--client-port", "0", "projects2", PASSWORD, "is not in the range"),
        ("--client-port", "70000", "projects2", PASSWORD, "is not in the range"),
        ("--client-port", "5000", "--server-port", "5000", "projects2", PASSWORD, "are both 5000"),
        ("--listen", "no.such.host.invalid", "projects2", PASSWORD, "There is no address"),
        ("--listen", "198.51.100.7", "projects2", PASSWORD, "This machine cannot listen on 198.51.100.7"),
        ("--listen", "", "projects2", PASSWORD, "is empty"),
        ("--public-name", "a b", "projects2", PASSWORD, "must be a host name"),
        ("-servername", "third", "projects2", PASSWORD, "cannot be called both second and third"),
    ):
        *flags, password, said = words
        assert setup(furnished, *flags, said, password=password) == "", words
    assert setup(furnished, "closed/projects", "Permission denied", before=as_a_person()) == ""
    assert setup(furnished, "projects2", "is set up in", name="_default") == ""
    with_force = setup(furnished, "-force", "projects2", "Stop it first: cpc-server stop", name="_default")
    assert with_force == "", "a server that runs is not set up anew"
    assert not (furnished.home / "second").exists()
    assert standing(furnished) == was


def test_a_server_that_could_not_serve_is_not_started(furnished: System) -> None:
    ports = [str(port) for port in (furnished.client_port, furnished.secure_port)]
    furnished.run(
        ["cpc-server", "-c", "third", "setup", "-stdin", "--client-port", ports[0], "--server-port", ports[1], "third"],
        text=PASSWORD + "\n",
    )
    before = dict(files_of(furnished.home))
    start = [("cpc-server -c third start", f"The port {ports[0]} (client_secure_port) cannot be used: Address already in use")]
    try_all(furnished, start)
    assert dict(files_of(furnished.home)) == before
    try_all(furnished, [("cpc-server -c third stop", "The server is not running")])
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        free = [str(held.getsockname()[1]) for held in (one, two)]
    furnished.cpc_server("-c", "third", "config", "client_secure_port", free[0])
    furnished.cpc_server("-c", "third", "config", "server_secure_port", free[1])
    furnished.cpc_server("-c", "third", "config", "run_dir", str(furnished.projects))
    try_all(furnished, [("cpc-server -c third start", "The server ended at once: A server (process ")])
    furnished.cpc_server("-c", "third", "config", "run_dir", str(furnished.folder / "closed" / "projects"))
    try_all(furnished, [("cpc-server -c third start", "cannot be used: nothing can be made in")], as_a_person())
    furnished.cpc_server("-c", "third", "config", "server_host", "198.51.100.7")
    furnished.cpc_server("-c", "third", "config", "run_dir", str(furnished.folder / "third"))
    try_all(furnished, [("cpc-server -c third start", "This machine has no address 198.51.100.7")])
    assert furnished.cpc_server("-c", "third", "status", is_checked=False).returncode == 3


def test_the_owners_bundle_follows_the_server(furnished: System) -> None:
    place, held = furnished.home / "client.cnx", {}
    old = json.loads(place.read_text())
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        held = {"client_secure_port": one.getsockname()[1], "server_secure_port": two.getsockname()[1]}
    for name, port in held.items():
        assert "will know after" in furnished.cpc_server("config", name, str(port)).stdout
    assert json.loads(place.read_text()) == old, "the server still answers where it was"
    assert furnished.ask("pwd") == {"project": "first"}
    furnished.stop()
    said = furnished.cpc_server("start").stdout
    assert f"Your bundle {place} now says 127.0.0.1, ports {held['client_secure_port']} and" in said
    moved = json.loads(place.read_text())
    assert moved == old | {"client_port": held["client_secure_port"], "secure_port": held["server_secure_port"]}
    assert place.stat().st_mode & 0o777 == 0o600
    assert furnished.ask("status")["project"] == "first"
    furnished.stop()
    for name, port in (("client_secure_port", furnished.client_port), ("server_secure_port", furnished.secure_port)):
        said = furnished.cpc_server("config", name, str(port)).stdout
    assert "Your bundle" in said
    assert json.loads(place.read_text()) == old
    furnished.start()


def test_flags_of_the_worker(furnished: System) -> None:
    was = standing(furnished)
    try_all(
        furnished,
        [
            ("cpc-worker -n 0 smp", "0 is not in the range 1<=x<=4096. See: cpc-worker -h"),
            ("cpc-worker -n x smp", "'x' is not a whole number"),
            ("cpc-worker -s 0 smp", "is not in the range"),
            ("cpc-worker -q -1 smp", "is not in the range"),
            ("cpc-worker -q soon smp", "'soon' is not a number"),
            ("cpc-worker --time-left x smp", "'x' is not a time"),
            ("cpc-worker -q nan smp", "'nan' is not a number of minutes"),
            ("cpc-worker --checkpoint-every inf smp", "'inf' is not a number of minutes"),
            ("cpc-worker -n 5000 smp", "5000 is not in the range"),
            ("cpc-worker script", "Say for which batch system. There are: slurm, pbs, lsf."),
            ("cpc-worker script condor", "There is no job script for 'condor'. There are: slurm, pbs, lsf."),
            ("cpc-worker script slurm --time-left soon", "'soon' is not a time"),
            ("cpc-worker script slurm -c nowhere.cnx", "there is no file nowhere.cnx"),
            ("cpc-worker -hf nowhere mpi", "The host file nowhere cannot be read: No such file or directory."),
            ("cpc-worker -hf file smp", "The platform smp takes no --hostfile."),
            ("cpc-worker -cph 2 mpi", "-cph goes with a host file. Give it with -hf."),
            ("cpc-worker -cph 0 mpi", "0 is not in the range"),
            ("cpc-worker --nope smp", "No such option '--nope'"),
            ("cpc-worker smp extra", "unexpected extra argument (extra)"),
            ("cpc-worker nosuch", "There is no platform 'nosuch'"),
            ("cpc-worker -p '' smp", "is empty"),
            ("cpc-worker -wd file -q 0.01 smp", "cannot be made: "),
        ],
    )
    try_all(furnished, [("cpc-worker -wd closed -q 0.01 smp", "cannot be made: Permission denied")], as_a_person())
    assert standing(furnished) == was


def test_a_worker_for_a_project_that_does_not_exist(furnished: System) -> None:
    was = standing(furnished)
    done = furnished.run(["cpc-worker", "-p", "nope", "-q", "0.01", "smp"], is_checked=False)
    assert done.returncode == 1
    assert done.stderr == "ERROR: There is no project 'nope'. See: cpcc projects\n"
    assert standing(furnished) == was


def test_more_cores_than_there_are_is_noted(furnished: System) -> None:
    done = furnished.run(["cpc-worker", "-n", "1000", "-q", "0.001", "smp"])
    assert "Note: this machine has" in done.stderr
    assert done.stderr.count("\n") == 1
