"""Commands about workflow files: a whole network in one file, there and back."""

from __future__ import annotations

from pathlib import Path

import click

from copernicus.client import memory
from copernicus.client.cli.context import Context, change_command, command, pass_context
from copernicus.client.cli.transactions import show_preview, staged_before
from copernicus.errors import UsageError
from copernicus.program import File
from copernicus.wire import messages as m


@change_command("upload")
@click.argument("file", type=File())
@pass_context
def upload_command(context: Context, file: Path) -> None:
    """Apply the workflow FILE (YAML, or XML of the original) to the project, as one transaction.

    Functions, instances, values and connections that it declares are made: all of them, or none. Local files that it names,
    relative to its own folder, are sent along. Instances are held until: cpcc activate
    """
    from copernicus.client.cli.progress import bar
    from copernicus.client.workflows import upload_workflow

    project, staging = context.project, context.staging
    with bar(f"Sending the files of {file.name}") as progress:
        if context.is_preview:
            before = staged_before(context)
            reply = upload_workflow(project, file, staged=before, is_check=True, progress=progress)
            show_preview(context, [*before, *reply.edits])
            return
        if staging.load() is None:
            reply = upload_workflow(project, file, progress=progress)
            context.show(reply, lambda: [f"Uploaded {file.name}: {_counts(reply)}. Let it run with: cpcc activate"])
            return
        with memory.locked():
            reply = upload_workflow(project, file, staged=staging.opened().edits, is_check=True, progress=progress)
            staged = staging.add(*reply.edits, seq=reply.project_seq)
    context.show(
        {"staged": len(staged.edits), "made": reply.made},
        lambda: [f"Staged ({len(staged.edits)}): upload {file.name}, {_counts(reply)}"],
    )


@command("export")
@click.option("-o", "--output", type=File(), metavar="FILE", help="Where to write it, instead of stdout.")
@pass_context
def export_command(context: Context, output: Path | None) -> None:
    """Write the project's network as a workflow file: its own functions, instances, values and connections.

    `upload` makes the same network of it, in any project of the same server. Files stand in it by name and hash.
    """
    reply = context.client.caller.call(m.ExportWorkflowRequest(context.project_name))
    if output is not None:
        try:
            output.write_text(reply.text, encoding="utf-8")
        except OSError as error:
            raise UsageError(f"{output} cannot be written: {error.strerror}.", "Name another place with -o.") from None
        context.show({"file": str(output), "left_out": reply.left_out}, lambda: [f"Wrote {output}."])
    else:
        context.show(reply, lambda: [reply.text.rstrip("\n")])
    for one in reply.left_out:
        context.note(f"Left out, because a controller makes its source: {one}")


def _counts(reply: m.UploadWorkflowReply) -> str:
    made = [f"{count} {noun if count != 1 else noun[:-1]}" for noun, count in reply.made.items() if count]
    return ", ".join(made) or "nothing"
