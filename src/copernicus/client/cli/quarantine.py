"""The command `quarantine`: hosts whose workers get no jobs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import click

from copernicus.client.cli.context import Context, command, pass_context
from copernicus.client.output import text
from copernicus.errors import UsageError


@command("quarantine")
@click.argument("action", type=click.Choice(("list", "add", "release")))
@click.argument("worker", default="", metavar="[WORKER]")
@click.option("--why", default="", metavar="WORDS", help="(with add) The reason, for other people.")
@pass_context
def quarantine_command(context: Context, action: Literal["list", "add", "release"], worker: str, why: str) -> None:
    """List the hosts in quarantine, put one there, or trust one again. Its workers get no jobs, and may finish what they have.

    WORKER is the name of a host, or the id of a worker on it. The server puts a host there itself when several jobs in a row
    came to nothing on it that were then done on other hosts.
    """
    if action == "list":
        if worker or why:
            raise UsageError("`cpcc quarantine list` takes nothing more.")
        _list(context)
        return
    if not worker:
        raise UsageError(f"Which worker? Write: cpcc quarantine {action} WORKER", "`cpcc workers` lists them.")
    if action == "release" and why:
        raise UsageError("--why goes with add.")
    note = context.client.quarantine(worker, why) if action == "add" else context.client.release(worker)
    context.show({"note": note}, lambda: text.fitting(note))


def _list(context: Context) -> None:
    rows = context.client.quarantined()

    def lines() -> Iterator[str]:
        if not rows:
            yield "No host is in quarantine."
        for row in rows:
            workers = f"; workers: {', '.join(row.workers)}" if row.workers else ""
            yield from text.fitting(f"{row.host}, since {text.moment(row.since)}{workers}")
            yield from text.fitting(row.why, "  ")
            yield from text.fitting(f"Trust it again with: cpcc quarantine release {row.host}", "  ")

    context.show(rows, lines)
