"""The Python API: each method is one message; a transaction is one message for all."""

from __future__ import annotations

import math

import pytest
from tests.integration.answering import AnsweringServer

from copernicus.client import Client
from copernicus.client.project import Transaction
from copernicus.errors import Conflict, Refused, UnknownPath, WrongType
from copernicus.model import edits as e
from copernicus.model.values import FileRef
from copernicus.wire import messages as m

FILE = FileRef("ab" * 32, 5, "conf.gro")


@pytest.fixture
def server() -> AnsweringServer:
    return AnsweringServer()


def changes(server: AnsweringServer) -> list[m.ApplyRequest]:
    """The requests that were to change something."""
    return [request for request in server.of(m.ApplyRequest) if not request.is_check]


def test_a_transaction_is_one_message(server: AnsweringServer) -> None:
    project = Client(server).start_project("first")
    with project.transaction() as change:
        change.instance("math::double_value", "db")
        change.set("db:in.numbers", [1.5, math.inf, None])
        change.set("db:in.files", [FILE])
        change.activate()
    assert change.reply == m.ApplyReply(4, ["", "", "", ""])
    assert len(changes(server)) == 1
    assert server.projects["first"] == [
        e.MakeInstance("math::double_value", "db"),
        e.SetValue("db:in.numbers", [1.5, "inf", None]),
        e.SetValue("db:in.files", [{"blob": FILE.blob, "size": 5, "name": "conf.gro"}]),
        e.Activate(),
    ]


def test_a_block_that_fails_commits_nothing(server: AnsweringServer) -> None:
    project = Client(server).start_project("first")

    def fail() -> None:
        with project.transaction() as change:
            change.activate()
            raise ValueError

    with pytest.raises(ValueError):
        fail()
    with project.transaction():
        pass
    assert changes(server) == []


def test_a_transaction_says_when_it_began_and_a_conflict_is_told_once(server: AnsweringServer) -> None:
    project = Client(server).start_project("first")
    server.seq = 7

    def commit() -> None:
        with project.transaction() as change:
            begun.append(change)
            server.seq = 9
            change.activate()

    begun: list[Transaction] = []
    server.answers[m.ApplyRequest] = lambda request: (
        m.ApplyReply(None, [], server.seq) if request.is_check else Conflict("bob", "", 9)
    )
    with pytest.raises(Conflict):
        commit()
    del server.answers[m.ApplyRequest]
    assert begun[0].commit() == begun[0].commit() == m.ApplyReply(1, [""], 9)
    first, second = changes(server)
    assert (first.stamps, second.stamps) == ([7], [9])
    assert first.request_id != second.request_id


def test_every_change_carries_a_request_id_of_its_own(server: AnsweringServer) -> None:
    project = Client(server).start_project("first")
    project.activate()
    project.activate()
    ids = [request.request_id for request in server.of(m.ApplyRequest) + server.of(m.StartProjectRequest)]
    assert len(set(ids)) == 3
    assert all(ids)


def test_errors_keep_their_class(server: AnsweringServer) -> None:
    client = Client(server)
    client.start_project("first")
    with pytest.raises(Refused, match="already"):
        client.start_project("first")
    with pytest.raises(UnknownPath):
        client.project("other").activate()


def test_values_come_back_by_their_type(server: AnsweringServer) -> None:
    project = Client(server).project("first")
    data = [{"blob": FILE.blob, "size": 5, "name": "conf.gro"}, None]
    server.answers[m.GetRequest] = m.GetReply("a:out.x", "record{n: float, f: file?[]}", {"n": "-inf", "f": data})
    assert project.get("a:out.x") == {"n": -math.inf, "f": [FILE, None]}
    with pytest.raises(WrongType, match="not a file"):
        project.get_file("a:out.x", "unused")
