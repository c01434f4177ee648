"""The port of the access store: users, their projects, sessions, bundles and peers."""

from __future__ import annotations

from typing import Protocol

import msgspec


class UserRow(msgspec.Struct, frozen=True):
    """A user. `password_hash` is argon2's own text form; `is_super`: may do everything."""

    name: str
    password_hash: str
    is_super: bool
    created_at: float
    is_disabled: bool = False


class SessionRow(msgspec.Struct, frozen=True):
    """An open session; only the hash of its token is known here. Times are Unix times."""

    token_hash: str
    user: str
    created_at: float
    used_at: float
    expires_at: float


class BundleRow(msgspec.Struct, frozen=True):
    """A bundle that was issued. `projects` empty: not limited; `revoked_at` None: valid until `expires_at`.

    `life_s`: for how long it is renewed when it asks for that; 0: its end is final.
    """

    serial: str
    role: str
    user: str
    projects: tuple[str, ...]
    created_at: float
    expires_at: float
    revoked_at: float | None = None
    life_s: float = 0.0


class PeerRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """Another server, known by the fingerprint of its CA `authority` (PEM). Rows stay when trust has ended.

    `host` and ports are where it was last said to be. `seq` is that of its newest statement, `own_seq` that of the newest one
    that was made for it: neither ever goes back. `projects` None: all of this server's are shared with it; `cores` None: it
    may have all idle ones.
    """

    id: str
    authority: str
    hostname: str
    host: str
    client_port: int
    secure_port: int
    state: str
    created_at: float
    priority: int = 0
    seq: int = 0
    own_seq: int = 0
    projects: tuple[str, ...] | None = None
    cores: int | None = None
    is_only_when_idle: bool = False


class AccessStore(Protocol):
    """Users, their projects, sessions, bundles and peers of one server. Calls return when durable; from any thread.

    Two processes may use it at once (`cpc-server bundle` beside the running server). Every call may raise `Unavailable`.
    """

    def user(self, name: str) -> UserRow | None:
        """One user, or None."""
        ...

    def users(self) -> list[UserRow]:
        """All users, by name."""
        ...

    def put_user(self, user: UserRow) -> None:
        """Insert or replace a user."""
        ...

    def remove_user(self, name: str) -> None:
        """Remove a user with sessions, grants and bundles (these stay in the book, revoked)."""
        ...

    def grants(self, user: str) -> frozenset[str]:
        """The names of the projects that `user` has access to."""
        ...

    def members(self, project: str) -> list[str]:
        """The names of the users with access to `project`."""
        ...

    def grant(self, user: str, project: str) -> None:
        """Give access. Giving it twice is giving it once."""
        ...

    def withdraw(self, user: str, project: str) -> None:
        """Take access back."""
        ...

    def rename_project(self, project: str, name: str) -> None:
        """The project has another name now: whoever had access to it, or a bundle for it, has so under that name."""
        ...

    def forget_project(self, project: str) -> None:
        """The project was removed: nobody has access to a later one of the same name."""
        ...

    def session(self, token_hash: str) -> SessionRow | None:
        """One session, or None."""
        ...

    def put_session(self, session: SessionRow) -> None:
        """Insert or replace a session."""
        ...

    def remove_session(self, token_hash: str) -> None:
        """End a session."""
        ...

    def remove_sessions(self, user: str) -> None:
        """End all sessions of a user."""
        ...

    def remove_expired_sessions(self, now: float, idle_before: float) -> None:
        """End the sessions that expired before `now` or were last used before `idle_before`."""
        ...

    def bundle(self, serial: str) -> BundleRow | None:
        """One bundle, or None."""
        ...

    def bundles(self) -> list[BundleRow]:
        """All bundles, the newest last."""
        ...

    def put_bundle(self, bundle: BundleRow) -> None:
        """Insert or replace a bundle."""
        ...

    def peers(self) -> list[PeerRecord]:
        """All other servers that are known, in the order in which they came."""
        ...

    def put_peer(self, peer: PeerRecord) -> None:
        """Insert or replace a peer."""
        ...

    def close(self) -> None:
        """Close."""
        ...
