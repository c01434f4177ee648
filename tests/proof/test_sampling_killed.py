"""kill -9 of the server, and of a worker, at random moments of adaptive sampling: it ends, with nothing lost or doubled."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

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
    sampling = Sampling.begun(system, generations)
    for _ in range(kills):
        time.sleep(chance.uniform(0.1, 4.0))  # the moment of the fault, not a wait for something
        sampling.look()
        assert not sampling.is_finished(), "it ended before all kills were made"
        system.kill_server()
        system.start()
    assert sampling.judge() == []


@pytest.mark.openmm
@pytest.mark.timeout(1200)
def test_the_demo_survives_kills_of_its_server(tmp_path: Path, chance: random.Random, is_long: bool) -> None:
    kills, flags = (10, []) if is_long else (2, ["--quick"])
    place = tmp_path / "results"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CPC_")}
    with System(place / "system") as system, (tmp_path / "output").open("w+b") as output:
        argv = [sys.executable, "-m", "copernicus.demo", *flags, "--keep", "--folder", str(place)]
        demo = subprocess.Popen(argv, cwd=tmp_path, env=environment, stdout=output, stderr=output)
        try:
            sampling = Sampling(system, "demo")
            system.until((system.home / "client.cnx").exists, what="the demo has set its server up")
            system.client_port = json.loads((system.home / "client.cnx").read_text())["client_port"]
            system.until(lambda: sampling.has_begun() or demo.poll() is not None, what="the demo has made its project")
            for _ in range(kills):
                time.sleep(chance.uniform(0.1, 4.0))  # the moment of the fault, not a wait for something
                sampling.look()
                assert not sampling.is_finished(), "it ended before all kills were made"
                system.kill_server()
                system.start()
            assert demo.wait(600) == 0, (tmp_path / "output").read_text()
        finally:
            demo.kill()
            demo.wait()
        assert (place / "free_energy.png").exists()
        assert sampling.judge() == []
