"""Commands about servers and sessions: first contact, login, who is there."""

from __future__ import annotations

from collections.abc import Iterator

import click
import msgspec

from copernicus.client import memory
from copernicus.client.cli.context import Context, command, is_terminal, pass_context
from copernicus.client.cli.passwords import asked_password
from copernicus.client.memory import KnownServer, Memory
from copernicus.client.output import text
from copernicus.errors import (
    BundleNotFound,
    CertificateRefused,
    NotAuthenticated,
    Refused,
    Unavailable,
    UnknownPath,
    UsageError,
)  # fmt: skip
from copernicus.model.secret import Secret
from copernicus.program import Word
from copernicus.wire import messages as m

DEFAULT_PORT = 14807


@command("add-server")
@click.argument("host", type=Word())
@click.argument("port", type=click.IntRange(1, 65535), default=DEFAULT_PORT)
@click.option("-n", "--name", type=Word(), help="What to call it here (default: HOST).")
@click.option(
    "--fingerprint", type=Word(), metavar="SHA256", help="The fingerprint that the server must have; nothing is asked then."
)
@pass_context
def add_server_command(context: Context, host: str, port: int, name: str | None, fingerprint: str | None) -> None:
    """Learn to know the server at HOST (client port PORT, 14807 by default), and use it from now on.

    Its certificate's fingerprint is shown: compare it with what `cpc-server status` prints there. A server of your own
    on this machine is trusted from its own settings.
    """
    from copernicus.net.first_contact import check_fingerprint, fetch_authority, own_authority

    known = memory.load()
    name = name or _free_name(known, host, port)
    old = known.servers.get(name)
    authority = own_authority(host, port) or fetch_authority(host, port)
    if fingerprint:
        check_fingerprint(authority, fingerprint)
    if old is not None and old.fingerprint != authority.fingerprint:
        raise CertificateRefused(
            f"The server known as {name} has the fingerprint {old.fingerprint}; the one at {host}:{port} has "
            f"{authority.fingerprint}.",
            f"If it was set up anew: cpcc forget-server {name}; if it is another one: cpcc add-server -n NAME {host} {port}",
        )
    if not fingerprint and not authority.is_own and old is None:
        _ask_for_trust(host, port, authority.fingerprint)
    server = KnownServer(name, host, port, authority.fingerprint, authority.certificate)
    if old is not None:
        server = msgspec.structs.replace(server, user=old.user, token=old.token, expires_at=old.expires_at)
    with memory.locked():
        memory.save(memory.load().with_server(server))
    plain = {"name": name, "host": host, "port": port, "fingerprint": server.fingerprint}
    context.show(plain, lambda: [f"Server {name} ({host}:{port}) is known, and in use. Next: cpcc login USER",
                                 f"Fingerprint: {server.fingerprint}"])  # fmt: skip


def _free_name(known: Memory, host: str, port: int) -> str:
    there = known.servers.get(host)
    return host if there is None or (there.host, there.port) == (host, port) else f"{host}:{port}"


def _ask_for_trust(host: str, port: int, fingerprint: str) -> None:
    if not is_terminal():
        raise CertificateRefused(
            f"The server at {host}:{port} is not known here; its fingerprint is {fingerprint}.",
            "If cpc-server status prints the same there, run this again with --fingerprint and that number.",
        )
    click.echo(
        f"The server at {host}:{port} is not known here. The fingerprint of its certificate is\n  {fingerprint}", err=True
    )
    if not click.confirm("Does cpc-server status print the same there, and do you trust it?", err=True):
        raise Refused("The server was not added.")


@command("forget-server")
@click.argument("name")
@pass_context
def forget_server_command(context: Context, name: str) -> None:
    """Forget the server NAME: its certificate, and the session there."""
    with memory.locked():
        known = memory.load()
        _server(known, name)
        memory.save(known.without_server(name))
    context.show({"name": name}, lambda: [f"Server {name} is forgotten."])


@command("list-server")
@pass_context
def list_server_command(context: Context) -> None:
    """List the servers that are known here; the one in use is marked with a star."""
    known = memory.load()
    rows = [known.servers[name] for name in sorted(known.servers)]
    plain = [
        {"name": row.name, "host": row.host, "port": row.port, "fingerprint": row.fingerprint, "user": row.user,
         "expires_at": row.expires_at, "is_in_use": row.name == known.in_use}
        for row in rows
    ]  # fmt: skip

    def lines() -> Iterator[str]:
        head = ("", "NAME", "HOST", "PORT", "LOGGED IN", "FINGERPRINT")
        cells = [
            ("*" if row.name == known.in_use else "", row.name, row.host, str(row.port),
             f"{row.user}, until {text.moment(row.expires_at)}" if row.token else "", row.fingerprint)
            for row in rows
        ]  # fmt: skip
        yield from text.table(head, cells, right="PORT") or ["No server is known. Add one with: cpcc add-server HOST"]

    context.show(plain, lines)


@command("use-server")
@click.argument("name")
@pass_context
def use_server_command(context: Context, name: str) -> None:
    """Send commands to the server NAME from now on."""
    with memory.locked():
        known = memory.load()
        server = _server(known, name)
        memory.save(known.with_server(server))
    who = f"logged in as {server.user}" if server.token else "not logged in"
    context.show({"name": name}, lambda: [f"Server {name} is in use; you are {who}."])


def _server(known: Memory, name: str) -> KnownServer:
    if name not in known.servers:
        there = f"Known: {', '.join(sorted(known.servers))}." if known.servers else "None is known: cpcc add-server HOST"
        raise UnknownPath(f"There is no server known as {name!r}.", there)
    return known.servers[name]


def _in_use() -> KnownServer:
    server = memory.load().server
    if server is None:
        raise UsageError("No server is in use.", "Add one with: cpcc add-server HOST (or choose one: cpcc use-server NAME)")
    return server


@command("login")
@click.argument("user")
@click.option("-stdin", "--stdin", "is_stdin", is_flag=True, help="Read the password from the first line of stdin.")
@pass_context
def login_command(context: Context, user: str, is_stdin: bool) -> None:
    """Open a session as USER on the server in use. The password is asked for, without showing it."""
    from copernicus.client.credentials import session_caller

    server = _in_use()
    hint = "Give it on stdin: cpcc login -stdin USER"
    password = asked_password(f"Password of {user} on {server.name}", hint, is_stdin=is_stdin)
    with session_caller(msgspec.structs.replace(server, token="")) as caller:
        reply = caller.call(m.LoginRequest(user, Secret(password)))
    with memory.locked():
        fresh = msgspec.structs.replace(server, user=reply.user, token=reply.token.reveal(), expires_at=reply.expires_at)
        memory.save(memory.load().with_server(fresh))
    plain = {"server": server.name, "user": reply.user, "expires_at": reply.expires_at}
    context.show(plain, lambda: [f"Logged in to {server.name} as {reply.user}, until {text.moment(reply.expires_at)}."])


@command("logout")
@pass_context
def logout_command(context: Context) -> None:
    """End the session on the server in use, there and here."""
    from copernicus.client.credentials import session_caller

    server = _in_use()
    if not server.token:
        raise NotAuthenticated(f"You are not logged in to {server.name}.", "Nothing is to be ended.")
    try:
        with session_caller(server) as caller:
            caller.call(m.LogoutRequest())
    except NotAuthenticated:
        pass  # it had ended there already
    except (Unavailable, CertificateRefused) as error:
        context.note(f"The server could not be told ({error.message}) Its side of the session ends by itself.")
    with memory.locked():
        memory.save(memory.load().with_server(msgspec.structs.replace(server, token="", expires_at=0.0)))
    context.show({"server": server.name, "user": server.user}, lambda: [f"Logged out of {server.name}."])


@command("server-info")
@pass_context
def server_info_command(context: Context) -> None:
    """Show the server's name, ports, version and fingerprint, and whom it takes you for."""
    info = context.client.server_info()

    def lines() -> Iterator[str]:
        rows = (
            ("Server hostname", info.hostname),
            ("Fingerprint", info.fingerprint),
            ("Version", f"{info.version} (protocol {info.protocol})"),
            ("Client port", str(info.client_port)),
            ("Secure port", str(info.secure_port)),
            ("Running since", text.moment(info.started_at)),
            ("Projects", str(info.projects)),
            ("Workers", str(info.workers)),
            ("You are", info.user),
        )
        yield from (f"{name + ':':<17}{value}" for name, value in rows)

    context.show(info, lines)


@command("version")
@pass_context
def version_command(context: Context) -> None:
    """Show the versions of this program and, when there is a login or bundle, of the server."""
    from copernicus import __version__

    try:
        info = context.client.server_info()
    except (BundleNotFound, NotAuthenticated):
        context.show({"cpcc": __version__, "server": None}, lambda: [f"cpcc    {__version__}"])
        return
    lines = [f"cpcc    {__version__}", f"server  {info.version} ({info.hostname})"]
    context.show({"cpcc": __version__, "server": info.version}, lambda: lines)
