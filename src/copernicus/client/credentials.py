"""Who the client is: a bundle, or the session of the server in use, found in the documented order."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from copernicus.client.memory import KnownServer, Memory, load
from copernicus.config.places import find_bundle_file, host_name
from copernicus.errors import BundleNotFound, CopernicusError, NotAuthenticated

if TYPE_CHECKING:
    from copernicus.net.bundle import Bundle
    from copernicus.net.caller import Caller


class Session(msgspec.Struct, frozen=True):
    """Somebody who is logged in to a known server."""

    server: KnownServer

    @property
    def identity(self) -> str:
        """The name of this session in the client's own files."""
        return session_identity(self.server)

    @property
    def user(self) -> str:
        """Whose session it is."""
        return self.server.user

    def caller(self) -> Caller:
        """Return a caller to the server's client port; nothing is sent yet."""
        return session_caller(self.server)


class BundleInHand(msgspec.Struct, frozen=True):
    """The holder of a bundle."""

    bundle: Bundle

    @property
    def identity(self) -> str:
        """The name of this bundle on this host in the client's own files."""
        return f"bundle {self.bundle.server} {self.bundle.serial} on {host_name()}"

    @property
    def user(self) -> str:
        """The user whom it acts for."""
        return self.bundle.user

    def caller(self) -> Caller:
        """Return a caller to the server's secure port; nothing is sent yet."""
        from copernicus.net.caller import Caller

        return Caller.of_bundle(self.bundle)


def session_identity(server: KnownServer) -> str:
    """Return the name of the sessions of one user on one server."""
    return f"session {server.fingerprint} {server.user}"


def session_caller(server: KnownServer) -> Caller:
    """Return a caller to the client port of a known server, its CA pinned."""
    from copernicus.net.caller import Caller
    from copernicus.net.tls import client_context

    return Caller(server.host, server.port, client_context(server.certificate), token=server.token)


def find(given: str | Path | None = None) -> Session | BundleInHand:
    """Return the credentials to use: `given`, the session of the server in use, `$CPC_BUNDLE`, the settings folders.

    Raises `BundleNotFound` with the places looked at, `NotAuthenticated` when the session has expired or only a login is
    missing, `SettingsError` when a file cannot be used.
    """
    if given is None:
        memory = load()
        if memory.server is not None and memory.server.token:
            return _open_session(memory.server)
        try:
            file = find_bundle_file(None, os.environ)
        except BundleNotFound as error:
            raise _nobody(memory, error) from None
    else:
        file = find_bundle_file(given, os.environ)
    from copernicus.net.bundle import read_bundle

    bundle = read_bundle(file)
    return BundleInHand(_renewed(bundle, file) if 0 < bundle.renew_at <= time.time() else bundle)


def _renewed(bundle: Bundle, file: Path) -> Bundle:
    """A bundle in the last third of its life, renewed; the old one as long as that is not possible."""
    from copernicus.net.caller import Caller
    from copernicus.net.renewal import keep, renewed

    with suppress(CopernicusError), Caller.of_bundle(bundle) as caller:
        fresh = renewed(bundle, caller)
        keep(file, bundle, fresh)
        return fresh
    return bundle


def _open_session(server: KnownServer) -> Session:
    if server.expires_at <= time.time():
        raise NotAuthenticated(f"Your session on {server.name} has expired.", f"Log in again: cpcc login {server.user}")
    return Session(server)


def _nobody(memory: Memory, error: BundleNotFound) -> NotAuthenticated | BundleNotFound:
    if memory.server is not None:
        return NotAuthenticated(
            f"You are not logged in to {memory.server.name}, and there is no connection bundle.", "Log in: cpcc login USER"
        )
    return BundleNotFound(error.message, f"{error.hint} Or log in: cpcc add-server HOST, cpcc login USER.".lstrip())
