"""The instances of a network: what is in what, and under which names."""

from __future__ import annotations

from collections.abc import Iterator

from copernicus.dataflow.instances import ROOT, Instance
from copernicus.dataflow.journal import Journal
from copernicus.model.functions import FunctionSchema
from copernicus.model.types import Type

_PROJECT = FunctionSchema("project", "network")


class Population(Journal):
    """Instances by their ids; instance 0 is the project itself."""

    def __init__(self) -> None:
        super().__init__()
        self.instances: dict[int, Instance] = {ROOT: Instance(ROOT, "", -1, _PROJECT, None, 0)}

    def children(self, instance: Instance) -> Iterator[Instance]:
        """The instances inside `instance`, in the order in which they were made."""
        return (self.instances[id] for id in instance.children.values())

    def subtree(self, instance: Instance) -> Iterator[Instance]:
        """`instance` and all instances below it, from the top down."""
        stack = [instance]
        while stack:
            one = stack.pop()
            yield one
            stack.extend(self.instances[id] for id in reversed(one.children.values()))

    def ancestors(self, instance: Instance) -> Iterator[Instance]:
        """`instance` and what is around it, from the inside out, without the project itself."""
        while instance.id != ROOT:
            yield instance
            instance = self.instances[instance.parent]

    def path_of(self, id: int) -> str:
        """The path of an instance, in names."""
        return ":".join(reversed([one.name for one in self.ancestors(self.instances[id])]))

    def fields(self, instance: Instance, side: str) -> dict[str, Type]:
        """The fields of one side with their types."""
        schema = instance.function
        members = schema.inputs if side == "in" else schema.outputs if side == "out" else schema.state
        return {field.name: field.kind for field in members}
