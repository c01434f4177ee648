"""Identities and the one rule book: what each kind of caller may send."""

from __future__ import annotations

from typing import Literal

import msgspec

from copernicus.errors import NotAllowed, NotAuthenticated, UnknownPath
from copernicus.wire.endpoints import Policy


class Identity(msgspec.Struct, frozen=True):
    """Who sends a request, as certificate or session say.

    kind       role                        where it comes from
    anonymous  ""                          neither
    user       "user"                      a session
    bundle     "admin", "client", "worker" a bundle
    peer       "peer"                      a certificate of another server's CA; `serial` is its fingerprint

    `projects` None: all projects. `limit` is that of a bundle for some projects only, None without one. `key` tells
    identities apart (for remembered answers): user name or bundle serial.
    """

    kind: Literal["anonymous", "user", "bundle", "peer"]
    role: str = ""
    user: str = ""
    is_super: bool = False
    projects: frozenset[str] | None = frozenset()
    limit: frozenset[str] | None = None
    serial: str = ""
    token_hash: str = ""

    @property
    def key(self) -> str:
        """A name for this identity that no other one has."""
        return f"{self.kind} {self.serial}" if self.kind in ("bundle", "peer") else f"{self.kind} {self.user}".rstrip()

    def may_see(self, project: str) -> bool:
        """Return whether `project` is within its reach."""
        return self.projects is None or project in self.projects

    def check_may_make(self, project: str) -> None:
        """Raise `NotAllowed` when it could not see a project of that name once it has made it."""
        if self.limit is not None and project not in self.limit:
            names = ", ".join(sorted(self.limit))
            raise NotAllowed(f"This bundle is for these projects only: {names}.", "Use another one, or log in: cpcc login USER")


ANONYMOUS = Identity("anonymous")


def authorise(policy: Policy, identity: Identity, project: str = "") -> None:
    """Return when `identity` may send a request of `policy` (about `project`).

    Raise `NotAuthenticated` (nobody), `NotAllowed` (the wrong kind), `UnknownPath` (a project out of its reach, which
    looks exactly like one that does not exist).
    """
    if policy is Policy.ANYONE:
        return
    if identity.kind == "anonymous":
        raise NotAuthenticated("You are not logged in.", "Log in (cpcc login USER), or use a connection bundle (-c).")
    if identity.kind == "peer":  # what a peer is told, it is told over its link
        if policy not in (Policy.PEER, Policy.WORKER):
            raise NotAllowed("Other servers may not do this.")
        return
    if policy is Policy.PEER:
        raise NotAllowed("Only servers that this one trusts may do this.")
    if policy is Policy.ANY_BUNDLE_OR_USER:
        return
    if policy is Policy.BUNDLE:
        if identity.kind != "bundle":
            raise NotAllowed("Only bundles may do this.", "Name one with -c.")
        return
    if policy is Policy.SUPER:
        if not identity.is_super:
            raise NotAllowed("Only super users may do this.", "Ask one of them, such as root.")
        return
    if policy is Policy.WORKER:
        if identity.role not in ("worker", "admin") or identity.kind != "bundle":
            raise NotAllowed("Only workers may do this.", "Use a bundle made with: cpc-server bundle --role worker")
        return
    if identity.role == "worker":
        raise NotAllowed("This bundle is for workers only.", "Use a client's bundle, or log in: cpcc login USER")
    if policy is Policy.MEMBER and not identity.may_see(project):
        raise unknown_project(project)


def unknown_project(name: str) -> UnknownPath:
    """Return the one error for a project that does not exist, and for one that the caller may not know of."""
    return UnknownPath(f"There is no project {name!r}.", "See: cpcc projects")
