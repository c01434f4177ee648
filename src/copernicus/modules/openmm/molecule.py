"""A molecule with its forces, as OpenMM sees it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import openmm
from openmm import app, unit

from copernicus.modules.openmm.structure import with_positions

DEFAULT_FORCEFIELD = ("amber96.xml", "amber96_obc.xml")
TINY_ATOMS = 100
"""Up to this size OpenMM's Reference platform is the fastest: the others lose their time in starting kernels."""

_HEAVY_HYDROGEN_AMU = 4.0
_LIGHT_TIMESTEP_FS = 2.0


@cache
def forcefield(*files: str) -> Any:
    """Return the force field of these OpenMM files; raises `ValueError` for one that is not there."""
    return app.ForceField(*files)


class Molecule:
    """A molecule: topology, start positions (nm, shape (atoms, 3)) and the system with its forces.

    Raises `ValueError` where the force field has no parameters for a residue, `OSError` for a file that is not there.
    """

    def __init__(self, structure: Path, forcefield_files: Sequence[str], timestep_fs: float = _LIGHT_TIMESTEP_FS) -> None:
        pdb = app.PDBFile(str(structure))
        self.topology = pdb.topology
        self.positions_nm: Any = np.array(pdb.getPositions(asNumpy=True).value_in_unit(unit.nanometer))
        self.system = forcefield(*forcefield_files).createSystem(
            self.topology,
            nonbondedMethod=app.NoCutoff if self.topology.getPeriodicBoxVectors() is None else app.PME,
            constraints=app.HBonds,
            # Heavy hydrogens slow the fastest motions, so that 4 fs is a safe step; the equilibrium stays what it is.
            hydrogenMass=_HEAVY_HYDROGEN_AMU * unit.amu if timestep_fs > _LIGHT_TIMESTEP_FS else None,
        )

    def context(self, integrator: Any, platform: str = "auto") -> Any:
        """Return a context on the named platform; "auto" is Reference for tiny systems, else the fastest one here.

        The CPU platform gets as many threads as this process has cores.
        """
        if platform != "auto":
            chosen = openmm.Platform.getPlatformByName(platform)
        elif self.system.getNumParticles() <= TINY_ATOMS:
            chosen = openmm.Platform.getPlatformByName("Reference")
        else:
            known = [openmm.Platform.getPlatform(number) for number in range(openmm.Platform.getNumPlatforms())]
            chosen = max(known, key=lambda one: one.getSpeed())
        threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
        properties = {"Threads": str(threads)} if chosen.getName() == "CPU" else {}
        return openmm.Context(self.system, integrator, chosen, properties)


def minimize(structure: Path, forcefield_files: Sequence[str], tolerance: float, max_iterations: int, platform: str) -> str:
    """Relax a structure to the nearest minimum of the potential energy; write minimized.pdb and return what was gained.

    `tolerance` in kJ/mol/nm. Raises `ValueError` when the energy is not finite.
    """
    molecule = Molecule(structure, forcefield_files)
    context = molecule.context(openmm.VerletIntegrator(0.001), platform)
    context.setPositions(molecule.positions_nm)
    before = _potential_kj(context)
    openmm.LocalEnergyMinimizer.minimize(context, tolerance, max_iterations)
    after = _potential_kj(context)
    if not np.isfinite(after):
        raise ValueError(f"{structure.name}: the energy is not finite; atoms may overlap.")
    positions = context.getState(getPositions=True).getPositions(asNumpy=True).value_in_unit(unit.nanometer)
    text = with_positions(structure.read_text(encoding="utf-8"), positions)
    Path("minimized.pdb").write_text(text, encoding="utf-8")
    return f"Potential energy before: {before:.6f} kJ/mol\nPotential energy after: {after:.6f} kJ/mol"


def _potential_kj(context: Any) -> float:
    return float(context.getState(getEnergy=True).getPotentialEnergy().value_in_unit(unit.kilojoule_per_mole))
