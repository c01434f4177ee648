"""What a process keeps of the instances whose controllers it runs, so that a call need only carry what is newer."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import msgspec

from copernicus.dataflow.calls import ChildView, ControllerAnswer, ControllerCall
from copernicus.plugin.values import Values

if TYPE_CHECKING:
    from copernicus.plugin.children import Family

Key = tuple[str, int]
_FLAGS = {"has_ended": False, "was_updated": False, "has_failed": False, "was_glimpsed": False}


class Memory:
    """Inputs, outputs, state and children of one instance, as they were when the answer to the call `seen` was applied.

    While a call is under way inputs and children are newer than `seen`: told again, they are the same again.
    """

    def __init__(self, call: ControllerCall) -> None:
        self.key, self.reading, self.function = key_of(call), call.reading, call.function
        self.seen, self.size_bytes = 0, 0
        self.inputs, self.outputs, self.state = Values(call.inputs), Values(call.outputs), Values(call.state)
        self.children = {view.name: view for view in call.children}
        self.news = [view.name for view in call.children if _has_news(view)]
        """Children of which the call under way has news."""
        self.families: dict[str, Family[Any]] = {}
        """Children by function, as controllers in Python see them (see `plugin.children`)."""

    def hear(self, call: ControllerCall) -> None:
        """Take over what a call is newer by."""
        for name in self.news:
            view = self.children.get(name)
            if view is not None:
                self._put(msgspec.structs.replace(view, **_FLAGS))
        self.inputs.apply(call.inputs, call.lengths)
        told = {view.id for view in call.children}
        for name in call.removed:
            if name in self.children and self.children[name].id not in told:
                self._drop(name)
        for view in call.children:
            before = self.children.get(view.name)
            if before is not None and before.id == view.id:
                outputs = Values(before.outputs)
                outputs.apply(view.outputs, view.lengths)
                view = msgspec.structs.replace(view, outputs=outputs.plain, lengths={})
            elif before is not None:
                self._drop(view.name)
            self._put(view)
        self.news = [view.name for view in call.children if _has_news(view)]

    def _put(self, view: ChildView) -> None:
        self.children[view.name] = view
        family = self.families.get(view.function)
        if family is not None:
            family.put(view)

    def _drop(self, name: str) -> None:
        view = self.children.pop(name)
        if view.function in self.families:
            self.families[view.function].drop(name)

    def said(self, answer: ControllerAnswer) -> None:
        """Take over what a call that did not fail has answered."""
        for side, values, changes in (("out", self.outputs, answer.outputs), ("state", self.state, answer.state)):
            mine = {key.partition(".")[2]: n for key, n in answer.lengths.items() if key.partition(".")[0] == side}
            values.apply(changes, mine)

    def whole(self, call: ControllerCall) -> ControllerCall:
        """Return the call under way with everything in it."""
        return msgspec.structs.replace(
            call, inputs=self.inputs.plain, outputs=self.outputs.plain, state=self.state.plain,
            children=list(self.children.values()), base=0, lengths={}, removed=[],
        )  # fmt: skip


def _has_news(view: ChildView) -> bool:
    return view.has_ended or view.was_updated or view.has_failed or view.was_glimpsed


def key_of(call: ControllerCall) -> Key:
    """Return which instance a call is about: ids are counted in each project by itself."""
    return call.project, call.instance


class Memories:
    """The memories of a process, oldest first; together they stay below a limit.

    limit_bytes  of what came and went as lines of JSON; as Python objects it is a few times that
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._kept: OrderedDict[Key, Memory] = OrderedDict()
        self._size_bytes = 0

    def recall(self, call: ControllerCall) -> Memory | None:
        """Return the memory of a call's instance, which has heard the call; None when the difference is to something else.

        It is out of the store until `keep` puts it back, so a call that comes to no end leaves nothing behind.
        """
        memory = self.forget(key_of(call))
        if not call.base:
            return Memory(call)
        if memory is None or (memory.seen, memory.reading, memory.function) != (call.base, call.reading, call.function):
            return None
        memory.hear(call)
        return memory

    def keep(self, memory: Memory, more_bytes: int) -> None:
        """Put a memory (back) that `more_bytes` went into; those that were not used for the longest time make room."""
        memory.size_bytes += more_bytes
        self._kept[memory.key] = memory
        self._size_bytes += memory.size_bytes
        while self._size_bytes > self._limit_bytes:
            self.forget(next(iter(self._kept)))

    def charge(self, key: Key, more_bytes: int) -> None:
        """Count what an answer has put into a memory."""
        memory = self._kept.get(key)
        if memory is not None:
            memory.size_bytes += more_bytes
            self._size_bytes += more_bytes

    def forget(self, key: Key) -> Memory | None:
        """Take the memory of an instance out, if there is one."""
        memory = self._kept.pop(key, None)
        if memory is not None:
            self._size_bytes -= memory.size_bytes
        return memory

    def seen(self, key: Key) -> int:
        """Up to which call an instance is remembered (0: not at all)."""
        memory = self._kept.get(key)
        return memory.seen if memory is not None else 0
