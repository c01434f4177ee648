"""What comes out of a job while it runs, as its client gets it: piece by piece, to the job's end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from copernicus.errors import Unavailable
from copernicus.wire import messages as m

if TYPE_CHECKING:
    from copernicus.client.project import Project

WAIT_S = 20.0
AWAY_PAUSE_S = 1.0


def follow(project: Project, target: str, when_away: Callable[[str], None] | None = None) -> Iterator[m.FollowReply]:
    """Yield news of a job, the first one at once: pieces of its files, a changed state, another attempt; the end last.

    A piece whose `offset` is beyond what came before begins later in the file: what is between was too much, or too long
    ago. Once it was reached, the server may be away for any time. Raise `UnknownPath`, `UsageError` for a target without
    a job of its own.
    """
    reply = project.client.caller.call(m.FollowRequest(project.name, target))
    job, offsets, is_away = str(reply.job), dict[str, int](), False
    while True:
        yield reply
        if reply.is_over:
            return
        for piece in reply.pieces:
            offsets[piece.file] = piece.offset + len(piece.data)
        attempt, state = reply.attempt, reply.state
        while True:
            try:
                reply = project.client.caller.call(m.FollowRequest(project.name, job, attempt, offsets, state, wait_s=WAIT_S))
            except Unavailable as error:
                if when_away is not None and not is_away:
                    when_away(error.message)
                is_away = True
                time.sleep(AWAY_PAUSE_S)
                continue
            is_away = False
            if reply.attempt != attempt:
                offsets = {}
            if reply.pieces or reply.is_over or (reply.attempt, reply.state) != (attempt, state):
                break


def fetch_partial(project: Project, target: str) -> m.FetchPartialReply:
    """Have a file of a running job brought to the server as it is now, however long that takes; return what it is.

    Raise `UnknownPath` when no job runs that has it, or it is not there yet, and `UsageError` for what is no file.
    """
    from copernicus.client.project import new_request_id

    fetch = new_request_id()
    while True:
        reply = project.client.caller.call(m.FetchPartialRequest(project.name, target, fetch, WAIT_S))
        if reply.file is not None:
            return reply
