"""Commands about other servers: connect to them, trust them, in which order they are asked for jobs, how all is connected."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import click

from copernicus.client.cli.context import Context, command, pass_context
from copernicus.client.output import text
from copernicus.errors import UsageError
from copernicus.program import Word
from copernicus.wire import messages as m

PORT = click.IntRange(1, 65535)
CLIENT_PORT = 14807
HEAD = ("Hostname", "Port", "Server Id")


@command("connect-server")
@click.argument("host", type=Word())
@click.argument("client_port", type=PORT, default=CLIENT_PORT)
@click.argument("secure_port", type=PORT, default=None, required=False)
@click.option("--fingerprint", type=Word(), default=None, metavar="SHA256", help="The fingerprint that the server must have.")
@pass_context
def connect_server_command(
    context: Context, host: str, client_port: int, secure_port: int | None, fingerprint: str | None
) -> None:  # fmt: skip
    """Ask the server at HOST for a connection; its people then decide: cpcc trust. Super users only.

    The ports are 14807 for clients, and for servers what that one says. Through a tunnel, give both of its local ports.
    Compare both fingerprints with what `cpc-server status` prints on either side.
    """
    reply = context.client.caller.call(m.ConnectServerRequest(host, client_port, secure_port or 0, fingerprint or ""))
    is_trusted = reply.peer.state == "trusted"
    last = "It had asked, too: both servers trust each other now." if is_trusted else f"There: cpcc trust {reply.own}"
    context.show(
        reply,
        lambda: [
            f"Connection request sent to {host} {client_port}",
            f"Its fingerprint:           {reply.peer.id}",
            f"This server's fingerprint: {reply.own}",
            last,
        ],
    )


@command("connected-servers")
@pass_context
def connected_servers_command(context: Context) -> None:
    """List the other servers, in the order in which they are asked for jobs."""
    reply = context.client.caller.call(m.PeersRequest())

    def lines() -> Iterator[str]:
        for title, state in (("Sent connection requests", "sent"), ("Received connection requests", "received")):
            rows = [row for row in reply.peers if row.state == state]
            if rows:
                yield title
                yield from _plain(rows)
                yield ""
        rows = [row for row in reply.peers if row.state == "trusted"]
        if rows:
            yield "Connected nodes:"
            head = ("Priority", *HEAD, "Link", "Lent", "Limits")
            cells = [
                (
                    str(row.priority),
                    row.hostname,
                    str(row.client_port),
                    row.id,
                    "" if row.is_connected else "down",
                    _lent(row),
                    _limits(row).replace("no limits", ""),
                )
                for row in rows
            ]
            yield from text.table(head, cells)
        if not reply.peers:
            yield "No other server is known. Ask one for a connection: cpcc connect-server HOST"

    context.show(reply, lines)


def _plain(rows: Iterable[m.PeerRow]) -> list[str]:
    return text.table(HEAD, [(row.hostname, str(row.client_port), row.id) for row in rows])


def _lent(row: m.PeerRow) -> str:
    return f"{row.lent_jobs} jobs, {row.lent_cores} cores" if row.lent_jobs else ""


@command("trust")
@click.argument("ids", nargs=-1, metavar="[SERVER_ID]...")
@click.option("-all", "--all", "is_all", is_flag=True, help="All that have asked.")
@pass_context
def trust_command(context: Context, ids: tuple[str, ...], is_all: bool) -> None:
    """Agree to the connection that the server SERVER_ID (a fingerprint, or its beginning) has asked for. Super users only.

    From then on both servers lend each other workers that have nothing else to do, and run each other's jobs.
    """
    if bool(ids) == is_all:
        raise UsageError("Say which servers: cpcc trust SERVER_ID, or cpcc trust --all.", "See: cpcc connected-servers")
    reply = context.client.caller.call(m.TrustRequest(list(ids), is_all))

    def lines() -> Iterator[str]:
        if not reply.peers:
            yield "No server has asked for a connection."
            return
        yield "Following nodes are now trusted:"
        yield from _plain(reply.peers)

    context.show(reply, lines)


@command("revoke")
@click.argument("server")
@pass_context
def revoke_command(context: Context, server: str) -> None:
    """Trust SERVER (its id, or the beginning of it) no more: at once, and in both directions. Super users only."""
    _done(context, context.client.caller.call(m.RevokePeerRequest(server)).note)


@command("node-pri")
@click.argument("priority", type=click.IntRange(0, 1_000_000))
@click.argument("server", type=Word(), metavar="SERVER_ID|HOST")
@click.argument("port", type=PORT, default=None, required=False)
@pass_context
def node_pri_command(context: Context, priority: int, server: str, port: int | None) -> None:
    """Set when a server is asked for jobs: 0 first. It is named by its id, or by HOST and client PORT. Super users only."""
    is_id = port is None and len(server) >= 8 and not set(server.lower()) - set("0123456789abcdef")
    request = m.PeerPriorityRequest(priority, server) if is_id else m.PeerPriorityRequest(priority, "", server, port or 0)
    _done(context, context.client.caller.call(request).note)


@command("limit-server")
@click.argument("server", type=Word(), metavar="SERVER_ID")
@click.option("--share", "projects", multiple=True, metavar="PROJECT", help="Give its workers jobs of this project only.")
@click.option("--share-nothing", "is_nothing", is_flag=True, help="Give its workers no jobs of this server.")
@click.option("--cores", type=click.IntRange(0, 1_000_000), default=None, help="Lend it no more cores than so many.")
@click.option("--only-when-idle", is_flag=True, help="Lend it only workers that have no job at all.")
@pass_context
def limit_server_command(
    context: Context, server: str, projects: tuple[str, ...], is_nothing: bool, cores: int | None, only_when_idle: bool
) -> None:
    """Limit what is shared with SERVER_ID; what is not said is not limited any more. Super users only.

    Jobs of its workers that are under way go on.
    """
    if projects and is_nothing:
        raise UsageError("--share and --share-nothing contradict each other.", "Leave one away.")
    shared = list(projects) if projects or is_nothing else None
    reply = context.client.caller.call(m.PeerLimitsRequest(server, shared, cores, only_when_idle))
    context.show(reply, lambda: [f"{text.clean(row.hostname)}  {row.id[:16]}: {_limits(row)}" for row in reply.peers])


def _limits(row: m.PeerRow) -> str:
    parts = []
    if row.projects is not None:
        parts.append(f"runs jobs of {', '.join(row.projects) or 'no project'}")
    if row.cores is not None:
        parts.append(f"is lent {row.cores} cores at most")
    if row.is_only_when_idle:
        parts.append("is lent idle workers only")
    return "; ".join(parts) or "no limits"


@command("network")
@pass_context
def network_command(context: Context) -> None:
    """Show which servers are connected to this one, and to these."""
    reply = context.client.caller.call(m.NetworkRequest())
    context.show(reply, lambda: _tree(reply))


def _tree(reply: m.NetworkReply) -> Iterator[str]:
    names = {node.id: node.hostname for node in reply.nodes}
    for node in reply.nodes:
        ways = [(edge, edge.other) for edge in reply.edges if edge.one == node.id]
        ways += [(edge, edge.one) for edge in reply.edges if edge.other == node.id]
        if ways or node is reply.nodes[0]:
            yield f"{text.clean(node.hostname)}  {node.id}"
        for edge, other in ways:
            link = "" if edge.is_connected else "  (no link now)"
            yield f"  <-> {text.clean(names.get(other, other))}  {other[:16]}{link}"


@command("network-graph")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@pass_context
def network_graph_command(context: Context, file: Path) -> None:
    """Write the network to FILE in the language of Graphviz (a picture: dot -Tsvg FILE)."""
    from copernicus.client.output.graph import network_dot

    reply = context.client.caller.call(m.NetworkRequest())
    try:
        file.write_text(network_dot(reply), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{file} cannot be written: {error.strerror}.") from None
    context.show({"file": str(file)}, lambda: [f"Wrote {len(reply.nodes)} servers to {file}."])


def _done(context: Context, note: str) -> None:
    context.show({"note": note}, lambda: [note])
