"""Bundles as they are issued, renewed and revoked: the certificate says who, the book says what they may do."""

from __future__ import annotations

import datetime
import secrets
from collections.abc import Callable
from typing import cast

import msgspec

from copernicus.errors import NotAllowed, Refused, UnknownPath, UsageError
from copernicus.net.bundle import FORMAT, Bundle, Role
from copernicus.net.keys import KeyFolder
from copernicus.net.tls import normal_serial
from copernicus.server.access.identity import Identity, unknown_project
from copernicus.server.storage.abc import AccessStore, BundleRow

DAYS: dict[Role, int] = {"admin": 3650, "client": 3650, "worker": 365}
DAY_S = 86400.0
RENEW_AFTER = 2 / 3  # of its life
SLACK_S = 60.0  # clocks, and the way of the request


class Address(msgspec.Struct, frozen=True):
    """Where a server is to be found, as it stands in bundles."""

    server: str
    hosts: tuple[str, ...]
    client_port: int
    secure_port: int


class Bundles:
    """Issues, renews and revokes bundles. The calls block: not for the event loop."""

    def __init__(self, store: AccessStore, keys: KeyFolder, now: Callable[[], float]) -> None:
        self._store = store
        self._keys = keys
        self._now = now

    def issue(
        self, address: Address, role: Role, user: str, projects: tuple[str, ...] = (), days: float | None = None
    ) -> Bundle:
        """Return a new bundle, entered in the book first.

        Raise `UsageError` for a life that is not positive, `UnknownPath` for a user who is not there, `Refused` for an admin
        bundle of one who is no super user. Without `days` it has the usual life of its role, and renews itself.
        """
        life = DAYS[role] if days is None else days
        if not 0 < life <= 36500:
            raise UsageError(f"A bundle cannot live for {life:g} days.")
        owner = self._store.user(user)
        if owner is None:
            raise UnknownPath(f"There is no user {user!r}.", "See: cpcc users")
        if role == "admin" and not owner.is_super:
            raise Refused(f"{user} is no super user, for whom there could be an admin bundle.", "Make one with --role client.")
        now = self._now()
        serial = secrets.randbits(127) | 1
        row = BundleRow(
            normal_serial(f"{serial:x}"), role, user, projects, now, now + life * DAY_S, life_s=0.0 if days else life * DAY_S
        )
        self._store.put_bundle(row)
        return self._made(address, row, is_renewal=False)

    def issue_for(
        self, address: Address, identity: Identity, role: Role, projects: tuple[str, ...], days: float | None, acts_for: str
    ) -> Bundle:
        """Return a new bundle that reaches no further than `identity`, who asks for it.

        Raise `NotAllowed`, `UnknownPath` for a project that is not there (or not to be seen), and as `issue`.
        """
        user = acts_for or identity.user
        if not identity.is_super:
            if role == "admin":
                raise NotAllowed("Only super users make admin bundles.", "Yours: cpcc bundle --role client, or --role worker")
            if user != identity.user:
                raise NotAllowed("Only super users make bundles for somebody else.")
            if identity.limit is not None:
                projects = projects or tuple(sorted(identity.limit))
        for project in projects:
            if not identity.may_see(project):
                raise unknown_project(project)
        if identity.kind == "bundle" and not identity.is_super:
            days = self._within(identity.serial, days)
        return self.issue(address, role, user, projects, days)

    def _within(self, serial: str, days: float | None) -> float:
        """The life of a bundle that the bundle `serial` makes: no longer than its own."""
        own = self._store.bundle(serial)
        left = (own.expires_at - self._now()) / DAY_S if own is not None else 0.0
        if days is not None and days > left + SLACK_S / DAY_S:
            raise NotAllowed(
                f"This bundle ends in {left:.3g} days, and makes none that outlives it.", "Log in: cpcc login USER"
            )
        return left if days is None else days

    def renew(self, address: Address, serial: str) -> Bundle:
        """Return the bundle with a new key, certificate and life; raise `Refused` when its end is final."""
        row = self.row(serial)
        if not row.life_s:
            raise Refused("This bundle was made for a certain time, and is not renewed.", "Make a new one: cpcc bundle")
        row = msgspec.structs.replace(row, expires_at=self._now() + row.life_s)
        self._store.put_bundle(row)
        return self._made(address, row, is_renewal=True)

    def row(self, serial: str) -> BundleRow:
        """Return what the book says of a bundle; raise `UnknownPath`."""
        found = self._store.bundle(normal_serial(serial))
        if found is None:
            raise UnknownPath(f"There is no bundle {serial[:80]}.", "See: cpcc bundles")
        return found

    def revoke(self, serial: str) -> BundleRow:
        """Revoke a bundle for good; raise `UnknownPath`. Its next request is refused."""
        bundle = self.row(serial)
        if bundle.revoked_at is None:
            bundle = msgspec.structs.replace(bundle, revoked_at=self._now())
            self._store.put_bundle(bundle)
        return bundle

    def _made(self, address: Address, row: BundleRow, *, is_renewal: bool) -> Bundle:
        now = self._now()
        certificate, key = self._keys.issue_bundle_certificate(
            int(row.serial, 16), _moment(now), _moment(row.expires_at), is_renewal=is_renewal
        )
        return Bundle(
            format=FORMAT,
            server=address.server,
            addresses=address.hosts,
            client_port=address.client_port,
            secure_port=address.secure_port,
            authority=self._keys.authority(),
            certificate=certificate,
            key=key,
            serial=row.serial,
            role=cast("Role", row.role),
            user=row.user,
            projects=row.projects,
            expires_at=row.expires_at,
            renew_at=now + RENEW_AFTER * row.life_s if row.life_s else 0.0,
        )


def _moment(at: float) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(at, datetime.UTC)
