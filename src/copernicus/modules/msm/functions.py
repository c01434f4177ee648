"""Workflow functions of Markov modelling."""

from copernicus.modules.msm.adaptive import adaptive
from copernicus.modules.msm.models import build_msm, module, report

__all__ = ["adaptive", "build_msm", "module", "report"]
