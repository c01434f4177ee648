"""The executables of Markov modelling."""

from __future__ import annotations

from copernicus.plugin.executables import python_program

_THREADS = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

executables = [
    python_program("msm/build", "copernicus.modules.msm.program", distribution="deeptime", is_warm=True, environment=_THREADS),
]
