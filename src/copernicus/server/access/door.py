"""The door: logins and logouts, and from session token or bundle serial to an identity."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import time
from collections.abc import Callable

import msgspec

from copernicus.errors import NotAuthenticated, TooMany
from copernicus.server.access.identity import ANONYMOUS, Identity
from copernicus.server.access.passwords import PasswordCheck
from copernicus.server.access.throttle import Throttle
from copernicus.server.storage.abc import AccessStore, BundleRow, SessionRow, UserRow

SESSION_S = 30 * 86400.0
IDLE_S = 7 * 86400.0
TOUCH_S = 600.0  # how exactly the last use of a session is known; spares a commit per request
LOGIN_HINT = "Log in: cpcc login USER"


class Door:
    """Lets callers in. Belongs to one event loop; `now` gives Unix time (sessions outlive the process)."""

    def __init__(self, store: AccessStore, now: Callable[[], float] = time.time) -> None:
        self._store = store
        self._now = now
        self.passwords = PasswordCheck()
        # an account waits half a minute at most, so that nobody can lock its owner out; an address waits longer
        self._accounts = Throttle(time.monotonic, longest_s=30.0)
        self._addresses = Throttle(time.monotonic, longest_s=600.0)

    async def log_in(self, user: str, password: str, address: str) -> tuple[str, SessionRow]:
        """Return a new session with its token; raise as `check_password`. `address` is the caller's, for the throttle."""
        await self.check_password(user, password, address)
        now = self._now()
        token = secrets.token_urlsafe(32)
        session = SessionRow(hash_token(token), user, now, now, now + SESSION_S)
        await asyncio.to_thread(self._store.put_session, session)
        await asyncio.to_thread(self._store.remove_expired_sessions, now, now - IDLE_S)
        return token, session

    async def check_password(self, user: str, password: str, address: str) -> None:
        """Raise `NotAuthenticated`, in the same time and words whatever is wrong; `TooMany` after too many failures."""
        wait_s = max(self._accounts.wait_s(user), self._addresses.wait_s(address))
        if wait_s > 0:
            raise TooMany("There were too many failed logins.", f"Try again in {wait_s:.0f} s.")
        # counted before it is known, so that many at once get no more tries than one after the other
        self._accounts.failed(user)
        self._addresses.failed(address)
        row = self._store.user(user)
        is_right = await self.passwords.is_right(password, row.password_hash if row is not None else None)
        if row is None or not is_right or row.is_disabled:
            raise NotAuthenticated("User name or password is wrong.")
        self._accounts.succeeded(user)
        self._addresses.succeeded(address)

    async def log_out(self, identity: Identity) -> None:
        """End the session behind `identity`; with a bundle there is none."""
        if identity.token_hash:
            await asyncio.to_thread(self._store.remove_session, identity.token_hash)

    async def identify(self, serial: str | None, token: str | None) -> Identity:
        """Return who is calling: with the bundle `serial` (secure port), the session `token`, or neither.

        Raise `NotAuthenticated` for a bundle or session that does not count (any more).
        """
        if serial is not None:
            return self._bundle(serial)
        return await self._session(token) if token else ANONYMOUS

    def _bundle(self, serial: str) -> Identity:
        """A bundle never reaches further than the user for whom it was made, as that user stands now."""
        bundle = self._store.bundle(serial)
        user = self._store.user(bundle.user) if bundle is not None else None
        refusal = self._why_not(bundle, user)
        if bundle is None or user is None or refusal:
            raise NotAuthenticated(f"The server refused this bundle ({refusal}).", "Make a new one: cpc-server bundle")
        limit = frozenset(bundle.projects) if bundle.projects else None
        projects = _both(None if user.is_super else self._store.grants(user.name), limit)
        is_super = user.is_super and limit is None and bundle.role != "worker"
        return Identity("bundle", bundle.role, user.name, is_super, projects, limit, serial)

    def _why_not(self, bundle: BundleRow | None, user: UserRow | None) -> str:
        if bundle is None:
            return "unknown here"
        if bundle.revoked_at is not None:
            return "revoked"
        if bundle.expires_at <= self._now():
            return "expired"
        if user is None or user.is_disabled:
            return f"the user {bundle.user} is not known here any more"
        return f"{user.name} is no super user any more" if bundle.role == "admin" and not user.is_super else ""

    async def _session(self, token: str) -> Identity:
        token_hash = hash_token(token)
        session = self._store.session(token_hash)
        now = self._now()
        if session is None or session.expires_at <= now or session.used_at + IDLE_S <= now:
            raise NotAuthenticated("Your session has ended.", LOGIN_HINT)
        identity = self._user_identity(session.user)
        if now - session.used_at > TOUCH_S:
            await asyncio.to_thread(self._store.put_session, msgspec.structs.replace(session, used_at=now))
        return msgspec.structs.replace(identity, token_hash=token_hash)

    def _user_identity(self, name: str) -> Identity:
        user = self._store.user(name)
        if user is None or user.is_disabled:
            raise NotAuthenticated(f"The user {name} is not known here (any more).", LOGIN_HINT)
        return Identity("user", "user", name, user.is_super, None if user.is_super else self._store.grants(name))


def hash_token(token: str) -> str:
    """Return what is stored of a session token: it has 256 random bits, so that one SHA-256 is enough."""
    return hashlib.sha256(token.encode()).hexdigest()


def _both(one: frozenset[str] | None, other: frozenset[str] | None) -> frozenset[str] | None:
    if one is None or other is None:
        return other if one is None else one
    return one & other
