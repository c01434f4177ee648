"""Versions and origins in words."""

from __future__ import annotations

from itertools import islice

import pytest
from msgspec.structs import replace
from tests.integration.answering import AnsweringServer

from copernicus.client import Client
from copernicus.client.output import past
from copernicus.wire import messages as m

JOB = m.Origin("job", path="w", job=3, attempt=2, worker="w1", hostname="node7", executable="m/work", version="1.5", core_s=90)
VERSION = m.Version(4, 0.0, "w:out.z", "result", JOB, 20, "20")


@pytest.mark.parametrize(
    ("version", "words"),
    [
        (VERSION, "20"),
        (replace(VERSION, is_same=True), "20 (the same again)"),
        (replace(VERSION, value=None, text=""), "no value"),
        (replace(VERSION, event="unset", value=None, text=""), "unset"),
        (replace(VERSION, event="connected", source="a:out.z"), "shows a:out.z"),
        (replace(VERSION, event="disconnected"), "disconnected, keeps 20"),
        (replace(VERSION, event="disconnected", value=None), "disconnected"),
        (replace(VERSION, event="shortened", value=2), "shortened to 2 elements"),
        (replace(VERSION, event="shortened", value=1), "shortened to 1 element"),
        (replace(VERSION, event="widened", value=2), "has 2 elements"),
        (replace(VERSION, event="widened", value=1), "has 1 element"),
        (replace(VERSION, event="removed", value=None), "removed with its instance"),
        (replace(VERSION, event="forgotten", value=None), "forgotten, to begin anew"),
    ],
)
def test_what_happened(version: m.Version, words: str) -> None:
    assert past.happened(version) == words


@pytest.mark.parametrize(
    ("origin", "words"),
    [
        (JOB, "job 3, attempt 2 on node7 (worker w1), m/work 1.5, 1 min 30 s of a core"),
        (replace(JOB, hostname="", worker="", executable="", core_s=0), "job 3, attempt 2, 0.0 s of a core"),
        (m.Origin("user", who="ada"), "ada"),
        (m.Origin("call", path="s", function="m::steer"), "s (m::steer)"),
        (m.Origin("constant", path="t", function="m::two"), "fixed in t (m::two)"),
        (m.Origin("server"), "the server"),
        (m.Origin("call", path="b", function="f", is_reused=True, made_for="a"), "b (f); made for a"),
        (m.Origin("call", path="b", function="f", is_reused=True, made_for="b"), "b (f); it stands again, made"),
    ],
)
def test_where_it_came_from(origin: m.Origin, words: str) -> None:
    cause = "EditsRequested" if origin.kind == "user" else "JobEnded"
    assert past.origin(replace(VERSION, origin=origin, cause=cause)) == words


def test_an_origin_says_from_which_checkpoint_and_by_what_else_than_an_edit() -> None:
    assert past.origin(replace(VERSION, origin=replace(JOB, extends=2))).endswith(", from the checkpoint of job 2")
    undone = replace(VERSION, origin=m.Origin("user", who="ada"), cause="UndoRequested")
    assert past.origin(undone) == "ada, by an undo"


def test_a_tree_shows_each_place_once() -> None:
    ada = replace(VERSION, event="set", origin=m.Origin("user", who="ada"), cause="EditsRequested")
    steps = [
        m.Step("b:out.z", "b:out.z", [VERSION], [1, 2], is_stale=True),
        m.Step("a:out.z", "b:in.x", [VERSION], [2]),
        m.Step("a:in.x", "a:in.x", [replace(ada, path="a:in.x"), replace(ada, path="a:in.x[0]", text="5", value=5)]),
    ]
    assert [line.partition(", from job")[0] for line in past.provenance(m.ProvenanceReply(steps, ["More."]))] == [
        "b:out.z (stale: it is being made anew): w:out.z 20",
        "  b:in.x = a:out.z: w:out.z 20",
        "    a:in.x",
        "        20, from ada",
        "        a:in.x[0] 5, from ada",
        "  a:in.x: see above",
        "More.",
    ]


def test_pages_are_asked_for_as_they_are_read() -> None:
    server = AnsweringServer()
    project = Client(server).start_project("first")

    def answer(request: m.HistoryRequest) -> m.HistoryReply:
        first = int(request.cursor or 0)
        rows = [replace(VERSION, seq=1000 - index) for index in range(first, min(first + request.limit, 450))]
        return m.HistoryReply("w", rows, str(first + len(rows)) if first + len(rows) < 450 else "")

    server.answers[m.HistoryRequest] = answer
    assert [one.seq for one in project.history("w")] == list(range(1000, 550, -1))
    assert [one.seq for one in project.history("w", 3)] == [1000, 999, 998]
    server.requests.clear()
    assert len(list(islice(project.history("w"), 10))) == 10
    assert len(server.requests) == 1
    assert len(project.origin("w")) == 450
    assert all(request.is_standing for request in server.of(m.HistoryRequest)[1:])
