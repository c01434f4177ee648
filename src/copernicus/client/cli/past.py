"""The command that looks back: every version of a place, and what a value was made from."""

from __future__ import annotations

from itertools import islice

import click

from copernicus.client.cli.context import Context, command, pass_context
from copernicus.client.output import past
from copernicus.errors import UsageError

SHOWN = 50


@command("history")
@click.argument("path")
@click.option("-n", "--limit", type=click.IntRange(min=1), help=f"How many versions, the newest ones (by default {SHOWN}).")
@click.option("--all", "is_all", is_flag=True, help="All versions.")
@click.option("--from", "is_from", is_flag=True, help="What the value was made from, back to what people gave.")
@pass_context
def history_command(context: Context, path: str, limit: int | None, is_all: bool, is_from: bool) -> None:
    """Show every version of the value at PATH: when, what, and from whom, or from which job on which worker.

    PATH is a place (mdrun:out.xtc[0]), a side (mdrun:in), or an instance. What is connected shows, from then on, the history
    of its source. --json gives the newest version first.
    """
    if is_from:
        if limit is not None or is_all:
            raise UsageError("--from shows one value, as it stands.", "Leave --limit and --all away.")
        found = context.project.provenance(path)
        context.show(found, lambda: past.provenance(found))
        return
    if is_all and limit is not None:
        raise UsageError("--all and --limit contradict each other.", "Give one of them.")
    versions = context.project.history(path, None if is_all else (limit or SHOWN) + 1)
    rows = list(versions if is_all else islice(versions, (limit or SHOWN) + 1))
    is_more = not is_all and len(rows) > (limit or SHOWN)
    rows = rows[: limit or SHOWN] if is_more else rows
    left = "There are older versions (see --all)." if is_more else ""
    context.show(rows, lambda: past.versions(rows, path, left))
