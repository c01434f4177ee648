"""The client: typed Python API and cpcc."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from copernicus.client.api import Client, Project, Transaction

__all__ = ["Client", "Project", "Transaction"]


def __getattr__(name: str) -> Any:
    """Load the API when it is asked for: `cpcc -h` needs nothing of it."""
    if name in __all__:
        from copernicus.client import api

        return getattr(api, name)
    raise AttributeError(f"module 'copernicus.client' has no attribute {name!r}")
