"""kill -9 of the server, at random moments of a workload: nothing acknowledged is lost, no result counts twice, all ends."""

from __future__ import annotations

import random
import time

import psutil
import pytest
from tests.proof.workload import Doubling, Sleeping

from copernicus.testing.system import System


def test_a_killed_server_goes_on_where_it_was(system: System, chance: random.Random, is_long: bool) -> None:
    kills, numbers = (10, 400) if is_long else (3, 60)
    system.setup(heartbeat_s=5)
    system.start()
    workload = Doubling(system)
    system.worker("-n", "2")
    system.until(system.workers_known, what="the worker has announced itself")
    feeder = workload.feed(numbers)
    for _ in range(kills):
        time.sleep(chance.uniform(0.05, 1.5))  # the moment of the fault, not a wait for something
        workload.look()
        children = system.kill_server()
        system.start()
        _, orphans = psutil.wait_procs(children, timeout=30)
        assert orphans == [], "processes of a dead server go on"
    feeder.join(120)
    assert not feeder.is_alive()
    assert workload.error is None
    assert workload.judge() == []


@pytest.mark.parametrize("is_killed", [True, False], ids=["killed", "told to stop"])
def test_workers_carry_on_without_the_server_and_deliver_once(system: System, is_long: bool, is_killed: bool) -> None:
    away_s = 60.0 if is_long else 5.0
    system.setup(heartbeat_s=10)
    system.start()
    workload = Sleeping(system, [2.0, 2.0, 0.5, 0.5])
    system.worker("-n", "2")
    system.until(lambda: len(workload.running()) == 2, what="two jobs run")
    if is_killed:
        system.kill_server()
    else:
        system.stop()
    time.sleep(away_s)  # longer than the jobs: they end while nobody listens
    system.start()
    findings, attempts = workload.judge()
    assert findings == []
    assert attempts == [[(1, "finished")]] * 4, "a job was run again although its worker had finished it"
