"""Commands about what a project holds: usage, purge."""

from __future__ import annotations

from collections.abc import Iterator

import click

from copernicus.client.cli.context import Context, change_command, command, is_terminal, pass_context
from copernicus.client.output import text
from copernicus.client.project import new_request_id
from copernicus.errors import Refused
from copernicus.model.counts import counted
from copernicus.wire import messages as m

CLASSES = ("inputs", "current", "checkpoints", "superseded")
MOST_SHOWN = 20
TIMEOUT_S = 600.0


@command("usage")
@click.argument("name", metavar="[PROJECT]", required=False)
@pass_context
def usage_command(context: Context, name: str | None) -> None:
    """Show what a project has cost and what it holds, by instance at the top; what it has cost also by site.

    Every attempt that has ended counts, whatever came of it.

    Inputs are what people gave, in all versions; current is what stands now; superseded results and old checkpoints are
    deleted after a while, or when the disk fills up.
    """
    reply = context.client.caller.call(m.UsageRequest(name or context.project_name), timeout_s=TIMEOUT_S)

    def lines() -> Iterator[str]:
        total = m.UsageRow("(all)", reply.core_s, reply.gpu_s, reply.bytes)
        rows = [*reply.instances, total]
        cells = [
            (row.path or "(removed)", text.duration(row.core_s), text.duration(row.gpu_s) if row.gpu_s else "",
             *(text.size(row.bytes[kind]) if row.bytes.get(kind) else "" for kind in CLASSES))
            for row in rows
        ]  # fmt: skip
        head = ("INSTANCE", "CORE TIME", "GPU TIME", *(kind.upper() for kind in CLASSES))
        yield from text.table(head, cells, right="CORE TIME GPU TIME INPUTS CURRENT CHECKPOINTS SUPERSEDED")
        if reply.sites:
            yield ""
            yield from _by_site(reply.sites)
        if reply.uploads_bytes is not None:
            yield f"Files on the server that no project refers to: {text.size(reply.uploads_bytes)}"

    context.show(reply, lines)


def _by_site(rows: list[m.SiteRow]) -> list[str]:
    cells = [
        (row.site or "(no name)", str(row.attempts), text.duration(row.core_s), text.duration(row.gpu_s) if row.gpu_s else "",
         text.size(row.bytes_in), text.size(row.bytes_out))
        for row in rows
    ]  # fmt: skip
    head = ("SITE", "ATTEMPTS", "CORE TIME", "GPU TIME", "STAGED", "COLLECTED")
    return text.table(head, cells, right="ATTEMPTS CORE TIME GPU STAGED COLLECTED")


@change_command("purge")
@click.argument("path")
@click.option("--all", "is_present", is_flag=True, help="Also what stands there now: it is unset, and lost.")
@click.option("--yes", "is_sure", is_flag=True, help="Do not ask.")
@pass_context
def purge_command(context: Context, path: str, is_present: bool, is_sure: bool) -> None:
    """Delete the files of earlier versions at PATH, for good: of a value, or of all that is in an instance.

    Nobody can bring them back, and no undo either: the history then says that they are gone. On a terminal you are asked
    before; a script must say --yes.
    """
    caller, project = context.client.caller, context.project_name
    would = caller.call(m.PurgeRequest(project, path, is_present, is_check=True), timeout_s=TIMEOUT_S)
    if not would.lost:
        context.show(would, lambda: [f"There is nothing to purge at {path}.{_kept(would)}"])
        return
    if context.is_preview:
        total = f"{counted(len(would.lost), 'version')} ({text.size(would.bytes)}) would be deleted for good.{_kept(would)}"
        context.show(would, lambda: [*_listed(would), total])
        return
    if not is_sure:
        for line in _listed(would):
            context.note(line)
        if not is_terminal():
            raise Refused("Nothing was purged: these files would be lost for good.", "Say --yes when that is meant.")
        if not click.confirm(f"Delete {counted(len(would.lost), 'version')} ({text.size(would.bytes)}) for good?", err=True):
            raise Refused("Nothing was purged.")
    reply = caller.call(m.PurgeRequest(project, path, is_present, request_id=new_request_id()), timeout_s=TIMEOUT_S)
    context.show(
        reply, lambda: [f"Purged {counted(len(reply.lost), 'version')} ({text.size(reply.bytes)}) at {path}.{_kept(reply)}"]
    )


def _listed(reply: m.PurgeReply) -> Iterator[str]:
    for one in reply.lost[:MOST_SHOWN]:
        yield text.clean(f"{one.path}: {one.name} ({text.size(one.size)})")
    if len(reply.lost) > MOST_SHOWN:
        yield f"and {len(reply.lost) - MOST_SHOWN} more"


def _kept(reply: m.PurgeReply) -> str:
    return f" {reply.kept} stay, because they are used elsewhere." if reply.kept else ""
