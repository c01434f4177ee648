"""Bundles over HTTP: everybody has those that act for oneself, super users all."""

from __future__ import annotations

import asyncio

import msgspec

from copernicus.errors import UnknownPath
from copernicus.model.secret import Secret
from copernicus.net.bundle import Bundle
from copernicus.server.access.identity import unknown_project
from copernicus.server.http.calls import Call, Handler, Rooms
from copernicus.server.storage.abc import BundleRow
from copernicus.wire import messages as m


def handlers(rooms: Rooms) -> dict[str, Handler]:
    """The messages about bundles."""
    made = rooms.bundles

    def may_have(call: Call, row: BundleRow) -> bool:
        """Whose bundle it is; a bundle for some projects sees no further than these."""
        identity = call.identity
        if identity.is_super:
            return True
        is_within = identity.limit is None or (bool(row.projects) and identity.limit.issuperset(row.projects))
        return row.user == identity.user and row.role != "admin" and is_within

    async def rows(call: Call, request: m.BundlesRequest) -> m.BundlesReply:
        found = await asyncio.to_thread(rooms.access.bundles)
        return m.BundlesReply([_listing(row) for row in found if may_have(call, row)])

    async def issue(call: Call, request: m.IssueBundleRequest) -> m.BundleReply:
        there = {row.name for row in rooms.projects.names()}
        for project in request.projects:
            if project not in there or not call.identity.may_see(project):
                raise unknown_project(project)
        bundle = await asyncio.to_thread(
            made.issue_for, rooms.about.address, call.identity, request.kind, tuple(request.projects),
            request.days if request.days else None, request.acts_for,
        )  # fmt: skip
        await rooms.record(call, "bundle made", f"{bundle.serial}, role {bundle.role}, for {bundle.user}")
        return _reply(bundle)

    async def revoke(call: Call, request: m.RevokeBundleRequest) -> m.Done:
        row = await asyncio.to_thread(made.row, request.serial)
        if not may_have(call, row):
            raise UnknownPath(f"There is no bundle {request.serial[:80]}.", "See: cpcc bundles")
        await asyncio.to_thread(made.revoke, row.serial)
        rooms.lines.cut(lambda identity: identity.serial == row.serial, call.line)
        await rooms.record(call, "bundle revoked", row.serial)
        return m.Done(f"Bundle {row.serial} is revoked; its connections are cut.")

    async def renew(call: Call, request: m.RenewBundleRequest) -> m.BundleReply:
        bundle = await asyncio.to_thread(made.renew, rooms.about.address, call.identity.serial)
        await rooms.record(call, "bundle renewed", bundle.serial)
        return _reply(bundle)

    return {"bundles": rows, "bundle/issue": issue, "bundle/revoke": revoke, "bundle/renew": renew}


def _reply(bundle: Bundle) -> m.BundleReply:
    return m.BundleReply(Secret(msgspec.json.encode(bundle).decode()))


def _listing(row: BundleRow) -> m.BundleListing:
    return m.BundleListing(
        row.serial, row.role, row.user, list(row.projects), row.created_at, row.expires_at, row.revoked_at, row.life_s > 0
    )
