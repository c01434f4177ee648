"""What attempts at a job have cost, by site."""

from __future__ import annotations

from collections.abc import Iterable
from sys import intern

import msgspec

from copernicus.server.storage.abc import AttemptRow


class Cost(msgspec.Struct, frozen=True, gc=False):
    """What ended attempts at one site took: core-seconds, GPU-seconds, bytes staged and collected."""

    site: str = ""
    attempts: int = 0
    core_s: float = 0.0
    gpu_s: float = 0.0
    bytes_in: int = 0
    bytes_out: int = 0


def costs_of(attempts: Iterable[AttemptRow]) -> tuple[Cost, ...]:
    """Add up the attempts that have ended; a cost for each site."""
    found: dict[str, Cost] = {}
    for row in attempts:
        if row.ended_at is not None:
            ran = row.execution
            cost = Cost(intern(row.site), 1, row.core_s, row.gpu_s, ran.bytes_in, ran.bytes_out)
            found[row.site] = added(found[row.site], cost) if row.site in found else cost
    return tuple(found.values())


def added(one: Cost, other: Cost) -> Cost:
    """Return the sum of two costs at one site."""
    return Cost(
        one.site, one.attempts + other.attempts, one.core_s + other.core_s, one.gpu_s + other.gpu_s,
        one.bytes_in + other.bytes_in, one.bytes_out + other.bytes_out,
    )  # fmt: skip
