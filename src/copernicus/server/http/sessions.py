"""First contact, logins, and what the server says of itself."""

from __future__ import annotations

import asyncio
import logging

from copernicus.errors import NotAllowed, NotAuthenticated
from copernicus.model.secret import Secret
from copernicus.server.http.calls import Call, Handler, Rooms
from copernicus.wire import messages as m
from copernicus.wire.endpoints import PROTOCOL

MOST_LINES = 10_000
logger = logging.getLogger(__name__)


def handlers(rooms: Rooms) -> dict[str, Handler]:
    """The messages about sessions and the server itself."""
    about = rooms.about

    async def authority(call: Call, request: m.AuthorityRequest) -> m.AuthorityReply:
        return m.AuthorityReply(about.authority, about.secure_port)

    async def login(call: Call, request: m.LoginRequest) -> m.LoginReply:
        if call.is_secure_port:
            raise NotAllowed("Logins go to the client port.", f"It is {about.client_port}.")
        try:
            token, session = await rooms.door.log_in(request.user, request.password.reveal(), call.address)
        except NotAuthenticated:
            await rooms.record(call, "login refused", request.user)
            raise
        await rooms.record(call, "login", session.user)
        return m.LoginReply(Secret(token), session.user, session.expires_at)

    async def logout(call: Call, request: m.LogoutRequest) -> m.Done:
        await rooms.door.log_out(call.identity)
        return m.Done("Logged out.")

    async def server_info(call: Call, request: m.ServerInfoRequest) -> m.ServerInfoReply:
        return m.ServerInfoReply(
            hostname=about.hostname,
            fingerprint=about.fingerprint,
            version=about.version,
            protocol=PROTOCOL,
            client_port=about.client_port,
            secure_port=about.secure_port,
            user=call.who,
            started_at=about.started_at,
            projects=sum(1 for row in rooms.projects.names() if call.identity.may_see(row.name)),
            workers=len(rooms.dispatch.workers),
        )

    async def audit(call: Call, request: m.AuditRequest) -> m.AuditReply:
        rows = await asyncio.to_thread(rooms.audit.last, max(1, min(request.limit, MOST_LINES)))
        return m.AuditReply([m.AuditEntry(row.at, row.who, row.address, row.what, row.about) for row in rows])

    async def stop(call: Call, request: m.StopServerRequest) -> m.Done:
        logger.info("told to stop by %s", call.who)
        await rooms.record(call, "server stopped")
        rooms.stop()
        return m.Done("The server is stopping.")

    async def settings(call: Call, request: m.ReadSettingsRequest) -> m.ReadSettingsReply:
        reply = rooms.read_settings()
        await rooms.record(call, "settings read again", ", ".join(reply.changed))
        return reply

    return {
        "authority": authority,
        "login": login,
        "logout": logout,
        "server-info": server_info,
        "server/audit": audit,
        "server/stop": stop,
        "server/settings": settings,
    }
