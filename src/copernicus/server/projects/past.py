"""A project's log read from its end, page by page, so that a long log holds nobody up."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Collection
from typing import NamedTuple

from copernicus.dataflow.facts import Filed, Record, Stood, decode_record
from copernicus.dataflow.network import Network, Place
from copernicus.dataflow.views import stamp_of
from copernicus.server.projects.live import LiveProject
from copernicus.server.storage.abc import BookStore

PAGE = 200
MOST_NAMED = 200
"""Up to so many instances are looked for in the bytes of a record before it is decoded."""


class Result(NamedTuple):
    """How an evaluation ended, and in which record that was filed."""

    seq: int
    time: float
    fact: Filed


class Past:
    """What was logged of one project."""

    def __init__(self, project: LiveProject, store: BookStore) -> None:
        self.project, self._store = project, store
        self._results: dict[tuple[str, int], Result | None] = {}
        """Results that were looked up: the last of a key that was filed until a record."""

    @property
    def network(self) -> Network:
        """The project's network as it stands now."""
        return self.project.network

    async def records(
        self,
        after: int,
        ids: Callable[[], Collection[int | str] | None],
        *,
        newest: Callable[[], int] | None = None,
    ) -> AsyncIterator[Record]:
        """The records above `after`, the newest first, as they stand when it begins.

        `ids` says about which instances (numbers) and keys (texts) all facts are wanted, None: about all; records in which
        there are none may be left out. `newest` says above which number no record is wanted. What these say may change on
        the way. Between two pages others have their turn, so that the network may be further afterwards.
        """
        page = list(reversed(self.project.young))  # what leaves this list later is on disk by then, and above `before`
        before = page[-1][0] if page else self.network.seq + 1
        known: Collection[int | str] | None = ()
        pattern: re.Pattern[bytes] | None = None
        is_news = True  # whoever asks may want something else after each answer
        while True:
            for seq, data in page:
                if is_news:
                    limit, wanted, is_news = newest() if newest else self.network.seq, ids(), False
                    if wanted != known:
                        known, pattern = wanted, mentioning(wanted)
                if seq <= after:
                    return
                if seq <= limit and (pattern is None or pattern.search(data)):
                    yield decode_record(data)
                    is_news = True
            if newest is not None:
                before = min(before, newest() + 1)
            if before <= after + 1:
                return
            page, is_news = self._store.newest_records(self.project.row.id, before, PAGE), True
            if not page:
                return
            before = page[-1][0]
            if before > after + 1:
                await asyncio.sleep(0)

    async def results(self, record: Record, ids: Collection[int]) -> dict[str, Result]:
        """The results, by key, that became outputs of these instances in `record`, as they were then.

        What was deleted and made again has been filed more than once.
        """
        keys = {fact.key for fact in record.facts if isinstance(fact, Stood) and fact.id in ids}
        found = {key: await self._result(key, record) for key in keys}
        return {key: result for key, result in found.items() if result is not None}

    async def _result(self, key: str, record: Record) -> Result | None:
        evaluation = self.network.evaluations.get(key)
        found = _filed(record, key)
        if found is not None or evaluation is None:
            return found
        at = min(evaluation.filed, record.seq)
        if (key, at) not in self._results:
            last = self.record(at) if at == evaluation.filed else None
            self._results[key, at] = _filed(last, key) if last is not None else await self._search(key, at)
        return self._results[key, at]

    async def _search(self, key: str, seq: int) -> Result | None:
        before, mark = seq + 1, f'["filed","{key}"'.encode()
        while page := self._store.newest_records(self.project.row.id, before, PAGE):
            for _, data in page:
                if mark in data and (found := _filed(decode_record(data), key)) is not None:
                    return found
            before = page[-1][0]
            await asyncio.sleep(0)
        return None

    async def stored(self, after: int = 0) -> list[tuple[int, bytes]]:
        """All records above `after` as they are kept, the oldest first, as they stand when it begins."""
        found = list(reversed(self.project.young))
        before = found[-1][0] if found else self.network.seq + 1
        while before > after + 1:
            page = self._store.newest_records(self.project.row.id, before, PAGE)
            if not page:
                break
            found += page
            before = page[-1][0]
            await asyncio.sleep(0)
        return [(seq, data) for seq, data in reversed(found) if seq > after]

    def record(self, seq: int) -> Record | None:
        """One record, None when there is none of that number."""
        for young, data in self.project.young:
            if young == seq:
                return decode_record(data)
        page = self._store.newest_records(self.project.row.id, seq + 1, 1)
        return decode_record(page[0][1]) if page and page[0][0] == seq else None


def _filed(record: Record, key: str) -> Result | None:
    facts = (fact for fact in record.facts if isinstance(fact, Filed) and fact.key == key and fact.outputs is not None)
    return next((Result(record.seq, record.time, fact) for fact in facts), None)


def mentioning(ids: Collection[int | str] | None) -> re.Pattern[bytes] | None:
    """What to look for in the bytes of a record that may hold a fact about one of these instances or keys; None: in all."""
    if ids is None or len(ids) > MOST_NAMED:
        return None
    # A fact is an array that begins with its tag, and those about one instance, or key, go on with it.
    names = [str(id) if isinstance(id, int) else f'"{re.escape(id)}"' for id in ids]
    return re.compile(rb'\["[a-z]+",(?:%s)[,\]]' % "|".join(sorted(names)).encode())


def newest_at(network: Network, place: Place) -> int:
    """No record above this one did anything to what an instance holds, or is connected, at a place."""
    instance = network.instances.get(place.instance)
    if instance is None:
        return 0  # it was removed while somebody read
    stamp = stamp_of(instance, place)
    return max(stamp, instance.stood_at, instance.made) if place.side == "out" else max(stamp, instance.made)
