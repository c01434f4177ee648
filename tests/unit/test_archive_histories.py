"""Random histories as they come out of an archive: what was, with new numbers for jobs, and everything held."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.comparison import state
from tests.unit.history import History
from tests.unit.witness import Witness

from copernicus.dataflow import engine, facts as f
from copernicus.dataflow.checking import CheckedFold
from copernicus.dataflow.instances import ROOT
from copernicus.model.jobs import JobDescription
from copernicus.server.projects.archives.loading import count_jobs, prepare
from copernicus.server.projects.archives.manifest import Header, Manifest
from copernicus.server.projects.archives.reading import Contents
from copernicus.server.storage.abc import AppendRecord, AttemptRow, JobRecord, ProjectRow

HISTORIES, STEPS = 300, 30
FIRST = 5000
MOVED = {"is_held", "since"}


def contents_of(witness: Witness) -> Contents:
    """What an archive of this history would hold, jobs with attempts in every state."""
    fold, descriptions = CheckedFold(), dict[str, tuple[int, JobDescription]]()
    for data in witness.log:
        for fact in fold.fold(data).facts:
            if isinstance(fact, f.Begun) and fact.description is not None:
                descriptions[fact.key] = fact.id, fact.description
    network = fold.end()
    descriptions = {key: one for key, one in descriptions.items() if network.evaluations[key].state == "open"}
    jobs = []
    for number, (key, job) in enumerate(witness.jobs.items(), 1):
        instance, description = descriptions.get(key, (1, JobDescription("t")))
        is_leased = job["state"] == "leased"
        rows = (AttemptRow(1, "w", ended_at=None if is_leased else 1.0),) if is_leased or job["state"] == "done" else ()
        jobs.append(JobRecord(
            number, "there", instance, "x", key, description, job["state"], 0.0, attempt=len(rows),
            worker="w" if is_leased else "", attempts=rows,
        ))  # fmt: skip
    header = Header(1, "first", 9.0, "f", "ada@there", "1", network.seq, network.head)
    return Contents(header, Manifest((), 0, 0, ""), network, list(witness.log), jobs[::2], descriptions)


def compare(witness: Witness) -> None:
    """Load the history, and compare."""
    before = state(witness.network)
    contents = contents_of(witness)
    assert state(contents.network) == before, "the checked fold makes another network"
    numbers = {job.id: job.key for job in contents.jobs}
    made = prepare(contents, ProjectRow("here", "second", 0.0), FIRST, witness.catalog, "eve", 1.0)
    after = state(made.network)
    read = Witness().network
    for change in made.unit.changes:
        if isinstance(change, AppendRecord):
            engine.fold(read, change.data)
    assert state(read) == after, "what was written down is not what is there"
    for id, one in before["instances"].items():
        loaded = after["instances"][id]
        assert {name: value for name, value in one.items() if name not in MOVED} == {
            name: value for name, value in loaded.items() if name not in MOVED
        }
        assert loaded["is_held"] == ((one["parent"] == ROOT and id != ROOT) or one["is_held"])
    for key, one in before["evaluations"].items():
        loaded = after["evaluations"][key]
        assert {name: one[name] for name in one if name != "job"} == {name: loaded[name] for name in one if name != "job"}
    _compare_jobs(made.jobs, made.network.evaluations, numbers)
    # It goes on by itself once it is let: nothing that was worked out is asked for again.
    made.network.journal = None
    engine.step(made.network, witness.catalog, engine.Resumed(), 2.0)


def _compare_jobs(jobs: list[JobRecord], evaluations: Any, numbers: dict[int, str]) -> None:
    by_key = {job.key: job for job in jobs}
    assert len(by_key) == len(jobs)
    assert len({job.id for job in jobs}) == len(jobs)
    assert all(job.id >= FIRST for job in jobs)
    assert set(numbers.values()) <= by_key.keys()
    for key, evaluation in evaluations.items():
        job = by_key.get(key)
        if evaluation.state == "open" and evaluation.function.kind == "command":
            assert job is not None, "a job was lost on the way"
            assert job.state == ("blocked" if evaluation.wanted else "cancelled")
        elif job is not None:
            assert job.state == evaluation.state
    for job in jobs:
        assert not job.worker
        assert all(row.ended_at is not None for row in job.attempts)


def compare_deleted(witness: Witness) -> int:
    """Results are deleted: only those go that are nobody's, the rest stays as it is, and the log says so. Return how many."""
    network, logged = CheckedFold(), CheckedFold()
    for data in witness.log:
        network.fold(data)
        logged.fold(data)
    here, catalog = network.network, witness.catalog
    engine.step(here, catalog, engine.Resumed(), 1.0)
    before = state(here)
    used = {one.key for one in here.instances.values()} | {one.stood for one in here.instances.values()}
    keys = tuple(here.evaluations)
    outcome = engine.step(here, catalog, engine.ResultsDeleted(keys), 1.0)
    after = state(here)
    gone = {key for key, one in after["evaluations"].items() if one["state"] == "gone"}
    assert gone == {key for key, one in before["evaluations"].items() if one["state"] in ("done", "gone") and key not in used}
    assert after["instances"] == before["instances"]
    assert all(after["evaluations"][key]["outputs"] == {} for key in gone)
    for key in set(keys) - gone:
        assert after["evaluations"][key] == before["evaluations"][key]
    if outcome.data is not None and before["seq"] == logged.network.seq:
        logged.fold(outcome.data)
        assert state(logged.network) == after
    return len(gone)


class Archived(History):
    """A random history that ends in an archive."""

    def end(self) -> None:
        if self.witness.log:
            compare(self.witness)
            self.happened["loaded"] += 1
            self.happened["gone"] += compare_deleted(self.witness)


@pytest.mark.timeout(600)
def test_a_history_comes_out_of_its_archive_as_it_was() -> None:
    loads = gone = 0
    for seed in range(HISTORIES):
        history = Archived(every=10)
        history.live(seed, STEPS)
        loads += history.happened["loaded"]
        gone += history.happened["gone"]
    assert loads == HISTORIES
    assert gone, "no history had a result that nobody needs"


def test_numbers_are_reserved_for_every_job() -> None:
    witness = Witness()
    assert count_jobs(contents_of(witness)) == 0
