"""The journal: while it is kept, each change leaves there how it is taken back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from copernicus.dataflow.watch import Watch

Undo = Callable[[], None]


class Journal:
    """What changes only through the methods here, and can be brought back to any mark while `journal` is a list."""

    def __init__(self) -> None:
        self.journal: list[Undo] | None = None
        self.watch: Watch | None = None
        """What is remembered besides while something is tried out."""

    def derive(self, target: Any, name: str, value: Any) -> None:
        """Set what is derived and not logged, so that it is taken back with the rest."""
        if getattr(target, name) != value:
            self._assign(target, name, value)

    def roll_back(self, mark: int) -> None:
        """Take back all changes since the journal had `mark` entries."""
        assert self.journal is not None
        while len(self.journal) > mark:
            self.journal.pop()()

    def _undo(self, *actions: Undo) -> None:
        if self.journal is not None:
            self.journal.extend(actions)

    def _assign(self, target: Any, name: str, value: Any) -> None:
        before = getattr(target, name)
        if self.journal is not None:
            self.journal.append(lambda: setattr(target, name, before))
        setattr(target, name, value)

    def _put(self, mapping: dict[Any, Any], key: Any, value: Any) -> None:
        if self.journal is not None:
            if key in mapping:
                before = mapping[key]
                self.journal.append(lambda: mapping.__setitem__(key, before))
            else:
                self.journal.append(lambda: mapping.pop(key))
        mapping[key] = value

    def _drop(self, mapping: dict[Any, Any], key: Any) -> Any:
        if self.watch is not None:
            self.watch.keep_order(mapping)
        before = mapping.pop(key)
        if self.journal is not None:
            self.journal.append(lambda: mapping.__setitem__(key, before))
        return before
