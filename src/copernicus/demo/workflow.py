"""What the demo asks for: the project with `msm::adaptive` over alanine dipeptide, and what it reads of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from copernicus.client.api import Client, Project
from copernicus.demo.molecule import PHI, PSI, START_REGIONS, alanine_dipeptide
from copernicus.errors import CopernicusError

PROJECT = "demo"
INSTANCE = "msm"
LAG_FRAMES = 5  # 1 ps: the timescales are flat from there on, and a shorter lag connects rare states sooner
PICTURES = {
    "free_energy.png": "free-energy surface over φ and ψ",
    "timescales.png": "implied timescales against the lag",
    "convergence.png": "convergence over the generations",
    "chapman_kolmogorov.png": "Chapman–Kolmogorov test",
}


def _ranges(**ranges: tuple[int, int]) -> list[dict[str, Any]]:
    return [{"feature": feature, "low": float(low), "high": float(high)} for feature, (low, high) in ranges.items()]


# In degrees; a range with low > high goes over ±180°, as β does.
REGIONS = [
    {"name": "alpha_L", "ranges": _ranges(phi=(0, 120))},
    {"name": "alpha_R", "ranges": _ranges(phi=(120, 0), psi=(-120, 50))},
    {"name": "beta", "ranges": _ranges(phi=(120, 0), psi=(50, -120))},
]


@dataclass(frozen=True)
class Size:
    """How much the demo computes, and after how long it gives up."""

    generations: int
    recluster_ns: float
    segment_ns: float
    num_sim: int
    samples: int
    deadline_s: float

    @property
    def total_ns(self) -> float:
        """Simulated time in the end."""
        return self.generations * self.recluster_ns


FULL = Size(generations=14, recluster_ns=0.4, segment_ns=0.01, num_sim=8, samples=50, deadline_s=900.0)
QUICK = Size(generations=4, recluster_ns=0.2, segment_ns=0.01, num_sim=8, samples=30, deadline_s=300.0)


def create_project(client: Client, size: Size, folder: Path, seed: int) -> Project:
    """Make the project and let it run; the start structures are written into `folder` first."""
    folder.mkdir(exist_ok=True)
    structures = []
    for name, (phi, psi) in START_REGIONS.items():
        structures.append(folder / f"{name}.pdb")
        structures[-1].write_text(alanine_dipeptide(phi, psi), encoding="utf-8")
    inputs: dict[str, Any] = {
        "confs": structures,
        "features": [{"name": name, "kind": "dihedral", "atoms": list(atoms)} for name, atoms in (("phi", PHI), ("psi", PSI))],
        "regions": REGIONS,
        "num_generations": size.generations,
        "recluster": size.recluster_ns,
        "segment_ns": size.segment_ns,
        "num_sim": size.num_sim,
        "lag_time": LAG_FRAMES,
        "seed": seed,
        "samples": size.samples,
    }
    project = client.start_project(PROJECT)
    with project.transaction() as change:
        change.import_module("openmm")
        change.import_module("msm")
        change.instance("msm::adaptive", INSTANCE)
        for name, value in inputs.items():
            change.set(f"{INSTANCE}:in.{name}", value)
        change.activate()
    return project


@dataclass(frozen=True)
class Standing:
    """How things stand."""

    generation: int = 0
    simulated_ns: float = 0.0
    states: int = 0
    connected_states: int = 0
    timescales_ns: list[Mapping[str, Any]] = field(default_factory=list)
    populations: list[Mapping[str, Any]] = field(default_factory=list)
    is_finished: bool = False
    jobs_done: int = 0


def look(project: Project) -> Standing:
    """Ask the server how things stand; raise `InstanceFailed` when an instance is in error."""
    status = project.status()
    if status.errors:
        first = status.errors[0]
        raise InstanceFailed(f"{first.path} ({first.function}) is in error: {first.why}")
    if status.top and status.top[0].warning:
        raise InstanceFailed(f"{status.top[0].path}: {status.top[0].warning}")
    names = ("generation", "simulated_ns", "states", "connected_states", "timescales_ns", "populations", "is_finished")
    found: dict[str, Any] = {name: project.get_reply(f"{INSTANCE}:out.{name}").value for name in names}
    return Standing(jobs_done=status.jobs.get("done", 0), **{name: value for name, value in found.items() if value is not None})


class InstanceFailed(CopernicusError):
    """An instance of the workflow is in error."""

    code = "demo"


def fetch_results(project: Project, folder: Path) -> dict[str, Any]:
    """Download the pictures into `folder`; return macrostates, timescales and populations."""
    for picture in PICTURES:
        project.get_file(f"{INSTANCE}:out.{picture.replace('.', '_')}", folder / picture)
    names = (
        "macrostates",
        "timescales_ns",
        "populations",
        "simulated_ns",
        "states",
        "connected_states",
        "generation",
        "history",
    )
    return {name: project.get_reply(f"{INSTANCE}:out.{name}").value for name in names}
