"""Workflow functions for ensembles of any program's runs."""

from copernicus.modules.ensemble.applying import apply, apply_each
from copernicus.modules.ensemble.bags import map, module, reduce, run, sweep
from copernicus.modules.ensemble.estimating import estimate
from copernicus.modules.ensemble.racing import race
from copernicus.modules.ensemble.sampling import measure, sample

__all__ = ["apply", "apply_each", "estimate", "map", "measure", "module", "race", "reduce", "run", "sample", "sweep"]
