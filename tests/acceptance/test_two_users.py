"""Two people and one project: each sees what the other did, and nobody overwrites the other unawares."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from copernicus.client import Client
from copernicus.config.places import ServerPlaces
from copernicus.errors import Conflict
from copernicus.server.access.users import Users
from copernicus.server.storage.sqlite.access import SqliteAccessStore
from copernicus.testing.system import PASSWORD, System


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """Ada's and bob's server, with a project of both."""
    with System(tmp_path_factory.mktemp("two")) as system:
        system.setup()
        system.start()
        system.cpcc("start", "first")
        access = SqliteAccessStore(ServerPlaces(system.home / "_default" / "server").access)
        for name in ("ada", "bob"):
            Users(access, time.time).add(name, PASSWORD)
            access.grant(name, "first")
        access.close()
        yield system


def terminal(system: System, user: str) -> Callable[..., tuple[int, str]]:
    """A terminal in which `user` has logged in; it gives exit status and all that was printed."""
    home = system.folder / f"home-{user}"

    def cpcc(*words: str, text: str = "") -> tuple[int, str]:
        before = system.environment["CPC_CONF_HOME"]
        system.environment["CPC_CONF_HOME"] = str(home)
        try:
            done = system.cpcc(*words, text=text, is_checked=False)
        finally:
            system.environment["CPC_CONF_HOME"] = before
        return done.returncode, done.stdout + done.stderr

    if not home.exists():
        home.mkdir(mode=0o700)
        (home / "server").mkdir(mode=0o700)
        fingerprint = system.ask("server-info")["fingerprint"]
        assert cpcc("add-server", "--fingerprint", fingerprint, "127.0.0.1", str(system.client_port))[0] == 0
        assert cpcc("login", "-stdin", user, text=PASSWORD + "\n")[0] == 0
        assert cpcc("cd", "first")[0] == 0
    return cpcc


def test_whoever_overwrites_the_other_is_told_once(system: System) -> None:
    ada, bob, other_terminal = terminal(system, "ada"), terminal(system, "bob"), terminal(system, "ada")
    assert bob("instance", "math::add", "sum") == (0, "Made sum, an instance of math::add. It is held until: cpcc activate\n")
    ada("transact")
    ada("set", "sum:in.a", "1")
    other_terminal("set", "sum:in.b", "2")
    bob("set", "sum:in.a", "7")
    status, said = ada("commit")
    assert status == 1
    assert said.startswith("ERROR: Since you made your list, sum:in.a was set to 7.0 by bob ")
    assert "same commit again" in said
    assert bob("get", "sum:in.a")[1] == "sum:in.a: 7.0\n"
    assert other_terminal("commit") == (0, "Committed 2 changes.\n"), "one user, one list, whichever the terminal"
    assert bob("get", "sum:in.a")[1] == "sum:in.a: 1.0\n"
    assert ada("commit")[0] == 1, "nothing is open any more"


def test_history_says_who_wrote_what(system: System) -> None:
    ada, bob = terminal(system, "ada"), terminal(system, "bob")
    bob("instance", "math::add", "told")
    bob("set", "told:in.a", "7")
    ada("set", "told:in.a", "1")
    ada("set", "told:in.b", "2")
    ada("activate", "told")
    system.until(lambda: ada("get", "told:out.c")[1] == "told:out.c: 3.0\n", what="the sum is there")
    status, said = ada("history", "told:in.a")
    assert status == 0
    assert [(line.split()[3], line.split()[4]) for line in said.splitlines()[1:]] == [("7.0", "bob"), ("1.0", "ada")]
    newest, before = json.loads(ada("history", "--json", "told:in.a")[1])
    assert (newest["value"], newest["origin"]["who"], before["value"], before["origin"]["who"]) == (1.0, "ada", 7.0, "bob")
    assert [line.split("from ")[1] for line in ada("history", "--from", "told:out.c")[1].splitlines()] == [
        "told (math::add)", "ada", "ada",
    ]  # fmt: skip
    assert "from ada" in ada("get", "-v", "told:in.a")[1]
    (told,) = json.loads(ada("get", "-v", "--json", "told:out.c")[1])["origin"]
    assert (told["event"], told["origin"]["kind"], told["origin"]["path"]) == ("result", "call", "told")
    assert json.loads(ada("get", "--json", "told:out.c")[1]) == 3.0
    assert ada("history", "-n", "1", "told:in.a")[1].startswith("There are older versions")
    assert len(json.loads(ada("history", "--json", "--all", "told")[1])) == 4


def test_a_result_that_was_there_is_said_aloud(system: System) -> None:
    ada, bob = terminal(system, "ada"), terminal(system, "bob")
    system.worker("-n", "1")
    ada("instance", "math::double", "twice")
    ada("set", "twice:in.integer_inputs", "3")
    ada("activate", "twice")
    for value in ("6", "8"):
        system.until(lambda value=value: bob("get", "--json", "twice:out.integer_outputs")[1] == f"{value}\n", what="a job")
        bob("set", "twice:in.integer_inputs", "4")
    (first,) = {row["origin"]["job"] for row in json.loads(ada("history", "--json", "twice:out.integer_outputs")[1])[1:]}
    status, said = ada("set", "twice:in.integer_inputs", "3")
    assert status == 0
    assert f"twice: the result stands that was there already (job {first}, " in said
    assert f"The result stands that was there already (job {first}, " in ada("why", "twice")[1]
    assert f"twice has its result at once (job {first})" in ada("log", "twice")[1]
    newest = json.loads(ada("history", "--json", "twice:out.integer_outputs")[1])[0]["origin"]
    assert (newest["job"], newest["is_reused"], newest["executable"]) == (first, True, "math/double")
    where = ada("why", "twice:out.integer_outputs")[1]
    assert f"from job {first}, attempt 1 on" in where
    assert "it stands again" in where


def test_what_others_write_beside_it_is_no_conflict(system: System) -> None:
    ada, bob = terminal(system, "ada"), terminal(system, "bob")
    bob("instance", "math::add", "beside")
    ada("transact")
    ada("set", "beside:in.a", "1")
    bob("set", "beside:in.b", "7")
    assert ada("commit") == (0, "Committed 1 change.\n")


def test_a_transaction_in_python_is_told_as_well(system: System, tmp_path: Path) -> None:
    bob = terminal(system, "bob")
    bob("instance", "math::add", "script")
    with Client.connect(system.home / "client.cnx") as client:
        project = client.project("first")
        begun = []

        def commit() -> None:
            with project.transaction() as change:
                begun.append(change)
                change.set("script:in.a", 3.0)
                bob("set", "script:in.a", "8")

        with pytest.raises(Conflict, match=r"script:in\.a was set to 8\.0 by bob"):
            commit()
        assert project.get("script:in.a") == 8.0
        reply = begun[0].commit()
        assert reply is not None
        assert project.get("script:in.a") == 3.0
