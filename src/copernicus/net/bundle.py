"""Connection bundles (`.cnx`): everything that a worker or client needs to reach one server, in one private file."""

from __future__ import annotations

import time
from collections.abc import Mapping
from os import environ
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from copernicus.config.files import read_private, write_atomic
from copernicus.config.hosts import is_host
from copernicus.config.places import find_bundle_file
from copernicus.errors import SettingsError

Role = Literal["admin", "client", "worker"]
FORMAT = 1
Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]


class Bundle(msgspec.Struct, frozen=True):
    """A connection bundle. What it may do is decided by the server, which looks its serial up in its own book.

    `authority` is the server's CA certificate, `certificate` and `key` are this bundle's own (all PEM). `addresses` are
    host names to be tried in order. `projects` empty: not limited. Times are Unix times: from `renew_at` on
    a new certificate is to be asked for (0: never, its end is final).
    """

    format: int
    server: str
    addresses: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    client_port: Port
    secure_port: Port
    authority: str
    certificate: str
    key: str
    serial: str
    role: Role
    user: str
    projects: tuple[str, ...]
    expires_at: float
    renew_at: float = 0.0

    @property
    def host(self) -> str:
        """The first address."""
        return self.addresses[0]

    def __repr__(self) -> str:
        return f"Bundle({self.role} of {self.server} at {self.host}:{self.secure_port}, serial {self.serial})"


def read_bundle(path: Path) -> Bundle:
    """Return the bundle in a file; raise `SettingsError` when it is unreadable, not private, no bundle, or expired."""
    data = read_private(path, "The connection bundle")
    try:
        bundle = msgspec.json.decode(data, type=Bundle)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is not a connection bundle: {error}.", "Make one with: cpc-server bundle") from None
    odd = [host for host in bundle.addresses if not is_host(host)]
    if odd:
        raise SettingsError(f"{path} is not a connection bundle: {odd[0]!r} is no host.", "Make one with: cpc-server bundle")
    if bundle.format != FORMAT:
        raise SettingsError(
            f"The connection bundle {path} has format {bundle.format}; this version reads {FORMAT}.",
            "Make a new one with: cpc-server bundle",
        )
    if bundle.expires_at <= time.time():
        raise SettingsError(f"The connection bundle {path} has expired.", "Ask for a new one: cpc-server bundle")
    return bundle


def find_bundle(given: str | Path | None = None, environment: Mapping[str, str] = environ) -> Bundle:
    """Return the bundle to use, found as `config.places.find_bundle_file` says; raise `BundleNotFound`, `SettingsError`."""
    return read_bundle(find_bundle_file(given, environment))


def write_bundle(path: Path, bundle: Bundle) -> None:
    """Write a bundle, mode 0600; raise `SettingsError` when that is not possible."""
    try:
        write_atomic(path, msgspec.json.format(msgspec.json.encode(bundle), indent=1) + b"\n")
    except OSError as error:
        raise SettingsError(f"The bundle {path} cannot be written: {error.strerror}.") from None
