"""Holding now: which jobs are to stop, and that they go on when they may work again."""

from __future__ import annotations

from tests.unit.drive import Drive

from copernicus.dataflow import engine, transaction
from copernicus.model import edits as e


def stops(drive: Drive, path: str) -> list[str]:
    """Hold `path` now; return the paths of the jobs that are to stop."""
    found: list[str] = []

    def note(effect: transaction.Effect) -> None:
        if isinstance(effect, transaction.StopJob):
            found.append(str(drive.jobs[effect.key]["path"]))
        perform(effect)

    perform, drive._perform = drive._perform, note  # type: ignore[method-assign]
    assert drive.edit(e.Deactivate(path, is_now=True))
    drive._perform = perform  # type: ignore[method-assign]
    return found


def test_all_unfinished_jobs_at_and_below_are_to_stop_and_no_others() -> None:
    drive = Drive()
    drive.make("work", "w", x=1)
    drive.make("works", "ws", x=[1, 2, 3])
    drive.answer_all()
    drive.run("ws:work_1")
    assert sorted(stops(drive, "ws")) == ["ws:work_0", "ws:work_2"]
    assert sorted(job["state"] for job in drive.jobs.values()) == ["blocked", "blocked", "done", "queued"]
    assert sorted(stops(drive, "")) == ["w", "ws:work_0", "ws:work_2"], "those that went on until now are to stop as well"
    drive.edit(e.Activate("ws"))
    assert sorted(str(job["state"]) for job in drive.jobs.values()) == ["blocked", "done", "queued", "queued"]


def test_a_job_that_somebody_else_wants_goes_on() -> None:
    drive = Drive()
    drive.make("same", "one", x=1)
    drive.make("same", "other", x=1)
    drive.answer_all()
    assert len(drive.jobs) == 1
    assert stops(drive, "one") == []
    assert len(stops(drive, "other")) == 1


def test_a_job_that_was_to_stop_and_finishes_first_is_filed() -> None:
    drive = Drive()
    drive.make("work", "w", x=1)
    drive.answer_all()
    (key,) = drive.jobs
    drive.lease(key)
    assert stops(drive, "w") == ["w"]
    drive.end_job(key)
    assert drive.get("w:out.z") is None
    drive.edit(e.Activate("w"))
    assert drive.get("w:out.z") == 10


def test_a_check_stops_nothing() -> None:
    drive = Drive()
    drive.make("work", "w", x=1)
    drive.answer_all()
    outcome = drive.step(engine.EditsRequested([e.Deactivate("w", is_now=True)], "ada", is_check=True))
    assert outcome.effects == []
