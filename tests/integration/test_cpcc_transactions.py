"""Transactions of `cpcc`: staged in the client, checked one by one, committed as one request."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.integration.answering import AnsweringServer, Cpcc

from copernicus.errors import Conflict, Refused, Unreachable, WrongType
from copernicus.model import edits as e
from copernicus.model.values import FileRef
from copernicus.wire import messages as m


def test_a_transaction_is_one_request(cpcc: Cpcc, answering: AnsweringServer, first: list[e.Edit]) -> None:
    (Path.cwd() / "conf.gro").write_bytes(b"water")
    blob = answering.put(b"water")
    assert cpcc("transact").status == 0
    assert cpcc("connect", "a:out.x", "b:in.x").out.startswith("Staged (1): ")
    assert cpcc("setf", "a:in.conf[+]", "conf.gro").out.startswith("Staged (2): ")
    assert cpcc("activate").status == 0
    assert first == []
    # setf is checked twice: before the file is sent, and with the file.
    assert [request.is_check for request in answering.of(m.ApplyRequest)] == [True] * 4
    assert "3 changes staged" in cpcc_status(cpcc, answering)
    said = cpcc("commit")
    assert said.out == "Committed 3 changes.\n"
    assert first == [
        e.Connect("a:out.x", "b:in.x"),
        e.SetFile("a:in.conf[+]", FileRef(blob, 5, "conf.gro")),
        e.Activate(),
    ]
    assert cpcc("commit").status != 0, "the transaction is over"


def cpcc_status(cpcc: Cpcc, answering: AnsweringServer) -> str:
    answering.answers[m.StatusRequest] = m.StatusReply("first", 1, {}, {}, [], [])
    return cpcc("status").out


def test_an_edit_that_would_be_refused_is_not_staged(cpcc: Cpcc, answering: AnsweringServer, first: list[e.Edit]) -> None:
    def told(edit: e.Edit) -> str:
        if isinstance(edit, e.SetText) and edit.text == "x":
            raise WrongType("a:in.x: 'x' is not an int.")
        return ""

    answering.told = told
    cpcc("transact")
    cpcc("set", "a:in.x", "1")
    said = cpcc("set", "a:in.x", "x")
    assert (said.status, said.err) == (1, "ERROR: a:in.x: 'x' is not an int.\n")
    cpcc("commit")
    assert first == [e.SetText("a:in.x", "1")]


def test_a_nested_transact_is_a_savepoint(cpcc: Cpcc, first: list[e.Edit]) -> None:
    cpcc("transact")
    cpcc("set", "a:in.x", "1")
    cpcc("transact")
    cpcc("set", "a:in.x", "2")
    assert cpcc("rollback").out == "Forgot 1 change. Still staged: 1 change.\n"
    cpcc("transact")
    cpcc("set", "a:in.x", "3")
    assert cpcc("commit").status == 0
    assert first == []
    assert cpcc("commit").out == "Committed 2 changes.\n"
    assert first == [e.SetText("a:in.x", "1"), e.SetText("a:in.x", "3")]


def test_rollback_forgets_and_an_empty_commit_says_so(cpcc: Cpcc, first: list[e.Edit]) -> None:
    cpcc("transact")
    cpcc("activate")
    assert cpcc("rollback").out == "Forgot 1 change.\n"
    cpcc("transact")
    assert cpcc("commit").out == "Nothing changed.\n"
    assert first == []
    for words in (("commit",), ("rollback",)):
        said = cpcc(*words)
        assert said.status == 1
        assert said.err.startswith("ERROR: No transaction is open in project first.")


def test_a_commit_that_is_repeated_carries_the_same_request_id(cpcc: Cpcc, answering: AnsweringServer, first: Any) -> None:
    cpcc("transact")
    cpcc("activate")
    answering.answers[m.ApplyRequest] = Unreachable("The connection broke.")
    assert cpcc("commit").status == 1
    assert cpcc("commit").status == 1
    first, second = (request.request_id for request in answering.of(m.ApplyRequest)[1:])
    assert first == second != ""
    answering.answers[m.ApplyRequest] = Refused("Somebody removed it.")
    assert "still open" in cpcc("commit").err
    del answering.answers[m.ApplyRequest]
    assert cpcc("commit").status == 0
    assert answering.of(m.ApplyRequest)[-1].request_id != first, "a refusal is not to be answered from memory"


def test_a_commit_that_is_refused_says_what_has_become_of_the_transaction(
    cpcc: Cpcc, answering: AnsweringServer, first: list[e.Edit]
) -> None:
    cpcc("transact")
    cpcc("set", "a:in.x", "1")

    def refused(edit: e.Edit) -> str:
        raise Refused("There is no instance 'a' in this project.", "There are: b.")

    answering.told = refused
    said = cpcc("commit").err
    assert "set a:in.x 1: There is no instance 'a' in this project." in said, "it says which change it was"
    assert "There are: b. Nothing was changed; the transaction is still open" in said
    assert first == []


def test_a_conflict_is_told_once(cpcc: Cpcc, answering: AnsweringServer, first: list[e.Edit]) -> None:
    cpcc("transact")
    answering.seq = 4
    cpcc("set", "a:in.x", "1")
    cpcc("transact")
    answering.seq = 6
    cpcc("set", "a:in.y", "2")
    cpcc("set", "a:in.z", "3")
    cpcc("rollback")
    cpcc("set", "a:in.y", "2")
    answering.answers[m.ApplyRequest] = Conflict("a:in.x was set to 5 by bob.", "The same commit again goes through.", 8)
    said = cpcc("commit")
    assert (said.status, said.out) == (1, "")
    assert said.err == "ERROR: a:in.x was set to 5 by bob. The same commit again goes through.\n"
    del answering.answers[m.ApplyRequest]
    cpcc("transact")
    answering.seq = 9
    cpcc("set", "a:in.w", "4")
    assert cpcc("commit").status == 0
    assert cpcc("commit").out == "Committed 3 changes.\n"
    commits = [request for request in answering.of(m.ApplyRequest) if not request.is_check]
    assert [request.stamps for request in commits] == [[4, 6], [8, 8, 9]]
    assert commits[0].request_id != commits[1].request_id


def test_a_list_that_an_older_program_began_is_committed_as_it_is(cpcc: Cpcc, answering: AnsweringServer, first: Any) -> None:
    cpcc("transact")
    cpcc("set", "a:in.x", "1")
    (file,) = (Path.cwd() / "conf").rglob("staged-*.json")
    staged = json.loads(file.read_text())
    del staged["stamps"]
    file.write_text(json.dumps(staged))
    cpcc("set", "a:in.y", "1")
    assert cpcc("commit").status == 0
    assert answering.of(m.ApplyRequest)[-1].stamps == []


def test_transactions_belong_to_an_identity_and_a_project(cpcc: Cpcc, answering: AnsweringServer, first: list[e.Edit]) -> None:
    cpcc("transact")
    cpcc("-c", "other.cnx", "-p", "first", "activate")
    assert first == [e.Activate()]
    cpcc("start", "second")
    cpcc("activate")
    assert answering.projects["second"] == [e.Activate()]


def test_an_open_transaction_goes_on_when_its_project_is_renamed(
    cpcc: Cpcc, answering: AnsweringServer, first: list[e.Edit]
) -> None:
    cpcc("transact")
    cpcc("activate")
    answering.answers[m.RenameProjectRequest] = m.Done("Project first is called second now.")
    assert cpcc("rename-project", "first", "second").out == "Project first is called second now.\n"
    answering.projects["second"] = []
    assert cpcc("pwd").out == "second\n"
    assert cpcc("commit").out == "Committed 1 change.\n"
    assert (first, answering.projects["second"]) == ([], [e.Activate()])
