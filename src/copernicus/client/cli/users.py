"""Commands about users: who there is, who may do what, who has access to a project."""

from __future__ import annotations

from collections.abc import Iterator

import click
import msgspec

from copernicus.client import memory
from copernicus.client.cli.context import Context, command, is_terminal, pass_context
from copernicus.client.cli.passwords import asked_password
from copernicus.client.output import text
from copernicus.errors import Refused
from copernicus.model.secret import Secret
from copernicus.program import Word
from copernicus.wire import messages as m


@command("users")
@pass_context
def users_command(context: Context) -> None:
    """List the users of the server (super users only); with -p PROJECT those who have access to that project."""
    if context.project_flag:
        names = context.client.users.members(context.project_flag)
        context.show(list(names), lambda: names or ["Nobody has access, besides the super users."])
        return
    rows = context.client.users.list()

    def lines() -> Iterator[str]:
        cells = [
            (row.name, "super user" if row.is_super else "user", "kept out" if row.is_disabled else "",
             text.moment(row.created_at), "all" if row.is_super else ", ".join(row.projects))
            for row in rows
        ]  # fmt: skip
        yield from text.table(("NAME", "ROLE", "", "MADE", "PROJECTS"), cells)

    context.show(rows, lines)


@command("add-user")
@click.argument("user", type=Word())
@click.option("-stdin", "--stdin", "is_stdin", is_flag=True, help="Read the password from the first line of stdin.")
@click.option("--super", "is_super", is_flag=True, help="Make it a super user.")
@pass_context
def add_user_command(context: Context, user: str, is_stdin: bool, is_super: bool) -> None:
    """Add a user called USER. Its password is asked for, without showing it; USER changes it with cpcc passwd.

    Super users only.
    """
    hint = "Give it on stdin: cpcc add-user -stdin USER"
    password = asked_password(f"Password for {user}", hint, is_stdin=is_stdin, is_twice=True)
    note = context.client.users.add(user, password, is_super=is_super)
    context.show({"user": user}, lambda: [f"User {user} was added. {note}".rstrip()])


@command("delete-user")
@click.argument("user", type=Word())
@click.option("-f", "--force", "is_forced", is_flag=True, help="Do not ask.")
@pass_context
def delete_user_command(context: Context, user: str, is_forced: bool) -> None:
    """Delete the user USER: sessions end, bundles are revoked, access is gone. Projects, and what USER did in them, stay.

    On a terminal you are asked before; a script is not. Super users only.
    """
    if not is_forced and is_terminal() and not click.confirm(f"Delete user {user}?", err=True):
        raise Refused("Nothing was deleted.")
    _tell(context, user, context.client.users.delete(user))


@command("promote-user")
@click.argument("user", type=Word())
@pass_context
def promote_user_command(context: Context, user: str) -> None:
    """Make USER a super user: access to all projects, and to users, bundles and settings. Super users only."""
    _tell(context, user, context.client.users.change(user, "promote"))


@command("demote-user")
@click.argument("user", type=Word())
@pass_context
def demote_user_command(context: Context, user: str) -> None:
    """Make the super user USER an ordinary one; admin bundles made for USER are refused. Super users only."""
    _tell(context, user, context.client.users.change(user, "demote"))


@command("disable-user")
@click.argument("user", type=Word())
@pass_context
def disable_user_command(context: Context, user: str) -> None:
    """Keep USER out: sessions end, bundles are refused, until cpcc enable-user USER. Super users only."""
    _tell(context, user, context.client.users.change(user, "disable"))


@command("enable-user")
@click.argument("user", type=Word())
@pass_context
def enable_user_command(context: Context, user: str) -> None:
    """Let USER in again. Super users only."""
    _tell(context, user, context.client.users.change(user, "enable"))


@command("passwd")
@click.argument("user", type=Word(), required=False)
@click.option(
    "-stdin", "--stdin", "is_stdin", is_flag=True,
    help="Read two lines from stdin: your own password, then the new one (with an admin bundle only the new one).",
)  # fmt: skip
@pass_context
def passwd_command(context: Context, user: str | None, is_stdin: bool) -> None:
    """Change your own password or, as a super user, that of USER. Every session of that user ends.

    Your own password as it is now is asked for first, except with an admin bundle.
    """
    from copernicus.client.credentials import BundleInHand, find

    found = find(context.bundle)
    hint = "Give both on stdin: cpcc passwd -stdin"
    is_admin = isinstance(found, BundleInHand) and found.bundle.role == "admin"
    current = "" if is_admin else asked_password("Your own password, as it is now", hint, is_stdin=is_stdin)
    new = asked_password("New password", hint, is_stdin=is_stdin, is_twice=True)
    note = context.client.users.set_password(new, current=current, name=user or "")
    if not isinstance(found, BundleInHand) and user in (None, found.server.user):
        _log_in_again(found.server, new)
        note = "Your password is set. Your other sessions have ended."
    _tell(context, user or found.user, note)


def _log_in_again(server: memory.KnownServer, password: str) -> None:
    """The session from which the password was changed has ended with it; the user goes on all the same."""
    from copernicus.client.credentials import session_caller

    with session_caller(msgspec.structs.replace(server, token="")) as caller:
        reply = caller.call(m.LoginRequest(server.user, Secret(password)))
    with memory.locked():
        fresh = msgspec.structs.replace(server, token=reply.token.reveal(), expires_at=reply.expires_at)
        memory.save(memory.load().with_server(fresh))


@command("grant-access")
@click.argument("user", type=Word())
@pass_context
def grant_access_command(context: Context, user: str) -> None:
    """Give USER full access to the current project (or to that of -p). Whoever has access may give it."""
    _tell(context, user, context.client.users.grant(context.project_name, user))


@command("revoke-access")
@click.argument("user", type=Word())
@pass_context
def revoke_access_command(context: Context, user: str) -> None:
    """Take USER's access to the current project (or to that of -p) back. Whoever has access may do so."""
    _tell(context, user, context.client.users.revoke(context.project_name, user))


def _tell(context: Context, user: str, note: str) -> None:
    context.show({"user": user, "note": note}, lambda: [note])
