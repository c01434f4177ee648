"""Epochs: what keeps attempts that were given out after a backup apart from those that are given out after its restoration."""

from __future__ import annotations

import secrets

import apsw
import msgspec

from copernicus.server.storage.sqlite.database import row_checksum

GAP = 2**20
"""More attempts than any job makes between a backup and its restoration."""
PLACES = 2**20
"""From so many places the new epoch draws its own: the same backup may be restored twice."""


class _Numbered(msgspec.Struct):
    attempt: int = 0


def begin_epoch(connection: apsw.Connection, now: float) -> int:
    """Begin a new epoch in a book that was restored, and return its floor: no attempt up to it is accepted or given again.

    The book does not know what was given out after it was copied, so the floor lies far above all that could have been.
    """
    decode = msgspec.json.Decoder(_Numbered).decode
    with connection:
        before = connection.execute("SELECT max(floor) FROM epochs").get or 0
        highest = max((decode(data).attempt for (data,) in connection.execute("SELECT data FROM jobs")), default=0)
        floor = max(int(before), highest) + GAP * (1 + secrets.randbelow(PLACES))
        checksum = row_checksum(b"epoch", floor, now)
        connection.execute("INSERT INTO epochs (floor, begun_at, checksum) VALUES (?, ?, ?)", (floor, now, checksum))
    return floor
