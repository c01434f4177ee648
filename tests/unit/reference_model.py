"""What becomes of a project, in the simplest way: the engine is compared with this."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import Any

from tests.unit.reference_state import At, One, Standing
from tests.unit.reference_tree import conform, get, put

from copernicus.dataflow.paths import APPEND, parse_path
from copernicus.model.types import Type


class Reference(Standing):
    """The meaning of a project."""

    def copy(self) -> Reference:
        """Another model of the same project."""
        other = Reference(dict(self.functions))
        other.outdated = set(self.outdated)
        other.links, other.struck, other.results = dict(self.links), set(self.struck), dict(self.results)
        other.made = {path: replace(one, values=dict(one.values), had=list(one.had)) for path, one in self.made.items()}
        return other

    # --- what happens ------------------------------------------------------------------------------------------------

    def make(self, path: str, function: str, is_held: bool = False, index: int | None = None) -> None:
        schema = self.functions[function]
        self.made[path] = One(schema, index, is_held)
        for inner in schema.instances:
            self.make(f"{path}:{inner.name}", inner.function)
            for name, value in inner.values.items():
                self.made[f"{path}:{inner.name}"].values["in"][name] = value
        for link in schema.connections:
            self.links[self._inside(path, link.destination)] = self._inside(path, link.source)

    def _inside(self, around: str, text: str) -> At:
        read = parse_path(text)
        return (around if read.names == ("self",) else f"{around}:{read.names[0]}"), read.side, read.members

    def place(self, text: str) -> At:
        """Read a path; `[+]` is the length that the array has now."""
        read = parse_path(text)
        path, members = ":".join(read.names), ()
        for member in read.members:
            if member == APPEND:
                member = len(self.show(path, read.side, members) or [])
            members = (*members, member)
        return path, read.side, members

    def write(self, at: At, value: Any) -> None:
        values = self.made[at[0]].values
        values[at[1]] = put(values[at[1]], at[2], value) or {}

    def unset(self, at: At) -> None:
        array = self.show(at[0], at[1], at[2][:-1]) if isinstance(at[2][-1], int) else None
        if array is not None and len(array) == at[2][-1] + 1:
            self.write((*at[:2], at[2][:-1]), get(self.made[at[0]].values[at[1]], at[2][:-1])[:-1])
        else:
            self.write(at, None)

    def connect(self, source: At, destination: At) -> None:
        self.write(destination, None)
        self.links[destination] = source

    def disconnect(self, at: At, kind: Type) -> None:
        shown = conform(kind, self.show(*at))
        del self.links[at]
        if shown is not None:
            self.write(at, shown)

    def remove(self, path: str, kind_of: Any) -> None:
        gone = set(self.below(path))
        for where, source in list(self.links.items()):
            if source[0] in gone and where[0] not in gone:
                self.disconnect(where, kind_of(where))
        self.links = {where: source for where, source in self.links.items() if where[0] not in gone}
        for one in gone:
            del self.made[one]

    def widen(self) -> None:
        """Scatters are as wide as their longest array; what was there before there was an array stays."""
        is_settled = False
        while not is_settled:
            is_settled = True
            for path, one in list(self.made.items()):
                if one.function.kind != "scatter":
                    continue
                names = [one_in.name for one_in in one.function.inputs if one_in.name not in one.function.whole]
                arrays = [array for name in names if (array := self.show(path, "in", (name,))) is not None]
                width = max(map(len, arrays), default=one.width)
                if width != one.width:
                    self.happened["an index retired"] += (width or 0) < (one.width or 0)
                    before, one.width, is_settled = one.width or 0, width, False
                    if width == 0:
                        self.tell_around(path)
                    short = one.function.base.rpartition("::")[2]
                    for index in range(width or 0):
                        if f"{path}:{short}_{index}" in self.made:
                            self.happened["an index came back"] += index >= before
                        else:
                            self.make(f"{path}:{short}_{index}", one.function.base, index=index)

    def rerun(self, path: str, kind_of: Any) -> None:
        one = self.made[path]
        if one.function.kind == "controller":
            for child in self.children(path):
                self.remove(child, kind_of)
            one.values["out"], one.values["state"], one.error, one.told, one.knew, one.asked = {}, {}, "", 0, {}, None
        elif self.is_kind(path, "command", "pure"):
            one.struck, one.error, one.had = one.present, "", [*one.had, *([f"!{one.present}"] if one.present else [])]
            self.struck.add(one.present)
        else:
            for child in self.children(path):
                self.rerun(child, kind_of)

    def apply_answer(self, path: str, answer: Any, kind_of: Any) -> None:
        """Let be what a controller says shall be."""
        for side, fields in (("out", answer.outputs), ("state", answer.state)):
            for name, value in fields.items():
                self.write((path, side, (name,)), deepcopy(value))
        for name in answer.removes:
            self.remove(f"{path}:{name}", kind_of)
        for start in answer.starts:
            child = f"{path}:{start.name}"
            if child not in self.made:
                self.make(child, start.function)
            for name, value in start.inputs.items():
                at: At = (child, "in", (name,))
                self.free(at, None, kind_of)
                self.write(at, deepcopy(value))
            for name, text in start.connections.items():
                at, source = self.place(f"{child}:in.{name}"), self._inside(path, text)
                self.free(at, source, kind_of)
                if self.links.get(at) != source:
                    self.connect(source, at)
        for hold in answer.holds:
            self.made[f"{path}:{hold.name}"].held_why = hold.why
        for name in answer.resumes:
            self.made[f"{path}:{name}"].held_why = ""

    def retry(self, key: str) -> None:
        """A failure that nobody has any more is no result to come back to."""
        if self.results.get(key, ("", ""))[0] == "failed" and not any(one.present == key for one in self.made.values()):
            del self.results[key]

    def free(self, at: At, but: At | None, kind_of: Any) -> None:
        """Disconnect a place, its parts, and what it is a part of."""
        for where, source in list(self.links.items()):
            shorter = min(len(where[2]), len(at[2]))
            if where[:2] == at[:2] and where[2][:shorter] == at[2][:shorter] and source != but:
                self.disconnect(where, kind_of(where))

    def sight(self, path: str) -> dict[str, Any]:
        """What a controller sees: its inputs, and the outputs of its children."""
        busy = [child.rpartition(":")[2] for child in self.children(path) if self.is_busy(child)]
        seen: dict[str, Any] = {"in": self.inputs(path)[0], "at work": busy}
        for child in self.children(path):
            outs = {
                one.name: conform(one.kind, self.show(child, "out", (one.name,))) for one in self.made[child].function.outputs
            }
            seen[child.rpartition(":")[2]] = {name: value for name, value in outs.items() if value is not None}
        return seen

    def tell_around(self, path: str) -> None:
        """Something was evaluated, called, or failed here: whoever is a child of a controller around it has news."""
        for one in self.around(path):
            if self.is_kind(self.parent(one), "controller"):
                self.made[one].has_news = True

    def await_children(self, path: str) -> None:
        """A controller is called: of those that are at work it will hear when they come to rest."""
        for child in self.children(path):
            self.made[child].has_news |= self.is_busy(child)
