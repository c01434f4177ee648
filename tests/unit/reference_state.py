"""What a project shows, worked out from scratch in the simplest way.

Nothing is followed, remembered or counted here: a value is found by walking to its source, a state by looking at all that
it depends on. What only timing decides (when a question to module code is answered) is told by whoever drives the engine;
whether it was allowed, and what follows, is said here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from tests.unit.reference_tree import Members, conform, get, is_whole, put

from copernicus.model.functions import FunctionSchema

At = tuple[str, str, Members]
"""A place: path of the instance ("" is the project), side, members."""


@dataclass
class One:
    """An instance. `present` and `stood` are keys ("" for none)."""

    function: FunctionSchema
    index: int | None = None
    is_held: bool = False
    held_why: str = ""
    width: int | None = None
    values: dict[str, dict[str, Any]] = field(default_factory=lambda: {"in": {}, "out": {}, "state": {}})
    present: str = ""
    stood: str = ""
    error: str = ""
    failed_at: int = 0
    is_pending: bool = False
    has_news: bool = False
    ended: int = 0
    ended_error: bool = False
    runs: int = 0
    struck: str = ""  # the key that was to be made anew
    had: list[str] = field(default_factory=list)  # all keys, one after the other; with "!" before it, one that was struck
    asked: int | None = None
    """The number of the question to module code that is under way."""
    told: int = 0
    """When the last call was made whose answer was applied."""
    knew: dict[str, Any] = field(default_factory=dict)
    """What that call had seen: "in" its inputs, "at work" the children that were, and the outputs of each child by its name."""


def remembered(look: Any) -> Any:
    """What is looked at is found once, while nothing happens."""

    def find(self: Standing, *args: Any) -> Any:
        if self.known is None:
            return look(self, *args)
        key = (look, args)
        if key not in self.known:
            self.known[key] = look(self, *args)
        return self.known[key]

    return find


@cache
def around_of(path: str) -> list[str]:
    """A path and all that is around it, from the inside out."""
    names = path.split(":")
    return [":".join(names[:depth]) for depth in range(len(names), 0, -1)]


class Standing:
    """A project as it stands: what there is, and what that means."""

    known: dict[Any, Any] | None = None
    """What was found, while nothing happens."""

    def __init__(self, functions: dict[str, FunctionSchema]) -> None:
        self.functions = functions
        self.happened = Counter[str]()
        self.outdated: set[str] = set()
        """Functions that are not installed now."""
        self.made: dict[str, One] = {}
        self.links: dict[At, At] = {}
        self.struck: set[str] = set()
        """Keys whose results are not to be used any more."""
        self.results: dict[str, tuple[str, Any]] = {}
        """Of each key that has ended: ("done", outputs) or ("failed", message)."""

    @contextmanager
    def at_rest(self) -> Iterator[None]:
        """Nothing happens meanwhile."""
        self.known = {}
        try:
            yield
        finally:
            self.known = None

    # --- what stands -------------------------------------------------------------------------------------------------

    def below(self, path: str) -> list[str]:
        """An instance and all inside it ("" : everything)."""
        return [one for one in self.made if not path or one == path or one.startswith(f"{path}:")]

    def around(self, path: str) -> list[str]:
        """An instance and all that is around it, from the inside out."""
        return around_of(path)

    def parent(self, path: str) -> str:
        return path.rpartition(":")[0]

    def children(self, path: str) -> list[str]:
        return [one for one in self.made if self.parent(one) == path and one != path]

    def is_kind(self, path: str, *kinds: str) -> bool:
        return path in self.made and self.made[path].function.kind in kinds

    def evaluated(self) -> list[str]:
        return [path for path in self.made if self.is_kind(path, "command", "pure")]

    @remembered
    def show(self, path: str, side: str, members: Members) -> Any:
        """The value of a place."""
        one = self.made[path]
        for depth in range(1, len(members) + 1):
            source = self.links.get((path, side, members[:depth]))
            if source is not None:
                return self.show(source[0], source[1], source[2] + members[depth:])
        if side == "in" and one.index is not None:
            return self._element(path, one.index, members)
        if side == "out" and one.function.kind == "scatter":
            if one.width is None:
                return None
            short = one.function.base.rpartition("::")[2]
            whole = [self.show(f"{path}:{short}_{index}", "out", members[:1]) for index in range(one.width)]
            return get(whole, members[1:])
        own: Any = one.values[side]
        if side == "out" and one.function.kind in ("command", "pure"):
            own = self.results[one.stood][1] if one.stood else {}
        value = get(own, members)
        for part in self._parts(path, side, members):
            value = put(value, part[2][len(members) :], self.show(*part))
        return value

    def _parts(self, path: str, side: str, members: Members) -> list[At]:
        """The connected places inside a place."""
        depth = len(members)
        return [one for one in self.links if one[:2] == (path, side) and len(one[2]) > depth and one[2][:depth] == members]

    def _element(self, path: str, index: int, members: Members) -> Any:
        around, name = self.parent(path), members[0]
        if name in self.made[around].function.whole:
            return self.show(around, "in", members)
        array = self.show(around, "in", (name,))
        if not array or (index >= len(array) and len(array) > 1):
            return None
        return get(array[index if len(array) > 1 else 0], members[1:])

    @remembered
    def inputs(self, path: str) -> tuple[dict[str, Any], bool]:
        """All inputs as the function declares them, and whether all that are required are there."""
        found, is_complete = {}, True
        for one in self.made[path].function.inputs:
            shown = self.show(path, "in", (one.name,))
            value = conform(one.kind, one.default if shown is None else shown)
            is_complete &= is_whole(one.kind if one.is_required else one.kind.optional, value)
            is_complete &= shown is not None or not self._is_awaited(path, "in", (one.name,))
            if value is not None:
                found[one.name] = value
        return found, is_complete

    def _is_awaited(self, path: str, side: str, members: Members) -> bool:
        """Whether what is absent here is an element of an array that has elements for other indices."""
        index, around = self.made[path].index, self.parent(path)
        for depth in range(1, len(members) + 1):
            source = self.links.get((path, side, members[:depth]))
            if source is not None:
                return self._is_awaited(source[0], source[1], source[2] + members[depth:])
        if side == "out" or index is None:
            return False
        if members[0] in self.made[around].function.whole:
            return self._is_awaited(around, "in", members)
        array = self.show(around, "in", members[:1]) or []
        kinds = [one.kind for one in self.made[around].function.inputs if one.name == members[0]]
        if array and (index >= len(array) > 1 or not kinds[0].element.is_optional):
            return True
        return bool(array) and self._is_awaited(around, "in", (members[0], index if len(array) > 1 else 0, *members[1:]))

    def places(self) -> list[At]:
        """All fields of all instances."""
        return [
            (path, side, (one.name,))
            for path, instance in self.made.items()
            for side, fields in (("in", instance.function.inputs), ("out", instance.function.outputs))
            for one in fields
        ]

    # --- states ------------------------------------------------------------------------------------------------------

    def is_retired(self, path: str) -> bool:
        one = self.made[path]
        return one.index is not None and one.index >= (self.made[self.parent(path)].width or 0)

    @remembered
    def is_away(self, path: str) -> bool:
        """Whether it is, or is inside, an index that retired."""
        return any(self.is_retired(one) for one in self.around(path))

    @remembered
    def is_held(self, path: str) -> bool:
        return any(self.made[one].is_held or self.made[one].held_why for one in self.around(path)) or self.is_away(path)

    def is_open(self, path: str) -> bool:
        present = self.made[path].present
        return bool(present) and present not in self.results

    def error(self, path: str) -> str:
        return "is not installed" if self.made[path].function.name in self.outdated else self.clearable_error(path)

    def clearable_error(self, path: str) -> str:
        one = self.made[path]
        kind, what = self.results.get(one.present, ("", ""))
        return one.error or (what if kind == "failed" else "")

    @remembered
    def is_busy(self, path: str) -> bool:
        """Whether anything in it is being worked on, or about to be."""
        return any(self._works(one) for one in self.below(path))

    @remembered
    def _works(self, path: str) -> bool:
        one = self.made[path]
        if self.is_held(path) or one.function.kind in ("network", "scatter"):
            return False
        is_asked = one.asked is not None and self.inputs(path)[1]
        if one.function.kind == "controller":
            return is_asked and not one.error
        if self.is_open(path) and not one.error and (one.function.kind == "command" or not one.is_pending):
            return one.function.kind == "command" or one.function.name not in self.outdated
        return is_asked

    @remembered
    def remade(self, path: str) -> bool:
        """Whether the output of an evaluated instance is stale."""
        one = self.made[path]
        if not one.stood:
            return False
        if one.stood != one.present or one.is_pending or one.error:
            return True
        return any(self.is_stale(path, "in", (field.name,)) for field in one.function.inputs)

    def is_stale(self, path: str, side: str, members: Members) -> bool:
        """Whether something that a place shows is being made anew."""
        return any(self.remade(maker) for maker in self._makers(path, side, members))

    @remembered
    def _makers(self, path: str, side: str, members: Members) -> set[str]:
        one = self.made[path]
        for depth in range(1, len(members) + 1):
            source = self.links.get((path, side, members[:depth]))
            if source is not None:
                return self._makers(source[0], source[1], source[2] + members[depth:])
        if side == "in" and one.index is not None:
            around, name = self.parent(path), members[0]
            length = len(self.show(around, "in", (name,)) or [])
            if name in self.made[around].function.whole:
                return self._makers(around, "in", members)
            if not length or (one.index >= length and length > 1):
                return set()
            return self._makers(around, "in", (name, one.index if length > 1 else 0, *members[1:]))
        if side == "out" and one.function.kind in ("command", "pure"):
            return {path}
        if side == "out" and one.function.kind == "scatter":
            short = one.function.base.rpartition("::")[2]
            indices = [i for i in range(one.width or 0) if len(members) == 1 or i == members[1]]
            below = [(f"{path}:{short}_{index}", "out", (members[0], *members[2:])) for index in indices]
            return set().union(*(self._makers(*one) for one in below))
        return set().union(*(self._makers(*part) for part in self._parts(path, side, members)))

    def depends(self, path: str, side: str, members: Members, on: str, seen: set[str]) -> bool:
        """Whether a place shows something that was made, over any number of evaluations, from what `on` makes."""
        for maker in self._makers(path, side, members):
            if maker == on:
                return True
            if maker not in seen:
                seen.add(maker)
                fields = self.made[maker].function.inputs
                if any(self.depends(maker, "in", (field.name,), on, seen) for field in fields):
                    return True
        return False

    def goes_round(self) -> bool:
        """Whether a controller may get back what it gave: how often it went round is then a matter of chance."""
        reads = {
            path: {source[0].split(":")[0] for where, source in self.links.items() if where[0] == path} for path in self.made
        }
        for path in [path for path, one in self.made.items() if one.function.kind == "controller"]:
            start = path.split(":")[0]
            stack, seen = [start], set[str]()
            while stack:
                for before in reads[stack.pop()] - seen:
                    if before == start:
                        return True
                    seen.add(before)
                    stack.append(before)
        return False

    def must_wait(self, key: str) -> bool:
        """Whether the job of a key must not be started: nobody who wants it is free to work on inputs that are not stale."""
        return not any(
            one.present == key
            and not self.is_held(path)
            and not any(self.is_stale(path, "in", (field.name,)) for field in one.function.inputs)
            for path, one in self.made.items()
        )

    def wanting(self, key: str) -> list[str]:
        """Who wants a key."""
        return [path for path in self.evaluated() if self.made[path].present == key and not self.is_away(path)]

    def undecided(self) -> set[str]:
        """Outputs of those that cannot work: what was begun or told before their inputs went, or they were held, is chance."""
        kinds = ("command", "pure", "controller")
        made = [path for path in self.made if self.is_kind(path, *kinds)]
        waiting = [path for path in made if not self.inputs(path)[1] or self._is_asleep(path)]
        return {f"{path}:out.{field.name}" for path in waiting for field in self.made[path].function.outputs}

    def _is_asleep(self, path: str) -> bool:
        return self.is_held(path) and (self.made[path].is_pending or self.is_open(path))
