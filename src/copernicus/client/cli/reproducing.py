"""Commands that run a job again: on the workers to compare, or anywhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from copernicus.client.cli.context import Context, command, pass_context
from copernicus.client.output import text
from copernicus.errors import UsageError
from copernicus.model.counts import counted
from copernicus.program import File
from copernicus.wire import messages as m

POLL_S = 20.0


@command("reproduce")
@click.argument("target", metavar="PATH|JOB")
@click.option("--no-wait", is_flag=True, help="Begin it, and say its number, instead of waiting for its end.")
@pass_context
def reproduce_command(context: Context, target: str, no_wait: bool) -> None:
    """Run a job, or what an instance last did, again, and compare what comes out: identical, within error, or differs.

    It is a job like any other for the workers, but nothing of it becomes part of the project. TARGET may also be the number of
    a reproduction that was begun before. Exit status 0 for identical and within error, 1 otherwise.
    """
    from copernicus.client.project import new_request_id

    caller, project = context.client.caller, context.project_name
    found = caller.call(m.ReproduceRequest(project, target, new_request_id()), timeout_s=600.0)
    told = ""
    while found.state in ("waiting", "running") and not no_wait:
        if found.state == "waiting" and found.why and found.why != told:
            told = found.why
            context.note(text.clean(told))
        found = caller.call(m.ReproductionRequest(project, found.job, POLL_S), timeout_s=POLL_S + 60)
    context.show(found, lambda: _lines(found))
    if not no_wait and found.verdict not in ("identical", "within error"):
        click.get_current_context().exit(1)


def _lines(found: m.Reproduction) -> Iterator[str]:
    what = f"job {found.reproduces} of {found.path}" if found.reproduces else found.path
    if found.state in ("waiting", "running"):
        yield f"Job {found.job} runs {what} again. What came of it: cpcc reproduce {found.job}"
        return
    if found.state == "failed":
        yield f"{what}: it failed when it was run again (job {found.job})"
        yield from text.fitting(found.why, "  ")
    else:
        yield text.clean(f"{what}: {found.verdict}")
        for one in found.outputs:
            yield text.clean(f"  {one.output}: {one.verdict}" + (f" ({one.where})" if one.where else ""))
    for word, run in (("then", found.then), ("now", found.now)):
        if run is not None:
            yield text.clean(f"{word}: {_ran(run)}")


def _ran(run: m.Run) -> str:
    where = f"worker {run.worker} on {run.hostname}" if run.hostname else f"worker {run.worker}"
    program = f"version {run.version}" if run.version else "version unknown"
    if run.execution.program_hash:
        program += f", program {run.execution.program_hash[:16]}"
    return f"{where}, {program}, {counted(run.cores, 'core')}, {text.moment(run.started_at)}"


@command("fetch")
@click.argument("job")
@click.argument("folder", metavar="DIR", type=File())
@pass_context
def fetch_command(context: Context, job: str, folder: Path) -> None:
    """Write the inputs of a job into DIR, and a script run.sh that runs it there without any server.

    Every file is checked. The script says which program and version ran, with which environment, and which outputs come out.
    """
    from copernicus.client.cli.progress import bar
    from copernicus.client.fetching import fetch

    if not (job.isascii() and job.isdecimal() and len(job) < 19):
        raise UsageError(f"{job!r} is not the number of a job.", "`cpcc log PATH` names those of an instance.")
    with bar(f"Fetching job {job}") as progress:
        written = fetch(context.client.caller, context.project_name, int(job), folder, progress)
    context.show([str(path) for path in written], lambda: [f"{path}" for path in written])
