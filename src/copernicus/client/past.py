"""What happened in a project, as its client reads it: versions page by page, and the way back from a value."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from copernicus.wire import messages as m

if TYPE_CHECKING:
    from copernicus.client.project import Project

PAGE = 200


def versions(project: Project, path: str, limit: int | None = None, *, is_standing: bool = False) -> Iterator[m.Version]:
    """Yield the versions of a place, the newest first; at most `limit` (None: all), a page at a time."""
    cursor, left = "", limit
    while left is None or left > 0:
        page = PAGE if left is None else min(PAGE, left)
        reply = project.client.caller.call(m.HistoryRequest(project.name, path, page, cursor, is_standing))
        yield from reply.versions if left is None else reply.versions[:left]
        cursor = reply.cursor
        if not cursor:
            return
        left = None if left is None else left - len(reply.versions)
