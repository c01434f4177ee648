"""The program behind OpenMM's jobs: `segment` simulates, `minimize` relaxes.

A worker may import this module once and fork for each job, so importing it does all that every job needs (OpenMM, and
the default force field) and makes no thread and no context.
"""

from __future__ import annotations

import argparse
import os
import secrets
import sys
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy: a library with threads of its own does not survive a fork
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import openmm

from copernicus.modules.openmm.features import ATOMS_OF_KIND, FeatureDefinition
from copernicus.modules.openmm.molecule import DEFAULT_FORCEFIELD, forcefield, minimize
from copernicus.modules.openmm.segment import SegmentSettings, run_segment

forcefield(*DEFAULT_FORCEFIELD)


def parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    root = argparse.ArgumentParser(prog="python -m copernicus.modules.openmm.program", description="Simulate with OpenMM.")
    commands = root.add_subparsers(dest="command", required=True)
    both = argparse.ArgumentParser(add_help=False)
    both.add_argument("--structure", type=Path, required=True, help="PDB file with the molecule")
    both.add_argument("--forcefield", nargs="+", default=list(DEFAULT_FORCEFIELD), help="force field files of OpenMM")
    both.add_argument("--platform", default="auto", help="OpenMM platform (default: Reference for tiny systems)")

    run = commands.add_parser("segment", parents=[both], help="simulate", allow_abbrev=False)
    run.add_argument("--length-ps", type=float, required=True)
    run.add_argument("--frame-ps", type=float, default=0.2, help="time between frames")
    run.add_argument("--timestep-fs", type=float, default=4.0, help="above 2 fs hydrogens weigh 4 u")
    run.add_argument("--temperature-K", type=float, default=300.0, dest="temperature_k")
    run.add_argument("--friction-per-ps", type=float, default=5.0)
    run.add_argument("--seed", type=int, help="the same seed, the same trajectory")
    run.add_argument(
        "--positions", type=Path, help="start from here: end.npz or trajectory.dcd of another segment, or a PDB file"
    )
    run.add_argument("--positions-frame", type=int, default=0, help="which frame of a trajectory")
    run.add_argument(
        "--feature", nargs="+", action="append", default=[], metavar=("NAME KIND", "ATOM"),
        help=f"kinds: {', '.join(f'{kind} ({atoms} atoms)' for kind, atoms in ATOMS_OF_KIND.items())}",
    )  # fmt: skip
    run.add_argument("--energy", action="store_true", help="write energy.csv")

    relax = commands.add_parser("minimize", parents=[both], help="relax a structure", allow_abbrev=False)
    relax.add_argument("--tolerance", type=float, default=10.0, help="kJ/mol/nm")
    relax.add_argument("--max-iterations", type=int, default=0, help="0: until it has converged")
    return root


def main(argv: list[str]) -> int:
    """Do one job in the current folder; return the exit status (75: asked to stop, and a checkpoint is left)."""
    options = parser().parse_args(argv)
    try:
        if options.command == "minimize":
            print(minimize(options.structure, options.forcefield, options.tolerance, options.max_iterations, options.platform))
            return 0
        return run_segment(_settings(options))
    except (ValueError, IndexError, OSError, openmm.OpenMMException) as error:
        print(f"{options.command}: {error}", file=sys.stderr)
        return 1


def _settings(options: argparse.Namespace) -> SegmentSettings:
    return SegmentSettings(
        structure=options.structure,
        forcefield=tuple(options.forcefield),
        length_ps=options.length_ps,
        frame_ps=options.frame_ps,
        timestep_fs=options.timestep_fs,
        temperature_k=options.temperature_k,
        friction_per_ps=options.friction_per_ps,
        seed=options.seed if options.seed is not None else secrets.randbits(31),
        positions=options.positions,
        positions_frame=options.positions_frame,
        features=tuple(FeatureDefinition.parse(words) for words in options.feature),
        with_energy=options.energy,
        platform=options.platform,
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
