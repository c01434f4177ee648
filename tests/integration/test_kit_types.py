"""mypy reads the author's kit: it accepts a module as the documentation shows it, and refuses planted mistakes."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

MODULE = """
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from copernicus.plugin.functions import Call, Fail, FewerCores, File, GiveUp, Job, Module, Rule, file, files, number, option

m = Module("m", "An example")


@dataclass(frozen=True)
class Parts:
    conf: File
    xtc: list[File]


@dataclass(frozen=True)
class Simulated:
    conf: File
    xtc: File | None
    energy: float


@dataclass
class Adaptive:
    trajectories: list[File] = field(default_factory=list)
    generation: int = 0


@dataclass
class Progress:
    next_chain: int = 0


@m.command
def mdrun_parts(tpr: File, priority: int = 0, ndx: File | None = None, options: Sequence[str] = ()) -> Job[Parts]:
    return Job(
        "gromacs/mdrun >=2019",
        ["-s", tpr, *option("-n", ndx), *options],
        Parts(conf=file("confout*.gro"), xtc=files("traj_comp.part*.xtc")),
        cores=(1, None), priority=priority, checkpoint=["state.cpt"],
        rules=[Rule(stderr="domain decomposition", then=FewerCores), Rule(stderr="Fatal error", then=Fail), GiveUp(after=4)],
    )


@m.command(deterministic=True)
def join(conf: File, xtc: Sequence[File]) -> Job[Simulated]:
    return Job("gromacs/join", [*xtc], Simulated(conf=conf, xtc=file("x.xtc"), energy=number("stdout", "(.*)")))


@m.network
def mdrun(tpr: File, priority: int = 0) -> Simulated:
    parts = mdrun_parts(tpr, priority=priority)
    return join.named("joined")(parts.conf, parts.xtc)


mdruns = m.scatter("mdruns", mdrun)


@m.pure(version=2)
def add(a: float, b: float) -> Progress:
    return Progress(int(a + b))


@m.controller
def adaptive(call: Call[Adaptive, Progress], *, tprs: Sequence[File], engine: str, num_sim: int | None = None) -> None:
    run = call.function(engine, like=mdrun)
    for tpr in tprs:
        call.start(f"sim_{call.state.next_chain}", run, tpr, priority=call.out.generation)
        call.state.next_chain += 1
    for sim in call.ended(run):
        if sim.out.xtc is not None:
            call.out.trajectories.append(sim.out.xtc)
        call.start("next", run, sim.wire.conf)
    if "num_sim" in call.changed:
        call.fail("no")
"""

MISTAKES = """

@m.network
def wrong_network(tpr: File, priority: int = 0) -> Simulated:
    parts = mdrun_parts(tpr, priority="high")  # mistake: type of an input
    mdrun_parts(tprr=tpr)  # mistake: name of an input
    parts.confs  # mistake: name of an output
    join(parts.conf)  # mistake: missing input
    return parts  # mistake: other outputs


@m.command
def wrong_command(tpr: File) -> Job[Parts]:
    return Job("x/y", [tpr], Simulated(tpr, None, 1.0))  # mistake: other outputs


@m.command  # mistake: no job
def no_job(tpr: File) -> Parts:
    return Parts(tpr, [])


@m.controller
def wrong_controller(call: Call[Adaptive, Progress], *, tprs: Sequence[File]) -> None:
    call.start("a", mdrun, tprs)  # mistake: array for an element
    call.start("a", mdrun, tpr=tprs[0], steps=3)  # mistake: unknown input
    call.state.total = 3  # mistake: unknown state
    call.out.trajectories.append("x")  # mistake: type of an output
    child = call.children(mdrun)["a"]
    child.out.edr  # mistake: unknown output of a child
    adaptive(tprs=tprs)  # mistake: missing input of a controller
    Rule(then="again")  # mistake: unknown verdict
"""


def refused_lines(folder: Path, source: str) -> tuple[set[int], str]:
    """Return the lines in which mypy finds an error, and all it says."""
    path = folder / "snippet.py"
    path.write_text(source)
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--cache-dir", str(folder / "cache"), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return {int(line) for line in re.findall(r"snippet\.py:(\d+): error", done.stdout)}, done.stdout


def test_mypy_accepts_a_module_and_refuses_planted_mistakes(tmp_path: Path) -> None:
    source = MODULE + MISTAKES
    refused, said = refused_lines(tmp_path, source)
    planted = {number for number, line in enumerate(source.splitlines(), 1) if "# mistake" in line}
    assert len(planted) == 14
    assert refused == planted, said
