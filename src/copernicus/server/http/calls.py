"""What a handler gets: who calls, over what; and what it needs to answer: the server's rooms."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from copernicus.errors import CopernicusError
from copernicus.server.access.audit import Audit
from copernicus.server.access.bundles import Address, Bundles
from copernicus.server.access.door import Door
from copernicus.server.access.identity import Identity
from copernicus.server.access.users import Users
from copernicus.server.dispatch.dispatch import Dispatch
from copernicus.server.dispatch.quarantine import Quarantine
from copernicus.server.dispatch.steering import Steering
from copernicus.server.http.files import Files
from copernicus.server.http.lines import Line, Lines
from copernicus.server.peers.federation import Federation
from copernicus.server.peers.room import PeerRoom
from copernicus.server.projects.archives.service import Archives
from copernicus.server.projects.keeping import Keeping
from copernicus.server.projects.reproducing import Reproductions
from copernicus.server.projects.service import Projects
from copernicus.server.storage.abc import AccessStore, BookStore
from copernicus.wire import messages as m


@dataclass(frozen=True)
class Call:
    """One request's circumstances. `is_open` says whether the caller's connection (`line`) still stands."""

    identity: Identity
    address: str
    is_secure_port: bool
    is_open: Callable[[], bool]
    line: Line | None = None

    @property
    def who(self) -> str:
        """The name under which what the caller does is recorded."""
        return self.identity.user or self.identity.key


Handler = Callable[[Call, Any], Awaitable[m.Message]]


@dataclass(frozen=True)
class About:
    """What the server says of itself."""

    hostname: str
    authority: str
    fingerprint: str
    version: str
    client_port: int
    secure_port: int
    started_at: float
    address: Address


@dataclass(frozen=True)
class Rooms:
    """The rooms behind the doors. `refusal` says why nothing can be done now, None when all is well.

    `stop` ends the server soon; `read_settings` reads its settings file again, and may raise `SettingsError`.
    """

    store: BookStore
    access: AccessStore
    users: Users
    bundles: Bundles
    door: Door
    audit: Audit
    lines: Lines
    projects: Projects
    archives: Archives
    keeping: Keeping
    reproductions: Reproductions
    dispatch: Dispatch
    steering: Steering
    quarantine: Quarantine
    files: Files
    federation: Federation
    about: About
    refusal: Callable[[], CopernicusError | None]
    stop: Callable[[], None]
    read_settings: Callable[[], m.ReadSettingsReply]

    @property
    def peers(self) -> PeerRoom:
        """Trust and links."""
        return self.federation.room

    async def record(self, call: Call, what: str, about: str = "") -> None:
        """Note in the audit log what was done."""
        await asyncio.to_thread(self.audit.write, call.who, call.address, what, about)
