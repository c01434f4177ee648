"""Failure cards: a job that failed, on one page, with what to do next."""

from __future__ import annotations

import re

from copernicus.dataflow.edits import find_instance
from copernicus.dataflow.network import Instance, Network
from copernicus.dataflow.paths import parse_path
from copernicus.dataflow.status import is_retired, own_error
from copernicus.server.projects.ports import Jobs, find_job
from copernicus.server.projects.states import path_of_job
from copernicus.server.storage.abc import SUSPICIOUS, AttemptRow, JobRecord
from copernicus.wire import messages as m

LAST_LINES = 50
MOST_ATTEMPTS = 12
_EVIDENCE = re.compile(r"\n(?:attempt \d+, worker |last lines of std).*", re.DOTALL)
"""What stands below the reason of a failure, and elsewhere on the card."""


def failure_card(network: Network, project: str, jobs: Jobs, target: str) -> m.FailureCard | None:
    """The card of a failed job (by number), or of the first job that failed at or below an instance; None: there is none.

    Raise `UnknownPath`.
    """
    job = find_job(jobs, project, target)
    if job is None:
        path = parse_path(target)
        job = None if path.members else _failed_at(network, jobs, find_instance(network, path.names))
    return card_of(job, path_of_job(network, job)) if job is not None and job.state == "failed" else None


def card_of(job: JobRecord, path: str) -> m.FailureCard:
    """The card of a failed job, whose instance is called `path`."""
    rows = job.attempts
    printed = next((row for row in reversed(rows) if row.stdout_tail.strip() or row.stderr_tail.strip()), None)
    ran = next((row for row in reversed(rows) if row.execution.program), None)
    program = f"{' '.join(ran.execution.program)} ({ran.version or 'no version'})" if ran is not None else ""
    return m.FailureCard(
        job=job.id,
        path=path,
        command=[job.description.executable, *job.description.arguments],
        why=_EVIDENCE.sub("", job.why),
        attempts=[_attempt(row) for row in rows[-MOST_ATTEMPTS:]],
        total=len(rows),
        program=program,
        stdout=_last(printed.stdout_tail) if printed is not None else "",
        stderr=_last(printed.stderr_tail) if printed is not None else "",
        printed_by=printed.attempt if printed is not None else 0,
        next=_next(job, path),
    )


def _attempt(row: AttemptRow) -> m.CardAttempt:
    seconds = max(0.0, row.ended_at - row.started_at) if row.ended_at is not None else 0.0
    return m.CardAttempt(
        row.attempt, row.hostname, row.worker, row.cores, seconds, row.outcome, row.kind, row.exit_status, row.error
    )


def _next(job: JobRecord, path: str) -> list[str]:
    begins = "from its last checkpoint" if job.checkpoint else "from the beginning"
    steps = [f"Try again, {begins}: cpcc rerun {job.id}"]
    if not job.stopped_by and job.attempts and job.attempts[-1].outcome in SUSPICIOUS:
        hosts = sorted({row.hostname for row in job.attempts if row.outcome in SUSPICIOUS and row.hostname})
        steps.insert(0, f"Look after {', '.join(hosts)}: was there too little memory or disk for it? See: cpcc workers")
    else:
        steps.insert(0, f"Change what it is given; it is then done anew by itself. What that is: cpcc ls {path}")
    if job.checkpoint:
        steps.append(f"Begin from nothing: cpcc force-rerun {path}")
    steps.append(f"Fetch all that it needs, to run it by hand: cpcc fetch {job.id} DIR")
    return steps


def _last(text: str) -> str:
    return "\n".join(text.rstrip().splitlines()[-LAST_LINES:])


def _failed_at(network: Network, jobs: Jobs, top: Instance) -> JobRecord | None:
    """The job of the first instance at or below `top` that is in error because of one."""
    for one in network.subtree(top):
        evaluation = network.evaluations.get(one.key)
        if evaluation is not None and evaluation.job is not None and own_error(network, one) and not is_retired(network, one):
            return jobs.record(evaluation.job)
    return None
