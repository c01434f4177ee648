"""A server with thousands of jobs in its book is killed: it is there again soon, and what runs on a worker goes on."""

from __future__ import annotations

import psutil

from copernicus.testing.system import System

JOBS, TOGETHER = 3_000, 1_500
DEADLINE_S = 50.0  # ten times what 100,000 jobs may take (row R1 of scripts/bench)


def test_a_killed_server_with_many_jobs_is_back_soon_and_interrupts_nothing(system: System) -> None:
    system.setup()
    system.start()
    with system.client() as client:
        project = client.start_project("many")
        with project.transaction() as change:
            change.import_module("benchmark")
            change.instance("benchmark::sleep", "long")
            change.set("long:in.sleep_time", 3600.0)
            change.instance("benchmark::noops", "noops")
            change.activate()
        worker = system.worker("-n", "1")
        (before,) = system.until(lambda: client.running("many"), what="the long job runs")
        for first in range(0, JOBS, TOGETHER):
            with project.transaction() as change:
                for number in range(first, first + TOGETHER):
                    change.set(f"noops:in.index[{number}]", number)
        system.until(lambda: project.status().jobs.get("queued") == JOBS, 10 * DEADLINE_S, what="all jobs wait")
        programs = psutil.Process(worker.pid).children(recursive=True)
        system.kill_server()
        system.cpc_server("start")
        system.until(lambda: project.status().jobs.get("queued") == JOBS, DEADLINE_S, what="all jobs are there again")
        (after,) = client.running("many")
        assert (after.job, after.attempt, after.worker) == (before.job, before.attempt, before.worker)
        assert all(program.is_running() for program in programs), "a program was ended because the server was away"
        client.project("many")["long"].deactivate(is_now=True)
        system.until(
            lambda: before.job not in [row.job for row in client.running("many")], what="the worker heeds the new server"
        )
