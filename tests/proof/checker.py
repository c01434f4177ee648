"""The checker: judges an end state by the journal of what was acknowledged. It runs offline and asks no program."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Literal

from tests.proof.evidence import Evidence
from tests.proof.journal import Journal


@dataclass(frozen=True)
class Finding:
    """Something that must not be. lost: acknowledged and not there; doubled: more than one effect; stuck: never ended;
    unexpected: there, and never asked for, or other than it must be."""

    kind: Literal["lost", "doubled", "stuck", "unexpected"]
    what: str


MOST_LOST_WORKERS = 3
"""A job that has cost so many workers is given to no further one."""


def judge_values(journal: Journal, inputs: list[int], outputs: list[int | None], times: int = 2) -> list[Finding]:
    """Judge an array and what came of it: each acknowledged value is there once, in the order of acknowledgement, and its
    result is so many `times` the value."""
    findings = []
    counts = Counter(inputs)
    for operation in journal.operations:
        if operation.seq is not None and not counts[operation.value]:
            findings.append(Finding("lost", f"value {operation.value}, acknowledged as transaction {operation.seq}"))
    findings += [Finding("doubled", f"value {value} stands {count} times") for value, count in counts.items() if count > 1]
    intended = {operation.value for operation in journal.operations}
    findings += [Finding("unexpected", f"value {value} that nobody set") for value in inputs if value not in intended]
    places = {value: place for place, value in enumerate(inputs)}
    order = [
        operation for operation in sorted(journal.acknowledged(), key=lambda row: row.seq or 0) if operation.value in places
    ]
    if [places[operation.value] for operation in order] != sorted(places[operation.value] for operation in order):
        findings.append(Finding("unexpected", "values do not stand in the order of their transactions"))
    for index, value in enumerate(inputs):
        result = outputs[index] if index < len(outputs) else None
        if result is None:
            findings.append(Finding("stuck", f"index {index} has no result"))
        elif result != times * value:
            findings.append(Finding("unexpected", f"index {index} is {result}, {times} times {value} is {times * value}"))
    return findings


def judge_book(evidence: Evidence, jobs_wanted: int | None = None) -> list[Finding]:
    """Judge the book: every job ended, one accepted result for each, attempts numbered upwards, a log without gaps."""
    findings = []
    for job in evidence.jobs:
        finished = [number for number, outcome in job.attempts if outcome == "finished"]
        numbers = [number for number, _ in job.attempts]
        if job.state in ("queued", "leased", "blocked"):
            findings.append(Finding("stuck", f"job {job.job} is {job.state}"))
        if len(finished) > 1:
            findings.append(Finding("doubled", f"job {job.job} has accepted results of attempts {finished}"))
        if job.state == "done" and not finished:
            findings.append(Finding("lost", f"job {job.job} is done, and no attempt of it finished"))
        if job.state == "done" and not evidence.filings.get(job.key):
            findings.append(Finding("lost", f"job {job.job} is done, and its result was never filed"))
        if numbers != sorted(set(numbers)):
            findings.append(Finding("doubled", f"job {job.job} has attempts {numbers}"))
    for key, count in evidence.filings.items():
        if count > max(1, evidence.begun.get(key, 0)):
            findings.append(
                Finding("doubled", f"{count} results filed for key {key[:12]}, begun {evidence.begun.get(key, 0)} times")
            )
    for key, count in Counter(job.key for job in evidence.jobs).items():
        if count > 1:
            findings.append(Finding("doubled", f"{count} jobs for key {key[:12]}"))
    if evidence.seqs != list(range(1, len(evidence.seqs) + 1)):
        findings.append(Finding("lost", "the log has gaps"))
    if jobs_wanted is not None and len(evidence.jobs) > jobs_wanted:
        findings.append(Finding("doubled", f"{len(evidence.jobs)} jobs where {jobs_wanted} were wanted"))
    if jobs_wanted is not None and len(evidence.jobs) < jobs_wanted:
        findings.append(Finding("lost", f"{len(evidence.jobs)} jobs where {jobs_wanted} were wanted"))
    return findings


def judge_losses(evidence: Evidence) -> list[Finding]:
    """Judge what jobs have cost: none of them more workers than three, whatever restarts came between."""
    findings = []
    for job in evidence.jobs:
        lost = sum(outcome == "worker lost" for _, outcome in job.attempts)
        if lost > MOST_LOST_WORKERS:
            findings.append(Finding("unexpected", f"job {job.job} was given to another worker after it had cost {lost - 1}"))
    return findings


def judge_sequence(journal: Journal, evidence: Evidence) -> list[Finding]:
    """Judge acknowledgements against the log: each names a transaction of its own that is there."""
    known, findings = set(evidence.seqs), []
    seqs = [operation.seq for operation in journal.acknowledged() if operation.seq is not None]
    findings += [
        Finding("lost", f"transaction {seq} was acknowledged and is not in the log") for seq in seqs if seq not in known
    ]
    findings += [Finding("doubled", f"transaction {seq} was acknowledged for {count} requests")
                 for seq, count in Counter(seqs).items() if count > 1]  # fmt: skip
    return findings


def judge_seen(journal: Journal) -> list[Finding]:
    """Judge what was read: what could be read once was durable, so it may not change or go."""
    return [Finding("lost", change) for change in journal.changed]
