"""What a network remembers of itself while something is tried out, beyond the journal."""

from __future__ import annotations

from typing import Any


class Watch:
    """The order of mappings, and the keys of instances, as they were before the first change of each."""

    def __init__(self) -> None:
        self.keys: dict[int, str] = {}
        self._orders: dict[int, tuple[dict[Any, Any], list[Any]]] = {}

    def keep_order(self, mapping: dict[Any, Any]) -> None:
        """Remember the order of a mapping that something is taken out of now."""
        self._orders.setdefault(id(mapping), (mapping, list(mapping)))

    def restore_orders(self) -> None:
        """After a roll-back: bring all mappings into their order again, since what was taken out came back at the end."""
        for mapping, keys in self._orders.values():
            content = dict(mapping)
            mapping.clear()
            mapping.update((key, content[key]) for key in keys if key in content)

    def wanted_before(self, key: str, wanted: set[int]) -> set[int]:
        """Who wanted a key before, when `wanted` are those who want it now."""
        changed = {id for id, before in self.keys.items() if before != key}
        return (wanted - changed) | {id for id, before in self.keys.items() if before == key}
