"""Commands about jobs and workers."""

from __future__ import annotations

from collections.abc import Iterator

from copernicus.client.cli.context import Context, command, pass_context
from copernicus.client.output import text


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


@command("workers")
@pass_context
def workers_command(context: Context) -> None:
    """List the workers that have been heard of lately, and what they can run."""
    rows = context.client.workers()

    def lines() -> Iterator[str]:
        head = ("HOST", "WORKER", "PLATFORM", "CORES", "JOBS", "HEARD FROM", "PROJECT", "EXECUTABLES")
        cells = [
            (row.offer.hostname, row.offer.worker, row.offer.platform, f"{row.cores_used} of {row.offer.cores}", str(row.jobs),
             "lost" if row.is_lost else _ago(row.seen_s), row.offer.project or "",
             "\n".join(f"{program.name} {program.version}" for program in row.offer.executables) or "none")
            for row in rows
        ]  # fmt: skip
        yield from text.table(head, cells, right="JOBS") or [
            "No worker has been heard of lately. Start one with: cpc-worker -c client.cnx smp"
        ]

    context.show(rows, lines)


def _ago(seconds: float | None) -> str:
    return "" if seconds is None else f"{text.duration(seconds)} ago"
