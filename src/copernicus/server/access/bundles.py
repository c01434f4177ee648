"""Bundles as they are issued and revoked: the certificate says who, the book says what they may do."""

from __future__ import annotations

import datetime
import secrets
from collections.abc import Callable

import msgspec

from copernicus.errors import UnknownPath, UsageError
from copernicus.net.bundle import FORMAT, Bundle, Role
from copernicus.net.keys import KeyFolder
from copernicus.net.tls import normal_serial
from copernicus.server.storage.abc import AccessStore, BundleRow

DAYS: dict[Role, int] = {"admin": 3650, "client": 3650, "worker": 365}


class Address(msgspec.Struct, frozen=True):
    """Where a server is to be found, as it stands in bundles."""

    server: str
    hosts: tuple[str, ...]
    client_port: int
    secure_port: int


class Bundles:
    """Issues and revokes bundles. The calls block: not for the event loop."""

    def __init__(self, store: AccessStore, keys: KeyFolder, now: Callable[[], float]) -> None:
        self._store = store
        self._keys = keys
        self._now = now

    def issue(
        self, address: Address, role: Role, user: str, projects: tuple[str, ...] = (), days: float | None = None
    ) -> Bundle:
        """Return a new bundle, entered in the book first; raise `UsageError` for a life that is not positive."""
        days = DAYS[role] if days is None else days
        if not 0 < days <= 36500:
            raise UsageError(f"A bundle cannot live for {days:g} days.")
        now = self._now()
        expires_at = now + days * 86400
        serial = secrets.randbits(127) | 1
        certificate, key = self._keys.issue_bundle_certificate(
            serial,
            datetime.datetime.fromtimestamp(now, datetime.UTC),
            datetime.datetime.fromtimestamp(expires_at, datetime.UTC),
        )
        row = BundleRow(normal_serial(f"{serial:x}"), role, user, projects, now, expires_at)
        self._store.put_bundle(row)
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
            role=role,
            user=user,
            projects=projects,
            expires_at=expires_at,
        )

    def revoke(self, serial: str) -> BundleRow:
        """Revoke a bundle for good; raise `UnknownPath`. Its next request is refused."""
        bundle = self._store.bundle(normal_serial(serial))
        if bundle is None:
            raise UnknownPath(f"There is no bundle {serial}.")
        if bundle.revoked_at is None:
            bundle = msgspec.structs.replace(bundle, revoked_at=self._now())
            self._store.put_bundle(bundle)
        return bundle
