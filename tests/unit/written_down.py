"""Snapshots beside the log: each is made from the one before, and must be what the whole log says, byte for byte."""

from __future__ import annotations

from collections import Counter
from copy import copy

from tests.unit.comparison import differ

from copernicus.dataflow import engine, snapshot
from copernicus.dataflow.network import Network


class WrittenDown:
    """The last snapshot of a project."""

    def __init__(self) -> None:
        self.data = b""

    def copy(self) -> WrittenDown:
        """The same for another server with the same files."""
        return copy(self)

    def again(self, network: Network, log: list[bytes], happened: Counter[str]) -> Network:
        """Make another snapshot; return what comes out of it. `network` is the fold of the whole log."""
        data = snapshot.encode(network)
        found = snapshot.decode(self.data) if self.data else Network()
        for record in log[found.seq :]:
            engine.fold(found, record)
        difference = differ(found, network)
        assert not difference, f"a snapshot and what was logged since are not what was there: {difference}"
        assert snapshot.encode(found) == data, "a snapshot that was made from another is another one"
        self.data = data
        happened["a snapshot was read"] += 1
        return snapshot.decode(data)
