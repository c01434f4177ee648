"""The notebook: what changed of that which a controller sees, noted as it happens (see `dataflow.news`, which reads it)."""

from __future__ import annotations

from typing import Any

from copernicus.dataflow.facts import Followed, Glimpsed
from copernicus.dataflow.instances import ROOT, Instance, Place, part_of
from copernicus.dataflow.journal import Journal
from copernicus.dataflow.paths import Member

GONE = -1
"""Stands for an element in the note of a child that was removed."""
EVERYTHING = (ROOT, "", None)
"""The note that a difference cannot be told any more."""
_SHOWN = {
    "core_s", "ended", "ended_error", "error", "glimpsed", "held_why", "is_busy", "is_followed", "is_held", "key", "runs",
    "updated",
}  # fmt: skip
"""What of a child its controller sees, besides its outputs."""


class Notebook(Journal):
    """A journal in which notes for controllers are kept, too."""

    seq: int
    _at: int
    instances: dict[int, Instance]

    def note(self, controller: Instance, id: int, field: Member = "", index: int | None = None) -> None:
        """A controller's input, a child's output or ("") a child itself changed. Derived; only what can be told is kept."""
        if controller.is_told or controller.in_flight:
            self._put(controller.news, (id, field, index), self.seq + 1)

    def hear(self, instance: Instance, place: Place, seq: int) -> None:
        """An input of a controller, or a part of one, changed. Derived, like the above."""
        self._put(instance.heard, place.path[0], seq)
        self.note(instance, instance.id, *part_of(place))

    def forget_told(self) -> None:
        """Values have got another form: let the next call of every controller carry everything."""
        for instance in self.instances.values():
            if instance.function.kind == "controller":
                self.note(instance, *EVERYTHING)

    def _followed(self, fact: Followed) -> None:
        self._assign(self.instances[fact.id], "is_followed", fact.is_followed)

    def _glimpsed(self, fact: Glimpsed) -> None:
        self._assign(self.instances[fact.id], "glimpsed", self._at)

    def _assign(self, target: Any, name: str, value: Any) -> None:
        super()._assign(target, name, value)
        if name in _SHOWN and type(target) is Instance:
            self._note_child(target)

    def _note_child(self, child: Instance) -> None:
        around = self.instances.get(child.parent)
        if around is not None and around.function.kind == "controller":
            self.note(around, child.id)
