"""Users on a real server: who may make and change whom, what is taken from somebody is gone at once, and what is noted."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.standing import DEADLINE_S, PASSWORD, Standing

from copernicus.config.places import ServerPlaces
from copernicus.errors import (
    CopernicusError,
    NotAllowed,
    NotAuthenticated,
    Refused,
    Unavailable,
    UnknownPath,
    UsageError,
)
from copernicus.model.secret import Secret
from copernicus.net.caller import Caller
from copernicus.wire import messages as m

NEW = Secret("another long password")


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standing]:
    standing = Standing(tmp_path_factory.mktemp("users"))
    try:
        standing.start()
        yield standing
    finally:
        standing.close()


def answer(caller: Caller, request: m.Message) -> object:
    """The reply, or the error."""
    try:
        return caller.call(request)  # type: ignore[call-overload]
    except CopernicusError as error:
        return error


def test_a_user_s_life(standing: Standing) -> None:
    root = standing.user()
    root.call(m.AddUserRequest("life", Secret(PASSWORD)))
    with pytest.raises(Refused, match="already"):
        root.call(m.AddUserRequest("life", NEW))
    life = standing.user("life")
    with pytest.raises(NotAllowed):
        life.call(m.UsersRequest())
    root.call(m.ChangeUserRequest("life", "promote"))
    assert {row.name: row.is_super for row in life.call(m.UsersRequest()).users}["life"]
    root.call(m.ChangeUserRequest("life", "demote"))
    with pytest.raises(NotAllowed):
        life.call(m.UsersRequest())
    root.call(m.ChangeUserRequest("life", "disable"))
    assert isinstance(answer(life, m.ProjectsRequest()), NotAuthenticated)
    with pytest.raises(NotAuthenticated, match="User name or password is wrong"):
        standing.user("life")
    root.call(m.ChangeUserRequest("life", "enable"))
    life = standing.user("life")
    bundle = standing.caller("client", "life")
    assert bundle.call(m.ProjectsRequest()).projects == []
    root.call(m.DeleteUserRequest("life"))
    assert isinstance(answer(life, m.ProjectsRequest()), NotAuthenticated)
    assert isinstance(answer(bundle, m.ProjectsRequest()), (NotAuthenticated, Unavailable))
    with pytest.raises(UnknownPath, match="no user"):
        standing.bundle("client", "life")


def test_somebody_stays_in_charge(standing: Standing) -> None:
    root = standing.user()
    for request in (
        m.DeleteUserRequest("root"), m.ChangeUserRequest("root", "demote"), m.ChangeUserRequest("root", "disable"),
    ):  # fmt: skip
        with pytest.raises(Refused, match="only super user"):
            root.call(request)  # type: ignore[call-overload]
    for request in (m.DeleteUserRequest("none"), m.ChangeUserRequest("none", "demote")):
        with pytest.raises(UnknownPath):
            root.call(request)  # type: ignore[call-overload]


def test_a_new_password_needs_the_old_one_and_ends_every_session(standing: Standing) -> None:
    eve, other = standing.user("eve"), standing.user("eve")
    with pytest.raises(NotAuthenticated):
        eve.call(m.SetPasswordRequest(NEW))
    with pytest.raises(NotAuthenticated):
        eve.call(m.SetPasswordRequest(NEW, NEW))
    with pytest.raises(UsageError, match="at least 12"):
        eve.call(m.SetPasswordRequest(Secret("short"), Secret(PASSWORD)))
    with pytest.raises(Refused, match="somebody else"):
        eve.call(m.SetPasswordRequest(NEW, Secret(PASSWORD), "root"))
    eve.call(m.SetPasswordRequest(NEW, Secret(PASSWORD)))
    for session in (eve, other):
        assert isinstance(answer(session, m.ProjectsRequest()), (NotAuthenticated, Unavailable))
        assert isinstance(answer(session, m.ProjectsRequest()), NotAuthenticated)
    nobody = standing.nobody()
    with pytest.raises(NotAuthenticated):
        nobody.call(m.LoginRequest("eve", Secret(PASSWORD)))
    nobody.call(m.LoginRequest("eve", NEW))
    with pytest.raises(NotAuthenticated):
        standing.user().call(m.SetPasswordRequest(NEW, name="eve"))  # a stolen session of a super user is not enough
    standing.caller().call(m.SetPasswordRequest(Secret(PASSWORD), name="eve"))
    standing.user("eve")


def test_access_is_given_and_taken_by_members(standing: Standing) -> None:
    ann, bob, root = standing.user("ann"), standing.user("bob"), standing.user()
    ann.call(m.StartProjectRequest("ours", "ours"))
    missing = answer(bob, m.MembersRequest("none"))
    for request in (m.GrantAccessRequest("ours", "bob"), m.RevokeAccessRequest("ours", "ann"), m.MembersRequest("ours")):
        foreign = answer(bob, request)
        assert isinstance(foreign, UnknownPath)
        assert str(foreign) == str(missing).replace("none", "ours"), "a foreign project looks like one that is not there"
    with pytest.raises(Refused, match="only one"):
        ann.call(m.RevokeAccessRequest("ours", "ann"))
    with pytest.raises(UnknownPath, match="no user"):
        ann.call(m.GrantAccessRequest("ours", "nobody"))
    with pytest.raises(UnknownPath, match="no project"):
        root.call(m.GrantAccessRequest("none", "bob"))
    ann.call(m.GrantAccessRequest("ours", "bob"))
    assert bob.call(m.MembersRequest("ours")).names == ["ann", "bob"]
    bob.call(m.RevokeAccessRequest("ours", "ann"))
    assert isinstance(answer(ann, m.StatusRequest("ours")), (UnknownPath, Unavailable))
    assert isinstance(answer(ann, m.StatusRequest("ours")), UnknownPath)
    with pytest.raises(Refused, match="Those who have: bob"):
        bob.call(m.RevokeAccessRequest("ours", "ann"))


def test_a_call_that_waits_is_cut_when_its_user_is_deleted(standing: Standing) -> None:
    gone = standing.user("gone")
    gone.call(m.StartProjectRequest("waiting", "w"))
    seq = gone.call(m.ChangesRequest("waiting", 1 << 60, 0.0)).seq
    answers: list[object] = []
    waiting = threading.Thread(target=lambda: answers.append(answer(gone, m.ChangesRequest("waiting", seq, 25.0))))
    waiting.start()
    root = standing.user()
    root.call(m.DeleteUserRequest("gone"))
    waiting.join(DEADLINE_S)
    (said,) = answers
    assert isinstance(said, (Unavailable, NotAuthenticated))


def test_the_audit_log_says_who_did_what_and_no_secret(standing: Standing) -> None:
    root = standing.user()
    root.call(m.AddUserRequest("noted", Secret("a password to look for")))
    with pytest.raises(NotAuthenticated):
        standing.nobody().call(m.LoginRequest("noted", Secret("wrong password to look for")))
    path = ServerPlaces(standing.folder).audit
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    found = [(row["who"], row["what"], row["about"]) for row in rows if row["about"] == "noted"]
    assert found == [("root", "user added", "noted"), ("anonymous", "login refused", "noted")]
    assert all(row["address"] == "127.0.0.1" and row["at"] > 1e9 for row in rows)
    assert path.stat().st_mode & 0o777 == 0o600
    for text in (path.read_text(), standing.log()):
        assert "to look for" not in text
        assert PASSWORD not in text


def test_an_audit_log_that_others_can_read_stops_the_start(tmp_path: Path) -> None:
    standing = Standing(tmp_path)
    try:
        path = ServerPlaces(standing.folder).audit
        path.touch(mode=0o644)
        path.chmod(0o644)
        with pytest.raises(TimeoutError, match="can be used by others"):
            standing.start()
    finally:
        standing.close()
