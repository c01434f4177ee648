"""Commands about projects as archives: save, load."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from copernicus.client import memory
from copernicus.client.cli.context import Context, command, pass_context
from copernicus.client.output import text
from copernicus.model.counts import counted
from copernicus.program import File
from copernicus.wire.messages import LoadReply


@command("save")
@click.argument("name", metavar="[PROJECT]", required=False)
@click.argument("file", type=File(), required=False)
@click.option("-f", "--force", "is_forced", is_flag=True, help="Replace FILE when it exists.")
@click.option("--all", "is_whole", is_flag=True, help="With results that nothing refers to any more.")
@pass_context
def save_command(context: Context, name: str | None, file: Path | None, is_forced: bool, is_whole: bool) -> None:
    """Save a project as one archive: its log, its jobs with their last checkpoints, and the files that it refers to.

    FILE is PROJECT.tar.gz in the current folder unless it is given. The project goes on meanwhile; the archive holds it as it
    stood in one moment, and no code. `cpcc load` makes a project of it again, here or on another server.
    """
    from copernicus.client.archives import SUFFIX, save

    name = name or context.project_name
    target = file or Path(f"{name}{SUFFIX}")
    count = save(context.client.caller, name, target, is_whole=is_whole, is_replaced=is_forced)
    context.show({"project": name, "file": str(target), "bytes": count}, lambda: [f"Saved {target} ({text.size(count)})."])


@command("load")
@click.argument("file", type=File())
@click.argument("name")
@pass_context
def load_command(context: Context, file: Path, name: str) -> None:
    """Make a project called NAME of the archive FILE, and choose it.

    It comes back held, with all its values, results and history; jobs that ran go on from their last checkpoint. Let it run
    with: cpcc activate
    """
    from copernicus.client.archives import load
    from copernicus.client.cli.progress import bar

    with bar(f"Sending {file.name}") as progress:
        reply = load(context.client.caller, file, name, progress)
    with memory.locked():
        memory.save(memory.load().with_project(context.client.identity, name))
    context.show(reply, lambda: _loaded(reply))
    for function in reply.missing:
        context.note(f"Not installed here: {function}. Its values can be read, its instances cannot run.")


def _loaded(reply: LoadReply) -> Iterator[str]:
    counts = f"{counted(reply.instances, 'instance')}, {counted(reply.jobs, 'job')}, {counted(reply.files, 'file')}"
    yield f"Loaded project {reply.project} of {reply.origin}: {counts}. It is the current project."
    if reply.gone:
        gone = counted(reply.gone, "more file")
        yield f"Of {gone} only the record is left: the content was deleted before it was saved."
    yield "It is held. Let it run with: cpcc activate"


@command("save-state")
@pass_context
def save_state_command(context: Context) -> None:
    """Does nothing, and succeeds: what a server has acknowledged is saved already, always."""
    info = context.client.server_info()
    context.show(
        {"saved": True}, lambda: [f"The state of {info.hostname} is always saved: nothing has to be done for it."]
    )  # fmt: skip
