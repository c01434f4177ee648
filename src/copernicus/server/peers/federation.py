"""All that makes servers one network: the room of peers, lending, what is watched, files, the outbox, the news."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial

from copernicus.blobs.folder import BlobFolder
from copernicus.errors import CopernicusError
from copernicus.server.peers.borrowed import Book
from copernicus.server.peers.files import PeerFiles
from copernicus.server.peers.lending import Lending, lent_name
from copernicus.server.peers.link import Link
from copernicus.server.peers.news import LONGEST_WAIT_S, News
from copernicus.server.peers.outbox import Outbox
from copernicus.server.peers.ports import Loans, Own, OwnStreams
from copernicus.server.peers.room import PeerRoom
from copernicus.server.peers.watching import Watching
from copernicus.server.storage.abc import BookStore
from copernicus.wire import messages as m

ANSWER_S = 15.0
LEAST_PAUSE_S = 0.05
_log = logging.getLogger(__name__)


class Federation:
    """Made when the server's own rooms are; `load` comes after the workers' leases have been read."""

    def __init__(
        self,
        room: PeerRoom,
        *,
        own: Own,
        streams: OwnStreams,
        loans: Loans,
        store: BookStore,
        blobs: BlobFolder,
        clock: Callable[[], float],
        monotonic: Callable[[], float],
    ) -> None:
        self.room, links = room, room.links
        book = Book(store)
        self.book = book
        self.files = PeerFiles(blobs, links, book.owner_of)
        name_at_owner = partial(lent_name, room.trust.own)
        self.outbox = Outbox(book, links, self.files, store, name_at_owner)
        self.news = News(room.trust.own, 1000 * int(clock()))
        self.lending = Lending(room, own, loans, book, self.outbox, self.news, store, blobs.has, clock, monotonic)
        self.watching = Watching(self.lending, streams, links, self.files)
        self._tasks: set[asyncio.Task[None]] = set()
        room.when_linked = self._linked

    def load(self) -> None:
        """Read again what is borrowed."""
        self.lending.load()

    async def close(self) -> None:
        """Close the links, and stop delivering; what is not delivered stands in the book."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.outbox.close()
        await self.files.close()
        await self.room.close()

    def _linked(self, link: Link) -> None:
        self.outbox.wake(link.peer)
        task = asyncio.ensure_future(self._follow(link))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _follow(self, link: Link) -> None:
        """Hear over a link when jobs wait somewhere."""
        self.news.merge({link.peer: 0})
        self.lending.look_again()
        while link.is_open:
            try:
                reply = await link.call(m.NewsRequest(self.news.counts(), LONGEST_WAIT_S), LONGEST_WAIT_S + ANSWER_S)
                self.news.merge(reply.counts)
                await asyncio.sleep(LEAST_PAUSE_S)
            except CopernicusError as error:
                _log.debug("no news of server %s: %s", link.peer, error)
                await asyncio.sleep(1.0)
