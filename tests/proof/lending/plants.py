"""Bugs planted into the room that lends: each breaks one of the promises about borrowed attempts."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any
from unittest.mock import patch

from msgspec.structs import replace

from copernicus.server.peers.borrowed import Book, Borrowed
from copernicus.server.peers.lending import Lending
from copernicus.server.storage.abc import Unit
from copernicus.wire import messages as m

Plant = Callable[[], AbstractContextManager[Any]]


def relay_ends_a_job() -> AbstractContextManager[Any]:
    """A result that the lender has is done with: it is dropped, and the owner is not told."""
    put = Book.put

    def put_and_end(self: Book, unit: Unit, row: Borrowed) -> None:
        put(self, unit, row)
        if row.report is not None and row.report.outcome == "finished":
            self.drop(unit, row)

    return patch.object(Book, "put", put_and_end)


def accepted_in_memory_only() -> AbstractContextManager[Any]:
    """The report stands in memory when the worker is told, and in no book."""
    put = Book.put

    def put_bare(self: Book, unit: Unit, row: Borrowed) -> None:
        put(self, unit if row.report is None else Unit(), row)

    return patch.object(Book, "put", put_bare)


def lender_leases_again() -> AbstractContextManager[Any]:
    """A borrowed attempt whose worker is gone is given to the next one that asks."""
    borrow = Lending._borrow

    async def from_hand(self: Lending, request: Any, identity: Any) -> Any:
        for row in self.book:
            if row.report is None and self._loans.is_gone(row.worker):
                unit = Unit()
                self.book.drop(unit, row)
                taken = replace(row, worker=request.worker, bundle=identity.key)
                self.book.put(unit, taken)
                await self._store.submit(unit)
                return m.ExchangeReply([replace(row.lease, job=row.number)])
        return await borrow(self, request, identity)

    return patch.object(Lending, "_borrow", from_hand)


def lender_beats_by_itself() -> AbstractContextManager[Any]:
    """A lender says that all it has borrowed is alive, whenever any worker beats."""
    heartbeat = Lending.heartbeat

    async def for_all(self: Lending, request: Any, identity: Any) -> Any:
        reply = await heartbeat(self, request, identity)
        for row in self.book:
            if row.report is None:
                await self._beat(row.owner, [(row, m.Beat(row.number, row.lease.attempt))], identity)
        return reply

    return patch.object(Lending, "heartbeat", for_all)


def peers_before_the_own_queue() -> AbstractContextManager[Any]:
    """A worker that asks is lent first."""
    exchange = Lending.exchange

    async def abroad_first(self: Lending, request: Any, identity: Any, *more: Any) -> Any:
        found = await self._borrow(request, identity) if request.free_cores and not request.reports else None
        return found or await exchange(self, request, identity, *more)

    return patch.object(Lending, "exchange", abroad_first)


PLANTS: dict[str, tuple[Plant, set[str]]] = {
    "relay ends a job": (relay_ends_a_job, {"lost"}),
    "a report accepted in memory only": (accepted_in_memory_only, {"lost"}),
    "lender leases again": (lender_leases_again, {"leased again"}),
    "lender beats by itself": (lender_beats_by_itself, {"made up"}),
    "peers before the own queue": (peers_before_the_own_queue, {"own queue first"}),
}
"""By name: how to plant it, and as what it must be found."""
