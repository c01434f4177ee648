"""The failure card: what a failed job was, where it ran, what it printed last, what to do next."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from tests.unit.office import Office, in_the_office

from copernicus.client.output import card, listing
from copernicus.model import edits as e
from copernicus.model.jobs import JobDescription
from copernicus.server.projects.cards import card_of
from copernicus.server.storage.abc import AttemptRow, JobRecord
from copernicus.wire import messages as m

COLUMNS = 80
LONG = "a line such as programs print that think of wide screens, with all that they know, and no end of it to be seen"


async def card_for(office: Office, target: object) -> m.FailureCard | None:
    reply = await office.projects.enquiries.why(m.WhyRequest("p", str(target)))
    log = await office.projects.enquiries.log(m.LogRequest("p", str(target)))
    assert reply.card == log.card
    return reply.card


@in_the_office
async def test_a_failed_job_has_a_card_by_its_number_its_instance_and_what_is_around(office: Office) -> None:
    await office.make("two", "t", x=1)
    await office.make("work", "alone", x=1)
    assert await card_for(office, "t") is None
    path = next(job.path for job in office.jobs.open_jobs() if job.path.startswith("t:"))
    number = await office.finish(path, "It failed.\nlast lines of stderr:\nout of range", "\n".join(map(str, range(200))))
    found = await card_for(office, number)
    assert found is not None
    assert (found.job, found.path, found.why) == (number, path, "It failed.")
    assert found.stderr.splitlines() == [str(line) for line in range(150, 200)], "the last fifty lines"
    assert [(one.hostname, one.outcome, one.kind, one.exit_status) for one in found.attempts] == [
        ("node7", "failed", "program", 1)
    ]
    assert await card_for(office, path) == found
    assert await card_for(office, "t") == found
    assert await card_for(office, "alone") is None
    await office.apply("ada", e.ClearError(path))
    assert await card_for(office, number) is None, "it is no failure any more"


def failed_job() -> JobRecord:
    rows = tuple(
        AttemptRow(n, f"w{n}", f"node{n}", 10.0 * n, 10.0 * n + 5, "worker lost", 16, error="silent", stdout_tail=LONG)
        for n in range(1, 20)
    )  # fmt: skip
    job = JobRecord(17, "p", 1, "sim:run_0", "k", _description(), "failed", 0.0, attempts=rows, attempt=19)
    return replace(job, why=f"3 workers were lost while they ran this job. {LONG}\nDoes the job need more memory?")


def _description() -> JobDescription:
    return JobDescription("gromacs/mdrun", ("-s", "a name with blanks.tpr", "\x1b[31m", *(f"--option-{n}" for n in range(30))))


def test_a_card_fits_a_terminal_and_what_programs_print_is_not_obeyed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("copernicus.client.output.text.columns", lambda: COLUMNS)
    monkeypatch.setattr("copernicus.client.output.table.columns", lambda: COLUMNS)
    monkeypatch.setattr("copernicus.client.output.text.paint", lambda state: state)
    lines = list(card.card(card_of(failed_job(), "sim:run_0")))
    assert max(map(len, lines)) == COLUMNS
    whole = "\n".join(lines)
    assert "\x1b" not in whole
    assert "'a name with blanks.tpr'" in whole, "the command can be copied"
    assert "… and 7 attempts before" in whole
    assert whole.count("worker lost") == 12
    assert "suspicion" in whole
    assert "cpcc rerun 17" in whole
    assert "Look after node1, node10" in whole


def test_what_stands_on_the_card_is_not_said_twice() -> None:
    found = card_of(replace(failed_job(), why="It failed.\nlast lines of stdout:\nBANG", attempts=_printed("BANG")), "sim")
    reply = m.WhyReply(["sim is error: It failed.\nlast lines of stdout:\nBANG"], card=found)
    assert "\n".join(listing.why(reply)).count("BANG") == 1
    log = m.LogReply([m.LogEntry(0.0, "made", "command"), m.LogEntry(1.0, "ended", "BANG")], card=found)
    assert "\n".join(listing.log(log)).count("BANG") == 1
    assert "\n".join(listing.log(replace(log, card=None))).count("BANG") == 1


def _printed(words: str) -> tuple[AttemptRow, ...]:
    return (AttemptRow(1, "w", "node7", 1.0, 2.0, "failed", stdout_tail=words),)
