"""Copernicus: peer-to-peer computing with ensembles."""

from copernicus._version import __version__

__all__ = ["__version__"]
