"""Changes with their way back: whoever keeps its state in attributes and mappings makes them through this."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Undo = Callable[[], None]


class Journal:
    """While `journal` is a list, each change leaves there how it is taken back; the last one is taken back first."""

    journal: list[Undo] | None

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
        before = mapping.pop(key)
        if self.journal is not None:
            self.journal.append(lambda: mapping.__setitem__(key, before))
        return before
