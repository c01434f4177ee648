"""The executables of OpenMM's jobs."""

from __future__ import annotations

from copernicus.plugin.executables import python_program

executables = [
    python_program(
        "openmm/segment",
        "copernicus.modules.openmm.program",
        distribution="openmm",
        is_warm=True,
        environment={"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
    ),
]
