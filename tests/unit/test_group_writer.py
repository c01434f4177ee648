"""What those are told who wait for a commit."""

from __future__ import annotations

import asyncio

import pytest

from copernicus.errors import CorruptData, Unavailable
from copernicus.server.storage.abc import ProjectRow, PutProject, Unit
from copernicus.server.storage.groups import GroupWriter


def test_a_damaged_book_says_nothing_ill_of_what_was_asked_for() -> None:
    def commit(units: list[Unit]) -> None:
        raise CorruptData("The book is damaged.", "Restore a backup.")

    async def ask() -> None:
        unit = Unit()
        unit.add(PutProject(ProjectRow("p", "one", 1.0)))
        with pytest.raises(Unavailable, match=r"The book is damaged\. Restore a backup\."):
            await writer.submit(unit)
        with pytest.raises(Unavailable):
            await writer.recover()

    writer = GroupWriter(commit, lambda: commit([]), "test")
    try:
        asyncio.run(ask())
    finally:
        writer.close()
