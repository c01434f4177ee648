"""kill -9 of the server, and of a worker, at random moments of adaptive sampling: it ends, with nothing lost or doubled."""

from __future__ import annotations

import random
import time

import pytest
from tests.proof.sampling import Sampling

from copernicus.testing.system import System


@pytest.mark.openmm
@pytest.mark.timeout(900)
def test_sampling_survives_kills_of_the_server(system: System, chance: random.Random, is_long: bool) -> None:
    kills, generations = (10, 8) if is_long else (2, 2)
    system.setup(heartbeat_s=5)
    system.start()
    for _ in range(2):
        system.worker("-n", "1")
    system.until(lambda: system.workers_known() == 2, what="both workers have announced themselves")
    sampling = Sampling(system, generations)
    for _ in range(kills):
        time.sleep(chance.uniform(0.1, 4.0))  # the moment of the fault, not a wait for something
        sampling.look()
        assert not sampling.is_finished(), "it ended before all kills were made"
        system.kill_server()
        system.start()
    assert sampling.judge() == []
