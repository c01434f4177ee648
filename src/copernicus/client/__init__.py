"""The client: typed Python API and cpcc."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from copernicus.client.api import Client, Project, Transaction
    from copernicus.client.executor import BagExecutor
    from copernicus.client.futures import BagFuture, RemoteError
    from copernicus.client.instance import Instance
    from copernicus.client.place import Fields, Place
    from copernicus.client.waiting import Failed, TimedOut

__all__ = [
    "BagExecutor", "BagFuture", "Client", "Failed", "Fields", "Instance", "Place", "Project", "RemoteError", "TimedOut",
    "Transaction",
]  # fmt: skip
_MODULES = {
    "BagExecutor": "executor", "BagFuture": "futures", "Failed": "waiting", "Fields": "place", "Instance": "instance",
    "Place": "place", "RemoteError": "futures", "TimedOut": "waiting",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    """Load the API when it is asked for: `cpcc -h` needs nothing of it."""
    if name in __all__:
        from importlib import import_module

        return getattr(import_module(f"copernicus.client.{_MODULES.get(name, 'api')}"), name)
    raise AttributeError(f"module 'copernicus.client' has no attribute {name!r}")
