"""A worker that is killed, or told to go: its jobs run elsewhere, late or at once, and nothing of it stays."""

from __future__ import annotations

import time

from tests.proof.workload import Sleeping

from copernicus.testing.system import System


def test_jobs_of_a_killed_worker_run_elsewhere_after_the_heartbeat_interval(system: System) -> None:
    system.setup(heartbeat_s=2)
    system.start()
    workload = Sleeping(system, [3.0, 0.1, 0.1])
    first = system.worker("-n", "1")
    system.until(workload.running, what="the first worker has a job")
    system.worker("-n", "1")
    lost = {job for job, _ in workload.running()}
    first.kill()
    killed_at = time.monotonic()
    system.until(
        lambda: not lost & {job for job, name in workload.running() if name in first.log}, what="the jobs are taken away"
    )
    assert time.monotonic() - killed_at >= 1.0, "taken away before the heartbeat interval was over"
    findings, attempts = workload.judge()
    assert findings == []
    assert any([outcome for _, outcome in row] == ["worker lost", "finished"] for row in attempts), attempts


def test_a_worker_told_to_go_hands_its_jobs_back_at_once(system: System) -> None:
    system.setup(heartbeat_s=600)
    system.start()
    workload = Sleeping(system, [3.0, 3.0])
    first = system.worker("-n", "2")
    system.until(lambda: len(workload.running()) == 2, what="both jobs run")
    assert first.terminate() == 0
    system.worker("-n", "2")
    findings, attempts = workload.judge()
    assert findings == []
    assert attempts == [[(1, "interrupted"), (2, "finished")]] * 2
    place = system.folder / "worker-0"
    assert [path.name for path in place.iterdir()] == ["output"], "the worker left something behind"
    assert [process for process in system.processes() if process.cwd().startswith(str(place))] == []
