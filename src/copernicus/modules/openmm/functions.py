"""Workflow functions over OpenMM: one simulation segment, many of them, and the relaxation of a structure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from copernicus.plugin.functions import Fail, File, GiveUp, Job, Module, Rule, file, number, option

module = Module(
    "openmm",
    "Molecular dynamics with OpenMM",
    citations=["P. Eastman et al., OpenMM 8: Molecular Dynamics Simulation with Machine Learning Potentials, J. Phys. Chem. B "
               "128 (2024) 109, doi:10.1021/acs.jpcb.3c06662"],
)  # fmt: skip

FORCEFIELD = ("amber96.xml", "amber96_obc.xml")


@dataclass(frozen=True)
class Feature:
    """A number that describes a structure: a dihedral angle (4 atoms, radians) or a distance (2 atoms, nm)."""

    name: str
    kind: Literal["dihedral", "distance"]
    atoms: list[int]


@dataclass(frozen=True)
class Simulated:
    """A piece of trajectory; frame 0 is where it started."""

    features: Annotated[File, ".npz: for each feature an array (frames, 1)"]
    trajectory: Annotated[File, ".dcd"]
    end: Annotated[File, ".npz: positions (nm) and velocities (nm/ps)"]
    energy: Annotated[File | None, ".csv: potential energy in kJ/mol"]
    length_ps: float


@dataclass(frozen=True)
class Minimized:
    """A relaxed structure and its potential energy, kJ/mol."""

    structure: File
    energy: float


_RULES = [Rule(exit_status=1, then=Fail), Rule(exit_status=2, then=Fail), GiveUp(after=4, without="progress")]


@module.command
def segment(
    structure: Annotated[File, "PDB file with the molecule"],
    length_ps: Annotated[float, "a whole number of frames"],
    features: Sequence[Feature] = (),
    forcefield: Annotated[Sequence[str], "files of OpenMM"] = FORCEFIELD,
    frame_ps: Annotated[float, "time between frames"] = 0.2,
    timestep_fs: Annotated[float, "above 2 fs hydrogens weigh 4 u"] = 4.0,
    temperature_K: float = 300.0,
    friction_per_ps: float = 5.0,
    seed: Annotated[int | None, "the same seed, the same trajectory; without one, another each time"] = None,
    positions: Annotated[File | None, "start from here: end or trajectory of another segment, or a PDB file"] = None,
    positions_frame: Annotated[int, "which frame of a trajectory"] = 0,
    with_energy: Annotated[bool, "write the energies too"] = False,
    platform: Annotated[str, "OpenMM platform; auto: Reference for tiny systems, else the fastest"] = "auto",
    cores_max: int = 1,
    priority: int = 0,
    gpus: int = 0,
) -> Job[Simulated]:
    """Simulates for a given time with Langevin dynamics; velocities come with `positions`, or are drawn anew."""
    return Job(
        "openmm/segment",
        [
            "segment", "--structure", structure, "--forcefield", *forcefield, "--frame-ps", frame_ps,
            "--timestep-fs", timestep_fs, "--temperature-K", temperature_K, "--friction-per-ps", friction_per_ps,
            "--platform", platform, *option("--seed", seed), *option("--positions", positions),
            *option("--positions-frame", positions_frame or None), *option("--energy", with_energy),
            *(word for one in features for word in ("--feature", one.name, one.kind, *map(str, one.atoms))),
        ],
        Simulated(
            features=file("features.npz"), trajectory=file("trajectory.dcd"), end=file("end.npz"),
            energy=file("energy.csv") if with_energy else None, length_ps=length_ps,
        ),
        until=["--length-ps", length_ps],
        cores=(1, max(1, cores_max)),
        gpus=gpus,
        priority=priority,
        checkpoint=["segment.npz", "trajectory.dcd"],
        done_when="end.npz",
        rules=_RULES,
    )  # fmt: skip


@module.command(deterministic=True)
def minimize(
    structure: Annotated[File, "PDB file with the molecule"],
    forcefield: Annotated[Sequence[str], "files of OpenMM"] = FORCEFIELD,
    tolerance: Annotated[float, "kJ/mol/nm"] = 10.0,
    max_iterations: Annotated[int, "0: until it has converged"] = 0,
    priority: int = 0,
) -> Job[Minimized]:
    """Relaxes a structure to the nearest minimum of its potential energy."""
    return Job(
        "openmm/segment",
        ["minimize", "--structure", structure, "--forcefield", *forcefield,
         "--tolerance", tolerance, "--max-iterations", max_iterations],
        Minimized(structure=file("minimized.pdb"), energy=number("stdout", r"energy after:\s+(\S+)")),
        priority=priority,
        rules=_RULES,
    )  # fmt: skip


segments = module.scatter("segments", segment)
