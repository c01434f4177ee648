"""A backup is made while a worker runs, and restored on another path: what came after it counts no more, and is done again."""

from __future__ import annotations

import time

from tests.proof.evidence import read_book
from tests.proof.workload import Sleeping

from copernicus.testing.system import System


def append(system: System, workload: Sleeping, duration_s: float) -> None:
    """Let there be one more job."""
    with system.client() as client, client.project(workload.project).transaction() as change:
        change.set("sleep:in.sleep_time[+]", duration_s)
    workload.count += 1


def test_a_worker_that_outlives_a_restoration_does_no_harm(system: System) -> None:
    system.setup(heartbeat_s=600)
    system.start()
    workload = Sleeping(system, [5.0, 5.0, 0.5])
    worker = system.worker("-n", "2")
    system.until(lambda: len(workload.running()) == 2, what="two jobs run")
    system.cpc_server("backup", "backups")
    append(system, workload, 3.0)
    system.until(
        lambda: workload.is_complete() or 4 in [job for job, _ in workload.running()],
        what="the worker has a job that was given after the backup",
    )
    system.kill_server()
    system.projects.rename(system.folder / "lost")
    (backup,) = (system.folder / "backups").iterdir()
    was = {job.job: job for job in read_book(backup / "projects" / "book.sqlite", workload.project).jobs}
    assert list(was) == [1, 2, 3]
    system.projects = system.folder / "restored"
    done = system.cpc_server("restore", "backups", str(system.projects))
    assert "Restored 1 projects" in done.stdout
    time.sleep(4.0)  # longer than its job: the result waits for the server, under a number of the time after the backup
    system.start()
    workload.count -= 1
    append(system, workload, 0.1)  # it gets the number of the lost one
    findings, attempts = workload.judge()
    assert findings == [], "verdicts on the restored book"
    for number, row in enumerate(attempts, 1):
        before = was[number].attempts if number in was else []
        if before and before[-1][1] == "finished":
            assert row == before, "what had ended by then stands"
            continue
        assert [outcome for _, outcome in row] == (["restored"] if before else []) + ["finished"], (number, row)
        assert row[-1][0] > 2**20, "a number of the time before was given again"
    assert worker.process.poll() is None, "the worker goes on with the restored server"
    assert "All is well." in system.cpc_server("verify").stdout
