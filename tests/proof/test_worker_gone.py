"""A worker that is killed, stands still, or is told to go: its jobs run elsewhere, late or at once, and count once."""

from __future__ import annotations

import os
import signal
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
    assert system.workers_known() == 0, "it has said goodbye"
    system.worker("-n", "2")
    findings, attempts = workload.judge()
    assert findings == []
    assert attempts == [[(1, "interrupted"), (2, "finished")]] * 2
    place = system.folder / "worker-0"
    assert [path.name for path in place.iterdir()] == ["output"], "the worker left something behind"
    assert [process for process in system.processes() if process.cwd().startswith(str(place))] == []


def test_a_result_that_comes_after_the_lease_has_expired_does_not_count(system: System) -> None:
    system.setup(heartbeat_s=2)
    system.start()
    workload = Sleeping(system, [4.0])
    first = system.worker("-n", "1")
    system.until(workload.running, what="the first worker has the job")
    os.kill(first.pid, signal.SIGSTOP)
    second = system.worker("-n", "1")
    system.until(lambda: any(name in second.log for _, name in workload.running()), what="the second worker has the job")
    os.kill(first.pid, signal.SIGCONT)  # its program has ended meanwhile, or ends before the second one's
    findings, attempts = workload.judge()
    assert findings == []
    assert attempts == [[(1, "worker lost"), (2, "finished")]]


def test_a_worker_told_to_go_as_soon_as_it_is_known_leaves_the_list_at_once(system: System) -> None:
    system.setup(heartbeat_s=600)
    system.start()
    for _ in range(5):
        worker = system.worker("-n", "1")
        system.until(system.workers_known, what="the worker is known")
        assert worker.terminate() == 0
        assert system.workers_known() == 0
