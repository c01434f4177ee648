"""`--preview` with commands about jobs and files: the server is asked what would be, and for nothing else."""

from __future__ import annotations

import pytest
from tests.integration.answering import AnsweringServer, Cpcc

from copernicus.wire import messages as m


@pytest.mark.parametrize(
    ("command", "request_type"),
    [("stop", m.StopJobRequest), ("rerun", m.RerunJobRequest), ("command-failed", m.CommandFailedRequest)],
)
def test_of_a_job_it_is_said_what_would_be(
    cpcc: Cpcc, answering: AnsweringServer, command: str, request_type: type[m.JobCommand]
) -> None:
    answering.answers[request_type] = m.Done("Job 7 would end.")
    said = cpcc("-p", "first", command, "7", "--preview")
    assert (said.status, said.out) == (0, "Job 7 would end.\n")
    (request,) = answering.of(request_type)
    assert (request.job, request.is_check) == (7, True)
    cpcc("-p", "first", command, "7")
    assert not answering.of(request_type)[1].is_check


def test_of_files_it_is_said_which_would_be_deleted(cpcc: Cpcc, answering: AnsweringServer) -> None:
    lost = m.LostFile("a:out.xtc", "traj.xtc", 1_500_000)
    answering.answers[m.PurgeRequest] = m.PurgeReply([lost], 2, 1_500_000)
    said = cpcc("-p", "first", "purge", "a", "--preview", "--yes")
    assert said.status == 0
    assert "a:out.xtc: traj.xtc (1.5 MB)" in said.out
    assert "1 version (1.5 MB) would be deleted for good. 2 stay" in said.out
    assert [request.is_check for request in answering.of(m.PurgeRequest)] == [True]
