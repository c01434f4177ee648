"""Users over HTTP: who they are, who may do what. Whatever is taken from somebody is taken at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from copernicus.errors import Refused
from copernicus.server.access.identity import Identity, unknown_project
from copernicus.server.http.calls import Call, Handler, Rooms
from copernicus.wire import messages as m

DONE = {
    "promote": "{} is a super user now.",
    "demote": "{} is no super user any more.",
    "disable": "{} is kept out; its sessions have ended.",
    "enable": "{} may log in again.",
}


def handlers(rooms: Rooms) -> dict[str, Handler]:
    """The messages about users."""
    users, access, passwords = rooms.users, rooms.access, rooms.door.passwords

    async def rows(call: Call, request: m.UsersRequest) -> m.UsersReply:
        def look() -> list[m.UserRow]:
            return [
                m.UserRow(user.name, user.is_super, user.is_disabled, user.created_at, sorted(access.grants(user.name)))
                for user in access.users()
            ]

        return m.UsersReply(await asyncio.to_thread(look))

    async def add(call: Call, request: m.AddUserRequest) -> m.Done:
        await passwords.in_turn(lambda: users.add(request.name, request.password.reveal(), is_super=request.is_super))
        await rooms.record(call, "user added", f"{request.name}{' as super user' if request.is_super else ''}")
        return m.Done(f"{request.name} may log in: cpcc login {request.name}")

    async def delete(call: Call, request: m.DeleteUserRequest) -> m.Done:
        projects = await asyncio.to_thread(access.grants, request.name)
        await asyncio.to_thread(users.remove, request.name)
        rooms.lines.cut(_of(request.name), call.line)
        await rooms.record(call, "user deleted", request.name)
        orphans = [project for project in sorted(projects) if not access.members(project)]
        left = f" Only super users see now: {', '.join(orphans)}." if orphans else ""
        return m.Done(f"{request.name} was deleted, with sessions and bundles.{left}")

    async def change(call: Call, request: m.ChangeUserRequest) -> m.Done:
        if request.change in ("promote", "demote"):
            await asyncio.to_thread(users.set_super, request.name, request.change == "promote")
        else:
            await asyncio.to_thread(users.set_disabled, request.name, request.change == "disable")
        if request.change in ("demote", "disable"):
            rooms.lines.cut(_of(request.name), call.line)
        await rooms.record(call, f"user {request.change}d", request.name)
        return m.Done(DONE[request.change].format(request.name))

    async def set_password(call: Call, request: m.SetPasswordRequest) -> m.Done:
        identity = call.identity
        name = request.name or identity.user
        if name != identity.user and not identity.is_super:
            raise Refused("Only super users may set the password of somebody else.", "Your own: cpcc passwd")
        if not (identity.kind == "bundle" and identity.role == "admin" and identity.is_super):
            await rooms.door.check_password(identity.user, request.current.reveal(), call.address)
        await passwords.in_turn(users.set_password, name, request.password.reveal())
        rooms.lines.cut(lambda other: other.kind == "user" and other.user == name, call.line)
        await rooms.record(call, "password set", name)
        return m.Done(f"The password of {name} is set; all its sessions have ended.")

    async def members(call: Call, request: m.MembersRequest) -> m.MembersReply:
        check_there(request.project)
        return m.MembersReply(await asyncio.to_thread(access.members, request.project))

    async def grant(call: Call, request: m.GrantAccessRequest) -> m.Done:
        check_there(request.project)
        user = await asyncio.to_thread(users.existing, request.name)
        if user.is_super:
            return m.Done(f"{user.name} is a super user, and has access to every project.")
        await asyncio.to_thread(access.grant, user.name, request.project)
        await rooms.record(call, "access granted", f"{user.name} to {request.project}")
        return m.Done(f"{user.name} has access to project {request.project}.")

    async def withdraw(call: Call, request: m.RevokeAccessRequest) -> m.Done:
        check_there(request.project)
        there = await asyncio.to_thread(access.members, request.project)
        if request.name not in there:
            known = f"Those who have: {', '.join(there)}." if there else "Nobody has, besides the super users."
            raise Refused(f"{request.name} has no access to project {request.project} that could be taken back.", known)
        if there == [request.name] and not call.identity.is_super:
            raise Refused(
                f"{request.name} is the only one with access to project {request.project}.",
                "Give it to somebody else first (cpcc grant-access USER), or ask a super user.",
            )
        await asyncio.to_thread(access.withdraw, request.name, request.project)
        rooms.lines.cut(_of(request.name), call.line)
        await rooms.record(call, "access revoked", f"{request.name} to {request.project}")
        return m.Done(f"{request.name} has no access to project {request.project} any more.")

    def check_there(project: str) -> None:
        if all(row.name != project for row in rooms.projects.names()):
            raise unknown_project(project)

    return {
        "users": rows,
        "user/add": add,
        "user/delete": delete,
        "user/change": change,
        "user/password": set_password,
        "project/members": members,
        "project/grant": grant,
        "project/withdraw": withdraw,
    }


def _of(user: str) -> Callable[[Identity], bool]:
    return lambda identity: identity.user == user
