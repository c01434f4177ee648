"""Errors as answers: what a caller may know of them, and under which status."""

from __future__ import annotations

import errno
import logging

from aiohttp import web

from copernicus.errors import Conflict, CopernicusError, InternalError, NoSpace, Unavailable
from copernicus.wire.codec import encode
from copernicus.wire.messages import ErrorReply

_log = logging.getLogger(__name__)


def failure(error: CopernicusError) -> web.Response:
    """The answer for an error that is meant to be shown."""
    seq = error.seq if isinstance(error, Conflict) else 0
    body = encode(ErrorReply(error.code, error.message, error.hint, seq))
    return web.Response(status=error.status, body=body, content_type="application/json")


def fault(error: BaseException, where: str) -> web.Response:
    """The answer for any other error: the log gets all of it, the caller nothing but that it happened."""
    _log.error("fault in %s", where, exc_info=error)
    return failure(InternalError("The server made a mistake.", "Its log says more."))


def starved(error: OSError | MemoryError, where: str) -> web.Response:
    """The answer when the machine refused something to the server: the caller may ask again, and shall not think ill of
    what was asked for."""
    _log.error("the system refused something in %s", where, exc_info=error)
    if isinstance(error, MemoryError):
        return failure(Unavailable("The server has no memory left for this.", "Try again."))
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return failure(NoSpace("The server's disk is full.", "Free some space; it is then tried again."))
    return failure(Unavailable(f"The server's system refused it: {error.strerror}.", "Try again; the server's log says more."))
