"""A bug that several parts plant: what is not on the disk yet is acknowledged."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any
from unittest.mock import patch

from copernicus.server.storage.abc import Unit
from copernicus.server.storage.groups import GroupWriter, settle

Plant = Callable[[], AbstractContextManager[Any]]


def acknowledge_before_commit() -> AbstractContextManager[Any]:
    """Who waits is told as soon as the units are handed to the writer."""

    def flush(self: GroupWriter) -> None:
        gathered, self._gathered = self._gathered, []
        later = []
        for unit, future in gathered:
            settle(unit, future)
            bare = Unit()
            bare.changes = unit.changes
            later.append((bare, asyncio.get_running_loop().create_future()))
        if later:
            self._queue.put(later)

    return patch.object(GroupWriter, "_flush", flush)
