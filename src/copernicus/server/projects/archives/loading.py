"""From the contents of an archive to a project of this server: new numbers, everything held, nothing lost. Plain functions."""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from copernicus.dataflow import engine
from copernicus.dataflow.declaring import is_local
from copernicus.dataflow.network import ROOT, Network
from copernicus.dataflow.transaction import Catalog
from copernicus.model.jobs import JobState
from copernicus.server.projects.archives.members import refusal
from copernicus.server.projects.archives.reading import Contents
from copernicus.server.storage.abc import AppendRecord, AttemptRow, JobRecord, ProjectRow, PutProject, Unit

SAVED = "saved"
"""The outcome of an attempt that was under way when its project was saved: it goes on where it was, not here."""


class Prepared(msgspec.Struct):
    """A project that only waits to be written down. `missing` names its functions that are not installed here."""

    row: ProjectRow
    network: Network
    unit: Unit
    jobs: list[JobRecord]
    missing: list[str]


def prepare(contents: Contents, row: ProjectRow, first_job: int, catalog: Catalog, who: str, now: float) -> Prepared:
    """Make a project `row` of what was in an archive; its jobs get the numbers from `first_job` on."""
    network, unit = contents.network, Unit()
    unit.add(PutProject(row))
    for seq, data in enumerate(contents.records, 1):
        unit.add(AppendRecord(row.id, seq, data))
    jobs = _jobs(contents, row, first_job, now)
    numbers = tuple((old, new.id) for old, new in jobs if old)
    event = engine.ProjectLoaded(contents.header.origin[:500], numbers, who)
    outcome = engine.step(network, catalog, event, now)
    assert outcome.data is not None
    unit.add(AppendRecord(row.id, network.seq, outcome.data))
    used = {one.function.name for one in network.instances.values() if one.id != ROOT}
    missing = sorted(name for name in used if not is_local(name) and name not in catalog.functions)
    return Prepared(row, network, unit, [new for _, new in jobs], missing)


def count_jobs(contents: Contents) -> int:
    """How many numbers `prepare` needs."""
    return len(contents.jobs) + len(contents.descriptions)


def _jobs(contents: Contents, row: ProjectRow, first: int, now: float) -> list[tuple[int, JobRecord]]:
    """The jobs with their old numbers (0: it has none, since only the log knows of it)."""
    network, made = contents.network, list[tuple[int, JobRecord]]()
    old = sorted(contents.jobs, key=lambda job: job.id)
    numbers = {job.id: number for number, job in enumerate(old, first)}
    checkpoints = {job.id: job.checkpoint for job in old}
    for job in old:
        evaluation, old_id = network.evaluations.get(job.key), job.id
        if evaluation is None or evaluation.function.kind != "command":
            raise refusal(f"its log does not know of job {job.id}")
        earlier = job.extends or job.waits_for
        if not job.attempt and job.state != "done":
            # Whoever it waited for has ended with this: it goes on from there at once.
            job = replace(job, checkpoint=job.checkpoint or checkpoints.get(earlier, ()))
        job = replace(job, id=numbers[job.id], extends=numbers.get(earlier, 0) if job.checkpoint else 0, waits_for=0)
        job = replace(job, provisional=None)  # what an attempt elsewhere had so far is shown by the next one here
        state = _state(evaluation.state, bool(evaluation.wanted))
        made.append((old_id, _moved(job, row.id, state, contents.header.saved_at)))
    known = {job.key for job in contents.jobs}
    for key, (instance, description) in contents.descriptions.items():
        evaluation = network.evaluations[key]
        if key in known or evaluation.state != "open":
            continue
        path = network.path_of(instance) if instance in network.instances else f"(instance {instance}, removed)"
        made.append((0, JobRecord(
            id=first + len(made), project=row.id, instance=instance, path=path, key=key, description=description,
            state=_state("open", bool(evaluation.wanted)), created_at=now, why="held",
        )))  # fmt: skip
    return made


def _state(evaluation: str, is_wanted: bool) -> JobState:
    if evaluation == "open":
        return "blocked" if is_wanted else "cancelled"
    return "failed" if evaluation == "failed" else "done"


def _moved(job: JobRecord, project: str, state: JobState, saved_at: float) -> JobRecord:
    rows = tuple(_ended(one, saved_at) for one in job.attempts)
    why = job.why if state == "failed" and job.state == "failed" else "held" if state == "blocked" else ""
    return replace(
        job, project=project, state=state, why=why, worker="", bundle="", cores=0, attempts=rows,
        is_superseded=False, stop="", stopped_by="",
    )  # fmt: skip


def _ended(row: AttemptRow, at: float) -> AttemptRow:
    return row if row.ended_at is not None else replace(row, ended_at=max(at, row.started_at), outcome=SAVED)
