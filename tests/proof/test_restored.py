"""A backup is made while a worker runs, and restored on another path: what came after it counts no more, and is done again."""

from __future__ import annotations

import time

from tests.proof.workload import Sleeping

from copernicus.testing.system import System


def test_a_worker_that_outlives_a_restoration_does_no_harm(system: System) -> None:
    system.setup(heartbeat_s=600)
    system.start()
    workload = Sleeping(system, [2.0, 2.0, 3.0, 0.5])
    worker = system.worker("-n", "2")
    under_way = system.until(
        lambda: len(workload.running()) == 2 and {job for job, _ in workload.running()}, what="two jobs run"
    )
    system.cpc_server("backup", "backups")
    later = system.until(
        lambda: {job for job, _ in workload.running()} - under_way, what="the worker has a job that was given after the backup"
    )
    system.kill_server()
    system.projects.rename(system.folder / "lost")
    system.projects = system.folder / "restored"
    done = system.cpc_server("restore", "backups", str(system.projects))
    assert "Restored 1 projects" in done.stdout
    time.sleep(4.0)  # longer than its jobs: their results wait for the server, under numbers of the time after the backup
    system.start()
    findings, attempts = workload.judge()
    assert findings == [], "verdicts on the restored book"
    outcomes = [[outcome for _, outcome in row] for row in attempts]
    assert [row for job, row in enumerate(outcomes, 1) if job in under_way] == [["restored", "finished"]] * 2
    assert [row for job, row in enumerate(outcomes, 1) if job not in under_way] == [["finished"]] * 2
    assert later
    last = [row[-1][0] for row in attempts]
    assert min(last) > 2**20, "a number of the time before was given again"
    assert worker.process.poll() is None, "the worker goes on with the restored server"
    assert "All is well." in system.cpc_server("verify").stdout
