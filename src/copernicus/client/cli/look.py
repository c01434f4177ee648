"""Commands that look: instances, values, files, reasons, history, modules."""

from __future__ import annotations

from collections.abc import Iterator

import click

from copernicus.client.cli.context import Context, command, pass_context
from copernicus.client.output import listing, past, text
from copernicus.client.project import rows_in
from copernicus.model.functions import FunctionSchema

SHOWN_ROWS = 1000


@command("ls")
@click.argument("path", default="", metavar="[PATH]")
@click.option("-a", "--all", "is_all", is_flag=True, help=f"All rows, also where there are more than {SHOWN_ROWS}.")
@pass_context
def ls_command(context: Context, path: str, is_all: bool) -> None:
    """List the instances of the project, an instance (mdrun), its inputs (mdrun:in), or what stands at a PATH.

    With --json always all of it.
    """
    project = context.project
    reply = project.list(path) if is_all or context.is_json else project.list_page(path, limit=SHOWN_ROWS)
    left = reply.total - rows_in(reply)

    def lines() -> Iterator[str]:
        yield from listing.place(reply)
        if left > 0:
            yield f"… and {left} more: cpcc ls --all {reply.path}".rstrip()

    context.show(reply, lines)


@command("get")
@click.argument("path")
@click.option("-v", "--verbose", "is_verbose", is_flag=True, help="Say where it came from, too.")
@click.option("--staged", "is_staged", is_flag=True, help="As it will be after the commit of the open transaction.")
@pass_context
def get_command(context: Context, path: str, is_verbose: bool, is_staged: bool) -> None:
    """Show the value at PATH. With --json exactly; files are shown there by content hash, size and name.

    What a job that has not ended had with its last checkpoint is shown as provisional (with --json: by -v, and by ls).

    With -v also where it came from: who, what call, or what job on which worker. With --json these are then the members
    path, type, value, is_stale, origin, provisional.
    """
    reply = context.project.get_reply(path, context.staging.opened().edits if is_staged else ())
    origin = context.project.origin(path) if is_verbose else ()
    stale = "  (stale: it is being made anew)" if reply.is_stale else ""

    def lines() -> Iterator[str]:
        yield text.shown(f"{reply.path}: {text.value(reply.value, reply.type)}{stale}")
        if reply.provisional is not None:
            yield text.shown(f"  {listing.provisional(reply.provisional, reply.type)}")
        if is_verbose:
            yield from past.standing(origin, reply.path)

    data = {
        "path": reply.path, "type": reply.type, "value": reply.value, "is_stale": reply.is_stale, "origin": origin,
        "provisional": reply.provisional,
    }  # fmt: skip
    context.show(data if is_verbose else reply.value, lines)


@command("status")
@click.argument("name", default="", metavar="[PROJECT]")
@pass_context
def status_command(context: Context, name: str) -> None:
    """Show a project in numbers: instances and jobs by state, what stands at its top, what is in error."""
    if name:
        context.project_flag = name
    from copernicus.client.cli.transactions import waiting

    reply = context.project.status()

    def lines() -> Iterator[str]:
        yield from listing.status(reply)
        open_transaction = waiting(context)
        if open_transaction:
            yield open_transaction

    context.show(reply, lines)


@command("why")
@click.argument("target", metavar="PATH|JOB")
@pass_context
def why_command(context: Context, target: str) -> None:
    """Say why an instance or a job does not run, why it failed, or why it is run again.

    Of a place (mdrun:out.xtc[0]) also where its value came from.
    """
    found = context.project.why_reply(target)

    def lines() -> Iterator[str]:
        yield from listing.why(found)
        if found.origin:
            yield text.clean(f"{target} came from:")
            yield from past.standing(found.origin, target)
        elif not found.lines:
            yield "There is nothing to say about it."

    context.show({"lines": found.lines, "origin": found.origin} if found.origin else found.lines, lines)


@command("log")
@click.argument("target", default="", metavar="[PATH|JOB]")
@click.option("-f", "--follow", "is_followed", is_flag=True, help="Show what the job prints while it runs, until it ends.")
@click.option("-n", "--limit", type=click.IntRange(1, 10_000), help="How many things, the newest ones (by default 1000).")
@pass_context
def log_command(context: Context, target: str, is_followed: bool, limit: int | None) -> None:
    """Show what happened to the project, an instance or a job: attempts, errors, last lines of output.

    With -f: what the running job of PATH, or JOB, prints, and the files that it lets people watch, over all its attempts.
    """
    if is_followed:
        from copernicus.client.cli.following import show

        show(context, target)
        return
    reply = context.project.log_page(target, limit or 0)

    def lines() -> Iterator[str]:
        if reply.before:
            yield "There is more before this (see --limit)."
        yield from listing.log(reply)

    context.show(reply.entries, lines)


@command("info")
@click.argument("name", metavar="MODULE[::FUNCTION]")
@pass_context
def info_command(context: Context, name: str) -> None:
    """Describe a module with its functions, or a function with its inputs and outputs.

    `project` stands for the functions of the current project's own, which came with workflow files.
    """
    if ":" in name and "::" not in name:
        name = name.replace(":", "::", 1)
    is_own = name.partition(":")[0] == "project"
    found = context.client.info(name, context.project_name if is_own else "")
    context.show(found, lambda: listing.function(found) if isinstance(found, FunctionSchema) else listing.module(found))


@command("list-modules")
@pass_context
def list_modules_command(context: Context) -> None:
    """List the modules of the server; one that could not be loaded is shown with its error."""
    modules = context.client.modules()
    context.show(modules, lambda: listing.modules(modules))
