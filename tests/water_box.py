"""A small box of water, made with the real gmx: structure, run parameters and topology of about a thousand atoms."""

from __future__ import annotations

import subprocess
from pathlib import Path

TOPOLOGY = """#include "oplsaa.ff/forcefield.itp"
#include "oplsaa.ff/spc.itp"
[ system ]
water
[ molecules ]
"""

PARAMETERS = """integrator = md
dt = 0.002
nsteps = {nsteps}
nstxout-compressed = 50
nstenergy = 50
nstlog = 50
coulombtype = reaction-field
rcoulomb = 0.9
rvdw = 0.9
tcoupl = v-rescale
tc-grps = system
tau-t = 0.5
ref-t = 300
gen-vel = yes
"""


def make_water_box(folder: Path, nsteps: int = 200) -> Path:
    """Write conf.gro, grompp.mdp and topol.top into `folder` and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "topol.top").write_text(TOPOLOGY)
    (folder / "grompp.mdp").write_text(PARAMETERS.format(nsteps=nsteps))
    subprocess.run(
        [
            "gmx",
            "-quiet",
            "-nobackup",
            "solvate",
            "-cs",
            "spc216.gro",
            "-box",
            "2.2",
            "2.2",
            "2.2",
            "-p",
            "topol.top",
            "-o",
            "conf.gro",
        ],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    return folder
