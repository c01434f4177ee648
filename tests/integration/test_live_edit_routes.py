"""Previews and undo at a real server: who may ask, sent twice, killed after the answer, told to two users."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.standing import Standing

from copernicus.errors import CopernicusError, NotAllowed, Refused, UsageError
from copernicus.model import edits as e
from copernicus.net.caller import Caller
from copernicus.wire import messages as m

MAKE = [e.ImportModule("float"), e.MakeInstance("float::add", "sum"), e.SetValue("sum:in.a", 1), e.SetValue("sum:in.b", 2)]


@pytest.fixture
def standing(tmp_path: Path) -> Iterator[Standing]:
    """A server with an instance in the project first."""
    standing = Standing(tmp_path)
    try:
        standing.start()
        standing.caller().call(m.StartProjectRequest("first", "start"))
        standing.caller().call(m.ApplyRequest("first", [*MAKE, e.Activate("sum")]))
        yield standing
    finally:
        standing.close()


def change(caller: Caller, *edits: e.Edit) -> int:
    """Commit edits, and return the number of the transaction."""
    seq = caller.call(m.ApplyRequest("first", list(edits))).seq
    assert seq is not None
    return seq


def shown(caller: Caller, path: str) -> object:
    return caller.call(m.GetRequest("first", path)).value


def test_an_undo_sent_twice_counts_once_even_when_the_server_is_killed_between(standing: Standing) -> None:
    root = standing.caller()
    first, second = change(root, e.SetValue("sum:in.a", 5)), change(root, e.SetValue("sum:in.b", 6))
    request = m.UndoRequest("first", None, "undo 1")
    reply = root.call(request)
    assert reply.undone == second
    standing.kill()
    standing.start()
    root = standing.caller()
    assert root.call(request) == reply
    assert (shown(root, "sum:in.a"), shown(root, "sum:in.b")) == (5, 2)
    assert root.call(m.UndoRequest("first", None, "undo 2")).undone == first, "the one before: 1 was not done twice"
    assert root.call(m.UndoRequest("first", reply.seq, "undo 3")).undone == reply.seq
    assert (shown(root, "sum:in.a"), shown(root, "sum:in.b")) == (1, 6)


def test_what_is_no_transaction_of_a_person_is_refused(standing: Standing) -> None:
    root = standing.caller()
    change(root, e.ImportModule("math"))
    with pytest.raises(Refused, match="left nothing that could be taken back") as caught:
        root.call(m.UndoRequest("first"))
    assert caught.value.hint == "To take back the one before it: cpcc undo 1", "else a person is stuck here"
    with pytest.raises(Refused, match="There is no transaction 99"):
        root.call(m.UndoRequest("first", 99))
    with pytest.raises(Refused, match="not one that a person made"):
        root.call(m.UndoRequest("first", 2))


def test_a_rename_that_is_taken_back_is_told_by_the_name_before(standing: Standing) -> None:
    root = standing.caller()
    change(root, e.RenameInstance("sum", "total"))
    assert "sum was renamed to total" in root.call(m.UndoRequest("first")).told[0]


def test_strangers_neither_look_ahead_nor_back(standing: Standing) -> None:
    stranger = standing.user("stranger")
    for request in (m.PreviewRequest("first", [e.Activate()]), m.UndoRequest("first"), m.UndoRequest("first", is_preview=True)):
        with pytest.raises(CopernicusError, match="no project 'first'"):
            stranger.call(request)


def test_a_preview_asks_pure_functions_and_keeps_nothing(standing: Standing) -> None:
    root = standing.caller()
    seq = change(root, e.MakeInstance("float::add", "more"), e.Connect("sum:out.c", "more:in.a"), e.Activate("more"))
    change(root, e.SetValue("more:in.b", 1))
    found = root.call(m.PreviewRequest("first", [e.SetValue("sum:in.a", 4)]))
    assert (found.certain, found.possible) == (["sum", "more"], [])
    assert shown(root, "sum:in.a") == 1
    with pytest.raises(Refused, match=r"more:in.b was set to 1.0 by root .* \(transaction"):
        root.call(m.UndoRequest("first", seq))


def test_the_priority_of_a_project_is_for_super_users_and_lasts(standing: Standing) -> None:
    root, ada = standing.caller(), standing.user("ada")
    ada.call(m.StartProjectRequest("hers", "start hers"))
    with pytest.raises(NotAllowed):
        ada.call(m.ProjectPriorityRequest("hers", 30))
    with pytest.raises(UsageError, match="-31 is no priority"):
        root.call(m.ProjectPriorityRequest("hers", -31))
    with pytest.raises(CopernicusError, match="no project 'nobodys'"):
        root.call(m.ProjectPriorityRequest("nobodys", 1))
    request = m.ProjectPriorityRequest("hers", 7, "priority 1")
    assert root.call(request).note == "Project hers has the priority 7 now."
    root.call(m.ProjectPriorityRequest("hers", 8))
    assert root.call(request).note == "Project hers has the priority 7 now.", "the same request again changes nothing"
    standing.kill()
    standing.start()
    rows = standing.caller().call(m.ProjectsRequest()).projects
    assert {row.name: row.priority for row in rows} == {"first": 0, "hers": 8}


def test_a_project_that_is_renamed_keeps_its_people_its_content_and_nothing_of_its_old_name(standing: Standing) -> None:
    root, ada = standing.caller(), standing.user("ada")
    ada.call(m.StartProjectRequest("hers", "start hers"))
    ada.call(m.ApplyRequest("hers", MAKE))
    with pytest.raises(Refused, match="already a project 'first'"):
        ada.call(m.RenameProjectRequest("hers", "first"))
    with pytest.raises(CopernicusError, match="no project 'first'"):
        ada.call(m.RenameProjectRequest("first", "mine"))
    request = m.RenameProjectRequest("hers", "mine", "rename 1")
    assert ada.call(request).note == "Project hers is called mine now."
    assert [row.name for row in ada.call(m.ProjectsRequest()).projects] == ["mine"]
    assert ada.call(m.GetRequest("mine", "sum:in.a")).value == 1
    root.call(m.StartProjectRequest("hers", "start hers again"))
    with pytest.raises(CopernicusError, match="no project 'hers'"):
        ada.call(m.GetRequest("hers", "sum:in.a"))
    standing.kill()
    standing.start()
    assert [row.name for row in standing.caller().call(m.ProjectsRequest()).projects] == ["first", "hers", "mine"]
