"""Copernicus: peer-to-peer computing with ensembles."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from copernicus._version import __version__

__all__ = ["__version__"]


def __getattr__(name: str) -> str:
    """Look the version up when it is asked for: `importlib.metadata` would double the start-up time of `cpcc`."""
    if name == "__version__":
        from copernicus._version import __version__

        return __version__
    raise AttributeError(f"module 'copernicus' has no attribute {name!r}")
