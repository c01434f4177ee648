"""A simulation of GROMACS is killed with its worker and goes on elsewhere, with other cores: one trajectory, whole."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from tests.acceptance.test_longer_simulation import simulations, times
from tests.water_box import make_water_box

from copernicus.testing.system import System

pytestmark = [pytest.mark.gromacs, pytest.mark.skipif(shutil.which("gmx") is None, reason="there is no gmx here")]
STEPS, MORE = 12_000, 500
PS_PER_STEP, FRAME_STEPS = 0.002, 50
CHECKPOINTS = ("--checkpoint-every", "0.03")


def frames(steps: int) -> list[float]:
    """The times of all frames of a whole trajectory, ps."""
    return [round(PS_PER_STEP * FRAME_STEPS * number, 3) for number in range(steps // FRAME_STEPS + 1)]


def test_a_simulation_that_is_killed_goes_on_on_another_worker_with_other_cores(system: System, tmp_path: Path) -> None:
    box = make_water_box(tmp_path / "box")
    system.setup(heartbeat_s=3)
    system.start()
    first = system.worker("-n", "1", *CHECKPOINTS, environment={"CPC_NODE": "n1"})
    with system.client() as client:
        project = client.start_project("first")
        project.import_module("gromacs")
        with project.transaction() as change:
            change.instance("gromacs::grompp_mdrun", "sim")
            for name, file in (("conf", "conf.gro"), ("mdp", "grompp.mdp"), ("top", "topol.top")):
                change.set(f"sim:in.{name}", box / file)
            change.set("sim:in.nsteps", STEPS)
            change.set("sim:in.cmdline_options", ["-cpt", "0.01"])
            change.activate()
    system.cpcc("cd", "first")
    system.until(lambda: [job["state"] for job in simulations(system)] == ["leased"], 240, "the simulation runs")
    (job,) = simulations(system)
    number = str(job["job"])
    system.until(lambda: "last checkpoint came" in system.cpcc("why", number).stdout, 240, "its checkpoint has come over")
    first.kill()
    system.worker("-n", "2", *CHECKPOINTS, environment={"CPC_NODE": "n2"})
    system.until(lambda: system.ask("ls")["instances"][0]["state"] == "idle", 600, "the simulation is done")
    ends = [entry["title"] for entry in system.ask("log", number) if " ended: " in entry["title"]]
    assert [re.sub(r".* on ", "", title) for title in ends] == [
        "n1 (1 core) ended: worker lost", "n2 (2 cores) ended: finished, exit status 0",
    ]  # fmt: skip
    assert begun_at(system, tmp_path) > 0.0, "the second attempt has begun where the first one was"
    assert times(system, tmp_path / "whole.xtc") == frames(STEPS)

    system.cpcc("set", "sim:in.nsteps", str(STEPS + MORE))
    system.until(lambda: len(simulations(system)) == 2, 240, "the longer one has a job of its own")
    system.until(lambda: system.ask("ls")["instances"][0]["state"] == "idle", 600, "the longer one is done")
    longer = simulations(system)[1]
    log = system.cpcc("log", str(longer["job"])).stdout
    assert f"goes on from job {number}" in log
    assert f"continuing from step {STEPS}" in log, "it has not been run again from the start"
    assert times(system, tmp_path / "longer.xtc") == frames(STEPS + MORE)


def begun_at(system: System, tmp_path: Path) -> float:
    """The time, ps, of the first frame that the last part of the simulation wrote."""
    logs = system.ask("get", "sim:mdrun:mdrun_parts:out.log")
    assert len(logs) >= 2, "each attempt has written a part"
    path = tmp_path / "last_part.log"
    system.cpcc("getf", "-f", str(path), f"sim:mdrun:mdrun_parts:out.log[{len(logs) - 1}]")
    found = re.search(r"^\s+Step\s+Time\s*\n\s+\d+\s+(\S+)", path.read_text(), re.MULTILINE)
    assert found is not None
    return float(found.group(1))
