"""Following a project on a real server: long polls, lists in parts, graphs; and the client's instances and places."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.standing import DEADLINE_S, Standing

from copernicus.client import Client, Failed, Project, TimedOut
from copernicus.errors import UnknownPath, UsageError, WrongType
from copernicus.wire import messages as m


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standing]:
    """A server that all tests of this file share."""
    standing = Standing(tmp_path_factory.mktemp("standing"))
    try:
        standing.start()
        yield standing
    finally:
        standing.close()


@pytest.fixture
def project(standing: Standing, request: pytest.FixtureRequest) -> Project:
    """A project of one's own, with a sum that knows both of its terms."""
    project = Client(standing.caller()).start_project(request.node.name[:90])
    with project.transaction() as change:
        change.instance("math::add", "sum")
        change.set("sum:in.a", 1.5)
        change.set("sum:in.b", 2.0)
        change.activate()
    return project


def test_a_long_poll_ends_with_the_next_transaction_not_before(standing: Standing, project: Project) -> None:
    project["sum"].wait(timeout_s=DEADLINE_S)
    seq = project.changed()
    assert project.changed(seq, 0.2) == seq, "nothing happened in time"
    answers: list[int] = []
    other = Client(standing.caller()).project(project.name)
    waiting = threading.Thread(target=lambda: answers.append(other.changed(seq, 30.0)))
    waiting.start()
    project["sum"].set(a=5.0)
    waiting.join(DEADLINE_S)
    assert answers
    assert answers[0] > seq


def test_who_waits_is_answered_when_the_server_stops_and_when_the_project_goes(tmp_path: Path) -> None:
    standing = Standing(tmp_path)
    try:
        standing.start()
        for end in (lambda: Client(standing.caller()).remove_project("p"), standing.stop):
            project = Client(standing.caller()).start_project("p")
            errors: list[Exception] = []

            def wait(project: Project = project, errors: list[Exception] = errors) -> None:
                try:
                    project.changed(project.changed(), 30.0)
                except Exception as error:
                    errors.append(error)

            waiting = threading.Thread(target=wait)
            began_at = time.monotonic()
            waiting.start()
            while not waiting.is_alive():
                pass
            end()
            waiting.join(DEADLINE_S)
            assert not waiting.is_alive()
            assert time.monotonic() - began_at < 30.0, "not only after its own time"
    finally:
        standing.close()


def test_lists_come_in_parts_and_whole(project: Project) -> None:
    with project.transaction() as change:
        change.instance("math::double_value", "many")
        change.set("many:in.integer_inputs", list(range(25)))
    project.activate("many")
    project.wait(lambda project: project.list_page("many").total == 25, DEADLINE_S)
    page = project.list_page("many", offset=20, limit=10)
    assert [row.path for row in page.instances] == ["many", *(f"many:double_{index}" for index in range(20, 25))]
    assert (page.total, page.places) == (25, []), "the places stand in the first part"
    part = project.list_page("many:in.integer_inputs", offset=3, limit=2)
    assert [row.text for row in part.places] == ["3", "4"]
    assert part.total == 25
    assert len(project.list("many").instances) == 26
    assert project.list_page("", limit=1).total == 2
    with pytest.raises(UsageError, match="0 or later"):
        project.list_page("many", offset=-1)


def test_graphs_show_one_level_with_its_border(project: Project) -> None:
    project.instance("math::add", "more")
    project["sum"].out.c.connect(project["more"].inputs.a)
    graph = project.graph()
    assert [(node.name, node.function, node.state) for node in graph.nodes][1] == ("more", "math::add", "held")
    assert graph.edges == [m.GraphEdge("sum:out.c", "more:in.a")]
    project.instance("ensemble::sweep", "sweep")
    inside = project.graph("sweep")
    assert {node.name for node in inside.nodes} == {"lay_out", "jobs", "tabulate"}
    assert m.GraphEdge("sweep:in.command", "sweep:jobs:in.command", is_from_border=True) in inside.edges
    assert m.GraphEdge("sweep:tabulate:out.table", "sweep:out.table", is_to_border=True) in inside.edges
    with pytest.raises(UsageError, match="only instances have a graph"):
        project.graph("sum:in")


def test_places_are_gone_into_by_type_and_wrong_names_are_told_with_what_there_is(project: Project) -> None:
    total = project["sum"]
    assert total.out.c.wait(timeout_s=DEADLINE_S) == 3.5
    with pytest.raises(UnknownPath, match="It has: a, b"):
        total.inputs["c"]
    with pytest.raises(AttributeError, match="It has: c"):
        total.out.d  # noqa: B018
    with pytest.raises(WrongType, match="not an array"):
        total.out.c[0]
    with pytest.raises(AttributeError, match=r"\.set\(value\)"):
        total.out.c.x = 5
    with pytest.raises(UnknownPath, match="no instance"):
        project["sum:in.a"]
    with pytest.raises(UnknownPath, match="does not name a place"):
        project.place("sum")
    assert project.place("sum.in.a") == total.in_.a
    project.instance("ensemble::run", "run")
    run = project["run"]
    assert len(run.inputs.command) == 0
    assert run.inputs.command.append("true").path == "run:in.command[0]"
    assert [place.value for place in run.inputs.command] == ["true"]
    assert run.inputs.command[-1].value == "true"
    with pytest.raises(UnknownPath, match=r"has 1 element\."):
        run.inputs.command[-2]


def test_what_will_not_come_is_not_waited_for(project: Project) -> None:
    project.instance("math::div", "div")
    ratio = project["div"]
    with pytest.raises(Failed, match="is held"):
        ratio.wait(timeout_s=DEADLINE_S)
    ratio.activate()
    with pytest.raises(TimedOut, match=r"has not become idle within 0\.2 s"):
        ratio.wait(timeout_s=0.2)
    ratio.set(a=1.0, b=0.0)
    with pytest.raises(Failed, match=r"in error: .*ZeroDivision"):
        ratio.out.c.wait(timeout_s=DEADLINE_S)
    assert ratio.wait(until="error", timeout_s=DEADLINE_S) == "error"
    ratio.set(b=4.0)
    assert ratio.wait(lambda one: one.out.c.value == 0.25, timeout_s=DEADLINE_S) == "idle"
