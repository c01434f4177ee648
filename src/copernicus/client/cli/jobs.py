"""Commands about jobs and workers."""

from __future__ import annotations

from collections.abc import Iterator

import click

from copernicus.client.cli.context import Context, change_command, command, pass_context
from copernicus.client.output import text
from copernicus.model.gpus import describe_gpus
from copernicus.model.jobs import JobState
from copernicus.wire import messages as m

SHOWN_JOBS = 100
STATES: tuple[JobState, ...] = ("blocked", "queued", "leased", "done", "failed", "cancelled")


@command("queue")
@pass_context
def queue_command(context: Context) -> None:
    """List the jobs that wait for a worker, the next one first: of all projects, or of the one named with -p."""
    rows = context.client.queue(context.project_flag or "")

    def lines() -> Iterator[str]:
        head = ("JOB", "PROJECT", "INSTANCE", "EXECUTABLE", "STATE", "PRIORITY", "WAITED", "WHY")
        cells = [
            (str(row.job), row.project, row.path, row.executable, row.state, str(row.priority), text.duration(row.waited_s),
             row.why)
            for row in rows
        ]  # fmt: skip
        yield from text.table(head, cells, right="JOB PRIORITY WAITED") or ["No jobs wait."]

    context.show(rows, lines)


@command("running")
@pass_context
def running_command(context: Context) -> None:
    """List the jobs that workers have: of all projects, or of the one named with -p."""
    rows = context.client.running(context.project_flag or "")

    def lines() -> Iterator[str]:
        head = ("JOB", "PROJECT", "INSTANCE", "EXECUTABLE", "ATTEMPT", "CORES", "HOST", "WORKER", "RUNS FOR", "HEARD FROM", "")
        cells = [
            (str(row.job), row.project, row.path, row.executable, str(row.attempt), str(row.cores), row.hostname, row.worker,
             text.duration(row.running_s), _ago(row.heartbeat_s), row.why)
            for row in rows
        ]  # fmt: skip
        yield from text.table(head, cells, right="JOB ATTEMPT CORES") or ["No jobs run."]

    context.show(rows, lines)


@command("jobs")
@click.argument("path", default="", metavar="[PATH]")
@click.option(
    "--state", "states", type=click.Choice(STATES), multiple=True, help="Only jobs in this state; may be said several times."
)
@click.option("--before", type=click.IntRange(min=1), default=None, metavar="JOB", help="Only jobs with smaller numbers.")
@click.option("-a", "--all", "is_all", is_flag=True, help=f"All of them, also where there are more than {SHOWN_JOBS}.")
@pass_context
def jobs_command(context: Context, path: str, states: tuple[JobState, ...], before: int | None, is_all: bool) -> None:
    """List all jobs of the project, or those of what is at and below PATH, ended ones too, the newest first."""
    project = context.project
    page = project.jobs_page(path, states, before=before or 0, limit=SHOWN_JOBS)
    rows = page.jobs
    while rows and (is_all or context.is_json) and (more := project.jobs_page(path, states, before=rows[-1].job).jobs):
        rows = [*rows, *more]

    def lines() -> Iterator[str]:
        head = ("JOB", "INSTANCE", "EXECUTABLE", "STATE", "ATTEMPT", "CORE TIME", "ENDED", "WHY")
        cells = [
            (str(row.job), row.path, row.executable, row.state, str(row.attempt), text.duration(row.core_s),
             text.moment(row.ended_at) if row.ended_at else "", row.why.partition("\n")[0])
            for row in rows
        ]  # fmt: skip
        yield from text.table(head, cells, right="JOB ATTEMPT") or ["There are no such jobs."]
        if len(rows) == SHOWN_JOBS < page.total:
            yield f"There are {page.total} in all. Older ones: cpcc jobs --before {rows[-1].job} {path}".rstrip()

    context.show(rows, lines)


@command("heartbeats")
@pass_context
def heartbeats_command(context: Context) -> None:
    """List the workers, the jobs that each has, and when a sign of life of each came last."""
    running = context.client.running(context.project_flag or "")
    workers = [(row, [job for job in running if job.worker == row.offer.worker]) for row in context.client.workers()]

    def lines() -> Iterator[str]:
        head = ("WORKER", "HOST", "HEARD FROM", "JOB", "PROJECT", "INSTANCE", "ATTEMPT", "HEARD FROM", "")
        cells: list[tuple[str, ...]] = []
        for row, jobs in workers:
            cells.append((row.offer.worker, row.offer.hostname, _heard(row), *_job_cells(jobs[0] if jobs else None)))
            cells += [("", "", "", *_job_cells(job)) for job in jobs[1:]]
        yield from text.table(head, cells, right="JOB ATTEMPT") or ["No worker has been heard of lately."]

    context.show([{"worker": row, "jobs": jobs} for row, jobs in workers], lines)


def _job_cells(job: m.JobRow | None) -> tuple[str, ...]:
    if job is None:
        return ("", "", "no jobs", "", "", "")
    return (str(job.job), job.project, job.path, str(job.attempt), _ago(job.heartbeat_s), job.why)


@change_command("stop")
@click.argument("job", type=click.IntRange(min=1))
@pass_context
def stop_command(context: Context, job: int) -> None:
    """Stop JOB (a number): it ends as failed, and its last checkpoint stays. It goes on with: cpcc rerun JOB"""
    _done(context, context.project.stop_job(job, is_check=context.is_preview))


@change_command("rerun")
@click.argument("job", type=click.IntRange(min=1))
@pass_context
def rerun_command(context: Context, job: int) -> None:
    """Give JOB (a number) a fresh budget of attempts; one that failed is queued again, from its last checkpoint.

    From nothing: cpcc force-rerun INSTANCE
    """
    _done(context, context.project.rerun_job(job, is_check=context.is_preview))


@change_command("command-failed")
@click.argument("job", type=click.IntRange(min=1))
@pass_context
def command_failed_command(context: Context, job: int) -> None:
    """Count the attempt at JOB (a number) that is under way as lost: the job is queued again, from its last checkpoint.

    What the worker that has it may still say counts no more.
    """
    _done(context, context.project.command_failed(job, is_check=context.is_preview))


def _done(context: Context, note: str) -> None:
    context.show({"note": note}, lambda: [note])


@command("workers")
@pass_context
def workers_command(context: Context) -> None:
    """List the workers that have been heard of lately, and what they can run."""
    rows = context.client.workers()

    def lines() -> Iterator[str]:
        head = ("HOST", "WORKER", "PLATFORM", "CORES", "GPUS", "JOBS", "HEARD FROM", "PROJECT", "EXECUTABLES")
        cells = [
            (row.offer.hostname, row.offer.worker, row.offer.platform, f"{row.cores_used} of {row.offer.cores}",
             describe_gpus(row.offer.gpu_devices), str(row.jobs), _heard(row), row.offer.project or "",
             "\n".join(f"{program.name} {program.version}" for program in row.offer.executables) or "none")
            for row in rows
        ]  # fmt: skip
        yield from text.table(head, cells, right="JOBS") or [
            "No worker has been heard of lately. Start one with: cpc-worker -c client.cnx smp"
        ]
        for host, why in sorted({row.offer.hostname: row.quarantine for row in rows if row.quarantine}.items()):
            yield from text.fitting(f"{host} is in quarantine because {why} (cpcc quarantine release {host})")

    context.show(rows, lines)


def _heard(row: m.WorkerRow) -> str:
    """When a worker was last heard of, and whether it gets jobs."""
    heard = "lost" if row.is_lost else _ago(row.seen_s)
    return f"{heard}, in quarantine" if row.quarantine else heard


def _ago(seconds: float | None) -> str:
    return "" if seconds is None else f"{text.duration(seconds)} ago"
