"""B7: an ensemble of real simulations, against `xargs -P` that runs the same commands on the same cores."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from tests.water_box import make_water_box

from benchmarks.row import Row
from copernicus.testing.system import System

RUNS, SLOTS = 16, 2
RUN_S = 2.5
GOAL = 0.95
DEADLINE_S = 600.0
SCRIPT = 'mkdir "$1" && cd "$1" && exec gmx -quiet -nobackup mdrun -nt 1 -s ../topol.tpr -nsteps "$0" -deffnm run >out 2>err'


def measure() -> list[Row]:
    """Return by what part of xargs's rate the ensemble is run, from submission to the last result, files brought back."""
    if shutil.which("gmx") is None:
        raise SystemExit("B7 needs gmx on the PATH.")
    with tempfile.TemporaryDirectory(prefix="cpc-bench-") as folder, System(Path(folder)) as system:
        box = make_water_box(Path(folder) / "box")
        _gmx(box, "grompp", "-f", "grompp.mdp", "-c", "conf.gro", "-p", "topol.top", "-o", "topol.tpr")
        steps = _steps(box)
        system.setup()
        system.start()
        system.cpcc("start", "ensemble")
        system.worker("-n", str(SLOTS), "--allow", "gmx")
        system.until(system.workers_known, what="the worker has announced itself")
        before_s = _xargs_s(box, steps, "before")
        ours_s = _ours_s(system, box, steps)
        after_s = _xargs_s(box, steps, "after")
    limit_s = (before_s + after_s) / 2
    return [
        Row(
            name="B7",
            what=f"{RUNS} GROMACS runs of about {RUN_S:g} s on {SLOTS} cores, against xargs -P{SLOTS} with the same commands",
            value=limit_s / ours_s,
            unit="x",
            limit=f"xargs {limit_s:.2f} s ({before_s:.2f} before, {after_s:.2f} after)",
            goal=GOAL,
            is_rate=True,
            details={"seconds": ours_s, "steps": float(steps)},
        )
    ]


def _gmx(box: Path, *arguments: str) -> None:
    subprocess.run(["gmx", "-quiet", "-nobackup", *arguments], cwd=box, check=True, capture_output=True)


def _steps(box: Path, probe: int = 500) -> int:
    """How many steps take about `RUN_S` seconds when two simulations run side by side."""
    seconds = _xargs_s(box, 10, "warm", SLOTS)
    seconds = _xargs_s(box, probe, "probe", SLOTS) - seconds
    return max(probe, int(probe * RUN_S / max(seconds, 0.05)))


def _xargs_s(box: Path, steps: int, name: str, runs: int = RUNS) -> float:
    began = time.perf_counter()
    names = "".join(f"{name}_{number}\n" for number in range(runs))
    subprocess.run(["xargs", f"-P{SLOTS}", "-n1", "sh", "-c", SCRIPT, str(steps)], input=names, text=True, cwd=box, check=True)
    return time.perf_counter() - began


def _ours_s(system: System, box: Path, steps: int) -> float:
    command = ["gmx", "-quiet", "-nobackup", "mdrun", "-nt", "1", "-s", "topol.tpr", "-nsteps", str(steps), "-deffnm", "run"]
    outputs = ["run.gro", "run.edr", "run.log", "run.xtc"]
    began = time.perf_counter()
    system.cpcc(
        "run", "--name", "runs", "--n", str(RUNS), "--in", os.fspath(box / "topol.tpr"), "--out", *outputs, "--", *command
    )
    with system.client() as client:
        project = client.project("ensemble")
        while (jobs := project.status().jobs).get("done", 0) < RUNS:
            if jobs.get("failed") or time.perf_counter() > began + DEADLINE_S:
                raise TimeoutError(f"{jobs}:\n{system.evidence()}")
            time.sleep(0.05)
    return time.perf_counter() - began
