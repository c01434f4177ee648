"""Workflow functions over GROMACS: prepare, simulate, join, and the same for whole arrays."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Annotated

from copernicus.plugin.functions import (
    Fail,
    FewerCores,
    File,
    GiveUp,
    Job,
    Module,
    Rule,
    file,
    files,
    json_of,
    option,
)

module = Module(
    "gromacs",
    "Molecular dynamics with GROMACS",
    citations=["M. J. Abraham et al., GROMACS: High performance molecular simulations through multi-level parallelism from "
               "laptops to supercomputers, SoftwareX 1-2 (2015) 19, doi:10.1016/j.softx.2015.06.001"],
)  # fmt: skip


@dataclass(frozen=True)
class Setting:
    """One run parameter that takes the place of the one in the mdp file."""

    name: str
    value: str


@dataclass(frozen=True)
class Resources:
    """How many cores a simulation may have, and how many GPUs (none, if not given)."""

    cores_min: int | None = None
    cores_max: int | None = None
    gpus: int | None = None


@dataclass(frozen=True)
class Prepared:
    """What grompp makes."""

    tpr: Annotated[File, "run input"]
    stdout: Annotated[File, "what grompp printed"]


@dataclass(frozen=True)
class Parts:
    """What mdrun leaves when it has come to its end, in as many parts as it took."""

    conf: Annotated[File, "final structure"]
    edr: Annotated[list[File], "energies"]
    log: Annotated[list[File], "logs"]
    xtc: Annotated[list[File] | None, "compressed trajectories"]
    trr: Annotated[list[File] | None, "full-precision trajectories"]
    stdout: Annotated[File, "what the last part printed"]
    stderr: Annotated[File, "what the last part printed on standard error"]


@dataclass(frozen=True)
class Simulated:
    """A finished simulation, its parts joined."""

    conf: Annotated[File, "final structure"]
    stderr: Annotated[File, "what mdrun printed on standard error"]
    stdout: Annotated[File, "what mdrun printed"]
    xtc: Annotated[File | None, "compressed trajectory"]
    trr: Annotated[File | None, "full-precision trajectory"]
    edr: Annotated[File, "energies"]
    log: Annotated[File, "log"]


@module.command
def grompp(
    conf: Annotated[File, "structure: gro, g96, pdb …"],
    mdp: Annotated[File, "run parameters"],
    top: Annotated[File, "topology"],
    include: Annotated[Sequence[File], "files that the topology includes, under their own names"] = (),
    settings: Annotated[Sequence[Setting], "run parameters in place of those in mdp, or besides"] = (),
    ndx: Annotated[File | None, "index groups"] = None,
    cmdline_options: Annotated[Sequence[str], "further options of gmx grompp"] = (),
) -> Job[Prepared]:
    """Makes the run input of a simulation."""
    return Job(
        "gromacs/grompp >=2019",
        [
            "--settings", json.dumps([asdict(setting) for setting in settings]), mdp,
            "-c", conf, "-p", top, *option("-n", ndx), "-o", "topol.tpr", *cmdline_options,
        ],
        Prepared(tpr=file("topol.tpr"), stdout=file("stdout")),
        needs=include,
        done_when="topol.tpr",
    )  # fmt: skip


Steps = Annotated[
    int | None, "steps in all, in place of those of the run input; a longer simulation goes on where a shorter one ended"
]


@module.command
def mdrun_parts(
    tpr: File,
    priority: int = 0,
    cmdline_options: Sequence[str] = (),
    resources: Resources | None = None,
    nsteps: Steps = None,
) -> Job[Parts]:
    """Runs one simulation to its end, in as many parts as it takes."""
    allowed = resources or Resources()
    least = max(1, allowed.cores_min or 1)
    return Job(
        "gromacs/mdrun >=2019",
        ["-s", tpr, "-noappend", "-cpi", "state.cpt", *cmdline_options],
        Parts(
            conf=file("confout*.gro"),
            edr=files("ener.part*.edr"),
            log=files("md.part*.log"),
            xtc=files("traj_comp.part*.xtc"),
            trr=files("traj.part*.trr"),
            stdout=file("stdout"),
            stderr=file("stderr"),
        ),
        until=option("--nsteps", nsteps),
        cores=(least, None if allowed.cores_max is None else max(least, allowed.cores_max)),
        gpus=allowed.gpus or 0,
        priority=priority,
        checkpoint=["state.cpt"],
        watch=["md.part*.log", "ener.part*.edr"],
        done_when="confout*.gro",
        rules=[
            Rule(stderr="domain decomposition|no domain decomp", then=FewerCores),
            Rule(stderr="Fatal error|Error in user input|Inconsistency in user input", then=Fail),
            GiveUp(after=4, without="progress"),
        ],
    )


@module.command(deterministic=True)
def join_parts(
    conf: File,
    edr: Sequence[File],
    log: Sequence[File],
    stdout: File,
    stderr: File,
    xtc: Sequence[File] | None = None,
    trr: Sequence[File] | None = None,
) -> Job[Simulated]:
    """Joins the parts of one simulation; where two overlap in time, the later one counts."""
    kinds = {"xtc": list(xtc or ()), "trr": list(trr or ()), "edr": list(edr), "log": list(log)}
    joined = {kind: _joined(kind, parts) for kind, parts in kinds.items()}
    return Job(
        "gromacs/join >=2019",
        [word for kind, parts in kinds.items() if len(parts) > 1 for word in option(f"--{kind}", parts)],
        Simulated(
            conf=replace(conf, name="confout.gro"),
            stdout=stdout,
            stderr=stderr,
            xtc=joined["xtc"],
            trr=joined["trr"],
            edr=joined["edr"] or edr[0],
            log=joined["log"] or log[0],
        ),
    )


_NAMES = {"xtc": "traj.xtc", "trr": "traj.trr", "edr": "ener.edr", "log": "md.log"}


def _joined(kind: str, parts: Sequence[File]) -> File | None:
    """One part is the whole; several are joined."""
    if not parts:
        return None
    return replace(parts[0], name=_NAMES[kind]) if len(parts) == 1 else file(f"joined.{kind}")


@dataclass(frozen=True)
class Speed:
    """How fast a simulation runs on so many cores."""

    cores: int
    ns_per_day: float


@dataclass(frozen=True)
class Tuned:
    """Run parameters, and how many cores a simulation with them is worth."""

    mdp: Annotated[File, "with the settings in place"]
    resources: Annotated[Resources, "fewest and most cores that pay; an input of mdrun"]
    speeds: Annotated[list[Speed], "what was measured"]


@module.command
def mdrun_tune(
    conf: Annotated[File, "structure: gro, g96, pdb …"],
    mdp: Annotated[File, "run parameters"],
    top: Annotated[File, "topology"],
    include: Annotated[Sequence[File], "files that the topology includes, under their own names"] = (),
    settings: Annotated[Sequence[Setting], "run parameters in place of those in mdp, or besides"] = (),
    ndx: Annotated[File | None, "index groups"] = None,
    cmdline_options: Annotated[Sequence[str], "further options of gmx mdrun"] = (),
    seconds: Annotated[float, "for how long each number of cores is tried"] = 20.0,
) -> Job[Tuned]:
    """Measures a simulation on 1, 2, 4 … and all cores of a worker: those pay that do at least 0.7 of what one does at best."""
    return Job(
        "gromacs/tune >=2019",
        [
            seconds, "--settings", json.dumps([asdict(setting) for setting in settings]), mdp,
            "-c", conf, "-p", top, *option("-n", ndx), "-o", "topol.tpr", "--", *cmdline_options,
        ],
        Tuned(
            mdp=file("settings.mdp"), resources=json_of("resources.json", Resources), speeds=json_of("speeds.json", list[Speed])
        ),
        needs=include,
        cores=(1, None),
        done_when="speeds.json",
    )  # fmt: skip


@module.network
def mdrun(
    tpr: Annotated[File, "run input"],
    priority: Annotated[int, "-30 to 30, higher first"] = 0,
    cmdline_options: Annotated[Sequence[str], "further options of gmx mdrun"] = (),
    resources: Annotated[Resources | None, "how many cores; as many as there are, if not given"] = None,
    nsteps: Steps = None,
) -> Simulated:
    """One simulation: run to its end on any workers, its parts joined."""
    parts = mdrun_parts(tpr, priority, cmdline_options, resources, nsteps)
    return join_parts(parts.conf, parts.edr, parts.log, parts.stdout, parts.stderr, parts.xtc, parts.trr)


@module.network
def grompp_mdrun(
    conf: Annotated[File, "structure: gro, g96, pdb …"],
    mdp: Annotated[File, "run parameters"],
    top: Annotated[File, "topology"],
    include: Annotated[Sequence[File], "files that the topology includes, under their own names"] = (),
    settings: Annotated[Sequence[Setting], "run parameters in place of those in mdp, or besides"] = (),
    ndx: Annotated[File | None, "index groups"] = None,
    priority: Annotated[int, "-30 to 30, higher first"] = 0,
    cmdline_options: Annotated[Sequence[str], "further options of gmx mdrun"] = (),
    resources: Annotated[Resources | None, "how many cores; as many as there are, if not given"] = None,
    nsteps: Steps = None,
) -> Simulated:
    """Prepares and runs one simulation.

    Say its length by `nsteps`, and it can be made longer later: the number in the mdp file is part of what is prepared.
    """
    prepared = grompp(conf, mdp, top, include, settings, ndx)
    return mdrun(prepared.tpr, priority, cmdline_options, resources, nsteps)


grompps = module.scatter("grompps", grompp)
mdruns = module.scatter("mdruns", mdrun)
grompp_mdruns = module.scatter("grompp_mdruns", grompp_mdrun)
