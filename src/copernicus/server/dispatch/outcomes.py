"""What becomes of a job when an attempt begins or ends: plain functions from record to record.

Failures of three kinds are counted apart. *Infrastructure*: an attempt that ended for a reason that is not the job's uses up
nothing. *Program*: the command's rules judge, and `program_failures` in a row end the job. *Suspicions* (`lost_workers`): a
worker was lost with the job, or could not do it, and nobody knows yet whose fault that is.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from msgspec.structs import replace

from copernicus.model.jobs import JobState, Report, StagedFile, WorkerOffer
from copernicus.server.storage.abc import SUSPICIOUS, AttemptRow, JobRecord

MOST_PROGRAM_FAILURES = 4
"""So many attempts in a row that failed without a newer checkpoint end a job."""
MOST_OVERTIMES = 4
"""So many attempts in a row that were stopped at their wall time and had got no further end a job."""
LOST_WORKERS_ALONE, LOST_WORKERS_POISON = 2, 3
"""After so many lost workers a job gets a worker to itself; after so many it fails."""
MOST_FORGIVEN = 10
"""A lost worker that speaks again had not died; after so many losses of one job that counts no more."""
LAST_LINES = 50
_TAIL_BYTES = 16 * 1024
_ATTEMPTS_WITH_OUTPUT = 5


class Ended(msgspec.Struct, frozen=True):
    """How a job stands after an attempt has ended. `error` is set when it failed."""

    job: JobRecord
    error: str = ""


def leased(job: JobRecord, offer: WorkerOffer, bundle: str, cores: int, now: float, floor: int = 0) -> JobRecord:
    """The next attempt begins, at the worker that made `offer`; its number is above `floor`."""
    attempt = max(job.attempt, floor) + 1
    row = AttemptRow(
        attempt, offer.worker, offer.hostname, started_at=now, cores=cores, platform=offer.platform, site=offer.site,
        gpus=job.description.resources.gpus,
    )  # fmt: skip
    return replace(
        job, state="leased", why="", attempt=attempt, worker=offer.worker, bundle=bundle, cores=cores,
        attempts=(*_without_output(job.attempts), row), checkpoint_number=0,
    )  # fmt: skip


def reported(job: JobRecord, report: Report, now: float) -> Ended:
    """The current attempt has ended, and its worker said how."""
    row = _current(job)
    row = replace(
        row,
        ended_at=now,
        outcome=report.outcome,
        core_s=max(0.0, report.wall_s) * job.cores,
        gpu_s=max(0.0, report.wall_s) * row.gpus,
        execution=report.execution,
        exit_status=report.exit_status,
        version=report.version,
        error=_cut(report.error),
        stdout_tail=_cut(report.stdout_tail),
        stderr_tail=_cut(report.stderr_tail),
    )
    match report.outcome:
        case "finished":
            # Only a job of which there may be a longer one is gone on from after its end.
            last = report.checkpoint or (job.checkpoint if job.description.until else ())
            return Ended(replace(_ended(job, row, "done"), checkpoint=last))
        case "interrupted":
            overtimes = 0 if _has_progress(job, report) else job.overtimes
            return Ended(_again(replace(job, overtimes=overtimes), row, report.checkpoint))
        case _ if report.is_workers_fault:
            return _suspected(_again(job, replace(row, outcome="worker failed"), report.checkpoint))
        case _ if job.is_superseded or job.stopped_by:
            return Ended(_again(job, row, report.checkpoint))
        case "retry" if report.is_overtime:
            return _overtime(job, replace(row, outcome="wall time"), report)
        case "retry":
            return _failed_once(job, row, report)
        case _:
            return _failed(job, row, report.error or "The program failed.", report.checkpoint)


def interrupted(job: JobRecord, now: float, outcome: str, error: str = "") -> JobRecord:
    """The current attempt has ended for a reason that is not the job's; `outcome` names it. The next follows at once."""
    row = _current(job)
    wall_s = max(0.0, now - row.started_at)
    row = replace(row, ended_at=now, outcome=outcome, error=error, core_s=wall_s * job.cores, gpu_s=wall_s * row.gpus)
    return _again(job, row, ())


def lost(job: JobRecord, now: float, silent_s: float, declared_by: str = "") -> Ended:
    """The worker of the current attempt was not heard of for `silent_s`, or a person says that the attempt is lost."""
    error = f"declared lost by {declared_by}" if declared_by else f"not heard of for {silent_s:.0f} s"
    return _suspected(interrupted(job, now, "worker lost", error))


def _suspected(again: JobRecord) -> Ended:
    """An attempt has ended that makes the job a suspect; `again` is how it stands otherwise."""
    if again.state not in ("queued", "blocked"):
        return Ended(again)
    count = again.lost_workers + 1
    again = replace(again, lost_workers=count)
    if count < LOST_WORKERS_POISON:
        return Ended(again)
    rows = [row for row in again.attempts if row.outcome in SUSPICIOUS]
    if all(row.outcome == "worker lost" for row in rows):
        lines = [f"{count} workers were lost while they ran this job; it is not given to another one."]
    else:
        lines = [f"{count} times a worker could not do this job, or was lost with it; it is not given to another one."]
    for row in rows:
        lines.append(f"attempt {row.attempt}: worker {row.worker} on {row.hostname or 'an unknown host'}, {row.error}")
    if len(suspect_hosts(again)) == 1:
        lines.append(f"No other host than {rows[-1].hostname} could be tried.")
    lines.append("Does the job need more memory than the workers have?")
    error = "\n".join(lines)
    return Ended(replace(again, state="failed", why=error), error)


def forgiven(job: JobRecord, attempt: int) -> JobRecord | None:
    """A worker that was lost with this attempt has spoken again: the record without the suspicion, None when it stays."""
    rows = [row.attempt for row in job.attempts if row.outcome == "worker lost"]
    if job.lost_workers and attempt in rows and len(rows) <= MOST_FORGIVEN:
        return replace(job, lost_workers=job.lost_workers - 1)
    return None


def suspect_hosts(job: JobRecord) -> tuple[str, ...]:
    """The hosts of the attempts that made the job a suspect, as far as they still count."""
    if not job.lost_workers:
        return ()
    hosts = [row.hostname for row in job.attempts if row.outcome in SUSPICIOUS]
    return tuple(sorted({host for host in hosts[-job.lost_workers :] if host}))


def is_suspicion(job: JobRecord) -> bool:
    """Say whether the attempt that has just ended makes the job and its host suspects because the worker could not do it."""
    return job.attempts[-1].outcome == "worker failed"


def stopped(job: JobRecord, who: str) -> JobRecord:
    """A person has stopped a job that no worker has."""
    return replace(job, state="failed", why=f"stopped by {who}", stopped_by=who, waits_for=0)


def spent_core_s(job: JobRecord) -> float:
    """Core-seconds of all attempts."""
    return sum(row.core_s for row in job.attempts)


def last_lines(text: str, count: int = LAST_LINES) -> str:
    """The last `count` lines of `text`."""
    return "\n".join(text.rstrip().splitlines()[-count:])


def evidence(message: str, row: AttemptRow) -> str:
    """A failure in words: the message, the exit status, and the last lines of what the program wrote."""
    parts = [message.rstrip()]
    if row.exit_status not in (None, 0) and "exit status" not in message:
        parts.append(f"exit status {row.exit_status}")
    where = f"worker {row.worker} on {row.hostname}" if row.hostname else f"worker {row.worker}"
    parts.append(f"attempt {row.attempt}, {where}")
    name, tail = ("stderr", row.stderr_tail) if row.stderr_tail.strip() else ("stdout", row.stdout_tail)
    if tail.strip():
        parts.append(f"last lines of {name}:\n{last_lines(tail)}")
    return "\n".join(parts)


def _failed_once(job: JobRecord, row: AttemptRow, report: Report) -> Ended:
    failures = 1 if _has_progress(job, report) else job.program_failures + 1
    if failures >= MOST_PROGRAM_FAILURES:
        message = f"Given up after {failures} attempts without progress. {report.error}"
        return _failed(replace(job, program_failures=failures), row, message, report.checkpoint)
    again = replace(_again(job, row, report.checkpoint), program_failures=failures)
    if report.cores_max is not None:
        again = replace(again, cores_max=max(job.description.resources.cores_min, report.cores_max))
    return Ended(again)


def _overtime(job: JobRecord, row: AttemptRow, report: Report) -> Ended:
    """Its wall time is no failure of the program, so it has a count of its own: one that never gets anywhere must end."""
    count = job.overtimes + 1
    job = replace(job, overtimes=count)
    if count < MOST_OVERTIMES:
        return Ended(_again(job, row, report.checkpoint))
    limit_s = job.description.resources.wall_time_s or 0.0
    message = f"{count} attempts in a row were stopped at the wall time of {limit_s:g} s and had got no further."
    return _failed(job, row, f"{message} Give it more time, or let it write checkpoints.", report.checkpoint)


def _has_progress(job: JobRecord, report: Report) -> bool:
    return bool(report.checkpoint) and _contents(report.checkpoint) != _contents(job.checkpoint)


def _failed(job: JobRecord, row: AttemptRow, message: str, checkpoint: tuple[StagedFile, ...]) -> Ended:
    error = evidence(message, row)
    return Ended(replace(_ended(job, row, "failed"), why=error, checkpoint=checkpoint or job.checkpoint), error)


def _again(job: JobRecord, row: AttemptRow, checkpoint: tuple[StagedFile, ...]) -> JobRecord:
    state, why = _follows(job)
    return replace(_ended(job, row, state), why=why, checkpoint=checkpoint or job.checkpoint)


def _follows(job: JobRecord) -> tuple[JobState, str]:
    """What an attempt that did not finish leads to, and why."""
    if job.is_superseded:
        return "cancelled", ""
    if job.stopped_by:
        return "failed", f"stopped by {job.stopped_by}"
    return ("blocked" if job.why else "queued"), job.why


def _ended(job: JobRecord, row: AttemptRow, state: JobState) -> JobRecord:
    attempts = (*job.attempts[:-1], row)
    return replace(
        job, state=state, why="", worker="", bundle="", cores=0, attempts=attempts, is_superseded=False, stop="", stopped_by="",
        provisional=None if state == "done" else job.provisional,
    )  # fmt: skip


def _current(job: JobRecord) -> AttemptRow:
    if job.attempts and job.attempts[-1].attempt == job.attempt:
        return job.attempts[-1]
    return AttemptRow(job.attempt, job.worker, cores=job.cores)


def _without_output(rows: tuple[AttemptRow, ...]) -> tuple[AttemptRow, ...]:
    """Keep every attempt, but the output of the newest few only: a job may be interrupted for weeks."""
    old = len(rows) - _ATTEMPTS_WITH_OUTPUT
    return tuple(
        replace(row, stdout_tail="", stderr_tail="") if index < old and (row.stdout_tail or row.stderr_tail) else row
        for index, row in enumerate(rows)
    )


def _contents(files: Iterable[StagedFile]) -> set[tuple[str, str]]:
    return {(staged.name, staged.file.blob) for staged in files}


def _cut(text: str) -> str:
    return text if len(text) <= _TAIL_BYTES else text[-_TAIL_BYTES:]
