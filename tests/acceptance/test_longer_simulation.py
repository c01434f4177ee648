"""A simulation of GROMACS is made longer while it runs and after it has ended: one trajectory, no gap, no frame twice."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.water_box import make_water_box

from copernicus.testing.system import System

pytestmark = [pytest.mark.gromacs, pytest.mark.skipif(shutil.which("gmx") is None, reason="there is no gmx here")]
ENDLESS = 1_000_000_000


def simulations(system: System) -> list[dict[str, Any]]:
    """The jobs of mdrun, the oldest first."""
    return list(reversed(system.ask("jobs", "sim:mdrun:mdrun_parts")))


def times(system: System, path: Path) -> list[float]:
    """The times of the frames of the whole trajectory, ps."""
    system.cpcc("getf", "-f", str(path), "sim:out.xtc")
    done = subprocess.run(["gmx", "-quiet", "check", "-f", str(path)], capture_output=True, text=True, check=True)
    assert "Timesteps at" not in done.stderr, "gmx check has found frames that do not follow each other"
    dumped = subprocess.run(["gmx", "-quiet", "dump", "-f", str(path)], capture_output=True, text=True, check=True).stdout
    return [round(float(time), 3) for time in re.findall(r"time=\s*(\S+)", dumped)]


def test_a_simulation_is_made_longer_twice(system: System, tmp_path: Path) -> None:
    box = make_water_box(tmp_path / "box")
    system.setup(heartbeat_s=3)
    system.start()
    system.worker("-n", "1")
    with system.client() as client:
        project = client.start_project("first")
        project.import_module("gromacs")
        with project.transaction() as change:
            change.instance("gromacs::grompp_mdrun", "sim")
            for name, file in (("conf", "conf.gro"), ("mdp", "grompp.mdp"), ("top", "topol.top")):
                change.set(f"sim:in.{name}", box / file)
            change.set("sim:in.nsteps", 500)
            change.activate()
    system.cpcc("cd", "first")
    expected = [round(0.1 * number, 3) for number in range(11)]
    system.until(lambda: system.ask("ls")["instances"][0]["state"] == "idle", 240, "the simulation is done")
    assert times(system, tmp_path / "short.xtc") == expected

    system.cpcc("set", "sim:in.nsteps", str(ENDLESS))
    system.until(lambda: simulations(system)[-1]["state"] == "leased", 240, "it goes on")
    longer = str(simulations(system)[-1]["job"])
    system.cpcc("deactivate", "--now")
    system.until(lambda: simulations(system)[-1]["state"] == "blocked", 240, "it has stopped with a checkpoint")
    system.cpcc("set", "sim:in.nsteps", str(ENDLESS + 500))
    system.cpcc("activate")
    system.until(lambda: simulations(system)[-1]["state"] == "leased", 240, "it goes on from there, too")
    system.cpcc("deactivate", "--now")
    system.until(lambda: simulations(system)[-1]["state"] == "blocked", 240, "it has stopped again")
    first, second, third = simulations(system)
    assert (first["state"], second["job"], second["state"]) == ("done", int(longer), "cancelled")
    assert f"goes on from job {second['job']}" in system.cpcc("log", str(third["job"])).stdout

    system.cpcc("set", "sim:in.nsteps", "2000")
    system.cpcc("activate")
    system.until(lambda: system.ask("ls")["instances"][0]["state"] == "idle", 240, "the last length is done")
    whole = times(system, tmp_path / "whole.xtc")
    assert whole == [round(0.1 * number, 3) for number in range(41)]
    assert len([row for row in system.ask("jobs") if row["executable"] == "gromacs/grompp"]) == 1, "prepared once"
