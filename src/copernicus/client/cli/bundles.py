"""Commands about connection bundles: list, make, revoke."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import click

from copernicus.client.cli.context import Context, command, pass_context
from copernicus.client.output import text
from copernicus.errors import CopernicusError, Refused, UsageError
from copernicus.program import File, Word, life_in_days
from copernicus.wire import messages as m


@command("bundles")
@click.option("--all", "is_all", is_flag=True, help="Also those that were revoked or have expired.")
@pass_context
def bundles_command(context: Context, is_all: bool) -> None:
    """List the bundles that were made for you; for super users those of everybody."""
    now = time.time()
    rows = [row for row in context.client.bundles.list() if is_all or (row.revoked_at is None and row.expires_at > now)]

    def lines() -> Iterator[str]:
        head = ("SERIAL", "ROLE", "USER", "PROJECTS", "MADE", "ENDS")
        cells = [
            (row.serial, row.role, row.acts_for, ", ".join(row.projects) or "all", text.moment(row.created_at), _end(row, now))
            for row in rows
        ]
        yield from text.table(head, cells) or ["There are no bundles. Make one with: cpcc bundle"]

    context.show(rows, lines)


def _end(row: m.BundleListing, now: float) -> str:
    if row.revoked_at is not None:
        return f"revoked {text.moment(row.revoked_at)}"
    if row.expires_at <= now:
        return f"expired {text.moment(row.expires_at)}"
    return f"{text.moment(row.expires_at)}{', renews itself' if row.renews else ''}"


@command("bundle")
@click.option("-o", "--output", type=File(), metavar="FILE", help="The file to write (default worker.cnx or client.cnx).")
@click.option(
    "--role", type=click.Choice(get_args(m.BundleRole)), default="worker",
    help="What it may do: a worker's work (default), act for you as a client, or (super users) admin: everything.",
)  # fmt: skip
@click.option("-p", "--project", "projects", type=Word(), multiple=True, metavar="PROJECT", help="Limit it to this project.")
@click.option("--expires", metavar="TIME", help="Its end, for good: 30 or 30d (days), 12h, 8w, 2y. Else it renews itself.")
@click.option("--user", "acts_for", type=Word(), default=None, metavar="USER", help="For whom (super users; default you).")
@pass_context
def bundle_command(
    context: Context, output: Path | None, role: m.BundleRole, projects: tuple[str, ...], expires: str | None,
    acts_for: str | None,
) -> None:  # fmt: skip
    """Make a connection bundle, for a worker (default) or a client of your own. It reaches no further than you do.

    Whoever has the file may use it: keep it to yourself, and end it with cpcc revoke-bundle SERIAL.
    """
    from copernicus.net.bundle import write_bundle

    output = output or Path("worker.cnx" if role == "worker" else "client.cnx")
    days = life_in_days(expires) if expires is not None else 0.0
    if expires is not None and not days:
        raise UsageError("A bundle cannot live for 0 days.")
    if context.project_flag:
        projects = (*projects, context.project_flag)
    if output.exists():
        raise Refused(f"{output} is there already.", "Somebody may need it. Name another file with -o FILE.")
    made = context.client.bundles.issue(role, projects, days=days, acts_for=acts_for or "")
    try:
        write_bundle(output, made)
    except CopernicusError:
        context.client.bundles.revoke(made.serial)  # nobody has it
        raise
    ends = time.strftime("%Y-%m-%d", time.localtime(made.expires_at))
    reach = f"for project {', '.join(made.projects)}, " if made.projects else ""
    end = "it renews itself" if made.renew_at else f"until {ends}"
    context.show(
        {"file": str(output), "serial": made.serial, "role": made.role, "user": made.user, "projects": made.projects,
         "expires_at": made.expires_at},
        lambda: [f"Wrote {output}: role {made.role} of {made.user}, {reach}{end}. Serial {made.serial}"],
    )  # fmt: skip


# Its own -p may be given more than once, in place of that of all commands.
bundle_command.params = [option for option in bundle_command.params if option.name != "project"]


@command("revoke-bundle")
@click.argument("serial", type=Word())
@pass_context
def revoke_bundle_command(context: Context, serial: str) -> None:
    """Revoke the bundle SERIAL for good: its connections are cut, its next request is refused."""
    note = context.client.bundles.revoke(serial)
    context.show({"serial": serial, "note": note}, lambda: [note])
