"""The rule book: every kind of caller against every policy."""

from __future__ import annotations

import itertools

import pytest

from copernicus.errors import NotAllowed, NotAuthenticated, UnknownPath
from copernicus.server.access.identity import ANONYMOUS, Identity, authorise
from copernicus.wire.endpoints import Policy

OWN, FOREIGN = "mine", "theirs"
LIMITED = frozenset({OWN})
CALLERS = {
    "anonymous": ANONYMOUS,
    "stranger": Identity("user", "user", "eve"),
    "member": Identity("user", "user", "ann", projects=LIMITED),
    "super": Identity("user", "user", "root", is_super=True, projects=None),
    "admin bundle": Identity("bundle", "admin", "root", is_super=True, projects=None, serial="1"),
    "limited admin": Identity("bundle", "admin", "root", projects=LIMITED, serial="2"),
    "client bundle": Identity("bundle", "client", "ann", projects=LIMITED, serial="3"),
    "worker": Identity("bundle", "worker", "root", projects=None, serial="4"),
    "peer": Identity("peer", "peer", "elsewhere", projects=None, serial="5"),
}
PEOPLE = {"stranger", "member", "super", "admin bundle", "limited admin", "client bundle"}
MAY = {
    (Policy.ANYONE, OWN): set(CALLERS),
    (Policy.ANYONE, FOREIGN): set(CALLERS),
    (Policy.ANY_BUNDLE_OR_USER, OWN): {*CALLERS} - {"anonymous", "peer"},
    (Policy.ANY_BUNDLE_OR_USER, FOREIGN): {*CALLERS} - {"anonymous", "peer"},
    (Policy.USER, OWN): PEOPLE,
    (Policy.USER, FOREIGN): PEOPLE,
    (Policy.MEMBER, OWN): PEOPLE - {"stranger"},
    (Policy.MEMBER, FOREIGN): {"super", "admin bundle"},
    (Policy.SUPER, OWN): {"super", "admin bundle"},
    (Policy.SUPER, FOREIGN): {"super", "admin bundle"},
    (Policy.WORKER, OWN): {"worker", "admin bundle", "limited admin", "peer"},
    (Policy.WORKER, FOREIGN): {"worker", "admin bundle", "limited admin", "peer"},
    (Policy.BUNDLE, OWN): {"admin bundle", "limited admin", "client bundle", "worker"},
    (Policy.BUNDLE, FOREIGN): {"admin bundle", "limited admin", "client bundle", "worker"},
    (Policy.PEER, OWN): {"peer"},
    (Policy.PEER, FOREIGN): {"peer"},
}


@pytest.mark.parametrize(("policy", "project"), list(itertools.product(Policy, (OWN, FOREIGN))))
def test_who_may_send_what(policy: Policy, project: str) -> None:
    for name, caller in CALLERS.items():
        if name in MAY[policy, project]:
            authorise(policy, caller, project)
        else:
            with pytest.raises(NotAuthenticated if name == "anonymous" else (UnknownPath, NotAllowed)):
                authorise(policy, caller, project)


def test_a_foreign_project_looks_like_one_that_does_not_exist() -> None:
    with pytest.raises(UnknownPath, match="There is no project 'theirs'"):
        authorise(Policy.MEMBER, CALLERS["member"], FOREIGN)


def test_identities_have_names_of_their_own() -> None:
    assert len({caller.key for caller in CALLERS.values()}) == len(CALLERS)
