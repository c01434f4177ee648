"""The endpoint table: a policy for every row, a row for every request."""

from __future__ import annotations

import re

import msgspec
from tests.house.source import PACKAGE, files

from copernicus.wire import messages
from copernicus.wire.endpoints import BESIDE, ENDPOINTS, Policy


def test_every_endpoint_says_who_may_use_it() -> None:
    assert [row.name for row in ENDPOINTS if not isinstance(row.policy, Policy)] == []
    assert [row.prefix for row in BESIDE if not isinstance(row.policy, Policy)] == []


def test_policies_stand_in_the_table_alone() -> None:
    """Whoever answers requests may ask whether a route is open to all, and let nobody in on its own account."""
    named = {
        (path.name, found)
        for path in files("src", pattern="*.py") if path.is_relative_to(PACKAGE / "server" / "http")
        for found in re.findall(r"Policy\.(\w+)", path.read_text(encoding="utf-8"))
    }  # fmt: skip
    assert named == {("server.py", "ANYONE"), ("server.py", "ANY_BUNDLE_OR_USER"), ("links.py", "PEER"), ("links.py", "WORKER")}


def test_only_first_contact_and_login_are_open_to_anyone() -> None:
    """A connection request is first contact, too: signed, and nothing but a line in a list until a person agrees."""
    assert {row.name for row in ENDPOINTS if row.policy is Policy.ANYONE} == {"authority", "login", "peer/request"}


def test_every_request_has_exactly_one_row() -> None:
    requests = {kind for name, kind in vars(messages).items()
                if name.endswith("Request") and isinstance(kind, type) and issubclass(kind, messages.Message)}  # fmt: skip
    assert sorted(kind.__name__ for kind in requests) == sorted(row.request.__name__ for row in ENDPOINTS)
    assert len({row.name for row in ENDPOINTS}) == len(ENDPOINTS)


def test_no_request_says_who_sends_it() -> None:
    """Identity comes from the certificate or the session; `login` is where a session comes from."""
    named = {row.name: field.name for row in ENDPOINTS for field in msgspec.structs.fields(row.request)
             if field.name in {"user", "role", "identity", "token", "session"} and row.name != "login"}  # fmt: skip
    assert not named
