"""Commands about the server's own program: whether it answers, its settings, its end."""

from __future__ import annotations

import time
from collections.abc import Iterator

import click

from copernicus.client.cli.context import Context, command, is_terminal, pass_context
from copernicus.client.output import text
from copernicus.errors import Refused
from copernicus.wire import messages as m


@command("ping")
@click.argument("server", default="", type=str, metavar="[SERVER_ID]")
@click.option("-n", "--count", type=click.IntRange(1, 1000), default=3, help="How often (default: 3).")
@pass_context
def ping_command(context: Context, server: str, count: int) -> None:
    """Ask the server, or the one with this SERVER_ID (fingerprint or its beginning), whether it answers, and how quickly."""
    info = context.client.server_info()
    id, hostname = info.fingerprint, info.hostname
    is_other = bool(server) and not (id.startswith(server.lower()) or server == hostname)
    times_s = []
    for _ in range(count):
        if is_other:  # the server in use measures the way to it
            reply = context.client.caller.call(m.PingRequest(server))
            id, hostname = reply.id, reply.hostname
            times_s.append(reply.seconds)
        else:
            began_at = time.perf_counter()
            context.client.server_info()
            times_s.append(time.perf_counter() - began_at)
    best_ms, last_ms = 1000 * min(times_s), 1000 * times_s[-1]
    way = f" {info.hostname}" if is_other else ""
    context.show(
        {"hostname": hostname, "server_id": id, "times_s": times_s},
        lambda: [f"{hostname} answers{way}, in {best_ms:.1f} ms at best, {last_ms:.1f} ms the last of {count} times."],
    )


@command("readconf")
@pass_context
def readconf_command(context: Context) -> None:
    """Have the server read its settings file again (cpc-server config changes it). Super users only."""
    reply = context.client.read_settings()

    def lines() -> Iterator[str]:
        for name, value in reply.changed.items():
            yield f"{name} is {value} from now on."
        for name, value in reply.later.items():
            yield f"{name} will be {value} after the next start of the server."
        if not reply.changed and not reply.later:
            yield "The settings are those in use."

    context.show(reply, lines)


@command("audit")
@click.option("-n", "--lines", "count", type=click.IntRange(1, 10_000), default=100, help="How many lines (default: 100).")
@pass_context
def audit_command(context: Context, count: int) -> None:
    """Show the newest lines of the server's audit log: who did what that matters for security, and from where.

    Super users only.
    """
    rows = context.client.audit(count)

    def lines() -> Iterator[str]:
        cells = [(text.moment(row.at), row.who, row.address, row.what, row.about) for row in rows]
        yield from text.table(("WHEN", "WHO", "FROM", "WHAT", "ABOUT"), cells) or ["Nothing was done yet."]

    context.show(rows, lines)


@command("stop-server")
@click.option("-f", "--force", "is_forced", is_flag=True, help="Do not ask.")
@pass_context
def stop_server_command(context: Context, is_forced: bool) -> None:
    """Stop the server. Workers keep their jobs and report when it is back; it is started where it runs: cpc-server start

    On a terminal you are asked before; a script is not. Super users only.
    """
    if not is_forced and is_terminal():
        name = context.client.server_info().hostname
        if not click.confirm(f"Stop the server on {name}? It cannot be started again from here.", err=True):
            raise Refused("The server was not stopped.")
    note = context.client.stop_server()
    context.show({"note": note}, lambda: [note])
