"""Stamps: when each place changed, by the number of the record."""

from __future__ import annotations

from copernicus.dataflow.instances import Instance
from copernicus.dataflow.journal import Journal
from copernicus.dataflow.paths import Member

_AT_THE_END = -1
"""Stands for elements that came or went at the end of an array, where those that stay are not concerned."""


class Stamps(Journal):
    """Remembers when fields and elements changed. `_at` is the number of the record that is being done."""

    def __init__(self) -> None:
        super().__init__()
        self._at = 0

    def _stamp(self, instance: Instance, side: str, path: tuple[Member, ...]) -> None:
        """Remember when a field changed; of an array that is changed element by element, when each of them did."""
        changed, elements, field = instance.changed[side], instance.elements, path[0]
        if len(path) > 1 and isinstance(path[1], int) and not self._is_second(instance, side, path[0], path[1]):
            if (side, field, None) not in elements:
                self._put(elements, (side, field, None), changed.get(field, 0))
            self._put(elements, (side, field, path[1]), self._at)
        elif (side, field, None) in elements:
            self._put(elements, (side, field, None), self._at)
        self._put(changed, field, self._at)

    def _stamp_end(self, instance: Instance, side: str, path: tuple[Member, ...], length: int, before: int = 0) -> None:
        """Remember when elements came or went beyond `length`. An only one stands for all, so then all have changed."""
        self._stamp(instance, side, path if length <= 1 else (*path, _AT_THE_END))
        if len(path) == 1 and length > 1:
            # Who read one of these reads nothing now, even when the array grows again and leaves a hole there.
            for index in range(length, before):
                self._put(instance.elements, (side, path[0], index), self._at)

    def _is_second(self, instance: Instance, side: str, field: Member, index: int) -> bool:
        """Whether an array gets a second element now: until then its only one stands for all."""
        array = instance.values[side].get(str(field))
        return index > 0 and (not isinstance(array, list) or len(array) <= 1)
