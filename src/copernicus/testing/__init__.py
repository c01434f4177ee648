"""The test kit for authors of modules."""

from copernicus.plugin.catalog import load_module
from copernicus.testing.authors import FakeChild, FakeInstance, call_command, fake_file
from copernicus.testing.box import CopernicusInABox
from copernicus.testing.contract import RULES, ContractBroken, check_controller

__all__ = [
    "RULES",
    "ContractBroken",
    "CopernicusInABox",
    "FakeChild",
    "FakeInstance",
    "call_command",
    "check_controller",
    "fake_file",
    "load_module",
]
