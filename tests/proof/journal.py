"""The journal: what a client asked for, what was acknowledged to it, and what it has seen."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Operation:
    """One append of `value` to the workload's array. `seq` is the acknowledged sequence number, None without an answer."""

    request: str
    value: int
    seq: int | None = None


@dataclass
class Journal:
    """What one client knows. `seen` maps places to the values that it has read there and that nothing may take back."""

    operations: list[Operation] = field(default_factory=list)
    seen: dict[str, Any] = field(default_factory=dict)
    changed: list[str] = field(default_factory=list)

    def intend(self, request: str, value: int) -> Operation:
        """Note that a request is about to be sent."""
        operation = Operation(request, value)
        self.operations.append(operation)
        return operation

    def see(self, place: str, value: Any) -> None:
        """Note what was read at a place; a value that is other than before is remembered as `changed`."""
        if value is None and place not in self.seen:
            return
        if place in self.seen and self.seen[place] != value:
            self.changed.append(f"{place} was {self.seen[place]!r} and became {value!r}")
        self.seen[place] = value

    def acknowledged(self) -> list[Operation]:
        """Return the operations that the server said are done."""
        return [operation for operation in self.operations if operation.seq is not None]

    def save(self, path: Path) -> None:
        """Write the journal as JSON."""
        path.write_text(json.dumps({"operations": [vars(operation) for operation in self.operations],
                                    "seen": self.seen, "changed": self.changed}, indent=1))  # fmt: skip

    @classmethod
    def load(cls, path: Path) -> Journal:
        """Read what `save` wrote."""
        data = json.loads(path.read_text())
        return cls([Operation(**row) for row in data["operations"]], data["seen"], data["changed"])
