"""Whoever answers the calls of an engine under test: keeps what it was told, as a process does, and can be asked for all."""

from __future__ import annotations

from copy import deepcopy

from copernicus.dataflow.calls import ControllerAnswer, ControllerCall
from copernicus.plugin.memory import Memory


class Told:
    """The memories of all instances, one by one: what a call that is a difference means is put together here."""

    def __init__(self) -> None:
        self.memories: dict[int, Memory] = {}

    def hear(self, call: ControllerCall) -> ControllerCall:
        """Return a call with everything in it."""
        call = deepcopy(call)
        if not call.base:
            memory = self.memories[call.instance] = Memory(call)
        else:
            memory = self.memories[call.instance]
            assert memory.seen == call.base, "a difference to what nobody was told"
            memory.hear(call)
        return deepcopy(memory.whole(call))

    def said(self, call: ControllerCall, answer: ControllerAnswer) -> ControllerAnswer:
        """Take over what is answered, before anyone knows whether it will be applied; return it."""
        memory = self.memories.get(call.instance)
        if memory is not None and not answer.error:
            memory.said(deepcopy(answer))
            memory.seen = call.seen
        return answer

    def has(self, call: ControllerCall) -> bool:
        """Whether a call can be heard."""
        memory = self.memories.get(call.instance)
        return not call.base or (memory is not None and (memory.seen, memory.reading) == (call.base, call.reading))

    def twin(self, instance: int) -> Told:
        """Somebody else who keeps the same of one instance."""
        other = Told()
        if instance in self.memories:
            other.memories[instance] = deepcopy(self.memories[instance])
        return other

    def forget(self, instance: int) -> None:
        """Lose what is kept of an instance."""
        self.memories.pop(instance, None)
