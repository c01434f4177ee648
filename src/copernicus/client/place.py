"""A place as Python sees it: a value with a type, to be gone into, looked at, set, connected, waited for."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from copernicus.client.waiting import wait
from copernicus.errors import UnknownPath, WrongType
from copernicus.model.counts import counted
from copernicus.model.types import Type, decode, parse_type
from copernicus.model.values import Value
from copernicus.wire import messages as m

if TYPE_CHECKING:
    from copernicus.client.instance import Instance
    from copernicus.client.project import Project
    from copernicus.net.transfer import Progress


_PATH = re.compile(r"(?P<instance>.+?)[:.](?P<side>in|out|state)\.(?P<field>[\w-]+)(?P<members>(?:\.[\w-]+|\[\d+\])*)")
_MEMBER = re.compile(r"\.([\w-]+)|\[(\d+)\]")


class NoSuchMember(UnknownPath, AttributeError):
    """There is no member of that name; the message says which there are."""


class Fields:
    """The inputs, or the outputs, of an instance by name: `instance.out.xtc`, or `instance.out["xtc"]`."""

    __slots__ = ("_instance", "_side", "_types")

    def __init__(self, instance: Instance, side: str) -> None:
        self._instance, self._side = instance, side
        self._types: dict[str, Type] | None = None

    def _known(self) -> dict[str, Type]:
        if self._types is None:
            places = self._instance.project.list_page(str(self)).places
            self._types = {row.path.rpartition(".")[2]: parse_type(row.type) for row in places}
        return self._types

    def __getitem__(self, name: str) -> Place:
        """Return the place `name`; raise `NoSuchMember`, which says what there is."""
        known, field = self._known(), name.replace("-", "_")
        if field not in known:
            raise NoSuchMember(f"{self} has no field {name!r}.", f"It has: {', '.join(known) or 'none'}.")
        return Place(self._instance, f"{self}.{field}", known[field])

    def __getattr__(self, name: str) -> Place:
        if name.startswith("_"):
            raise AttributeError(name)
        return self[name]

    def __iter__(self) -> Iterator[Place]:
        """Go through the places in the order in which the function declares them."""
        return (self[name] for name in self._known())

    def __len__(self) -> int:
        return len(self._known())

    def __contains__(self, name: object) -> bool:
        return name in self._known()

    def __dir__(self) -> list[str]:
        return [*object.__dir__(self), *self._known()]

    def __str__(self) -> str:
        return f"{self._instance.path}:{self._side}"

    def __repr__(self) -> str:
        return f"<Fields {self}: {', '.join(self._known())}>"


class Place:
    """One place: `project["mdrun"].out.xtc[0]`. Going on is a question of types alone; what stands there is asked for anew.

    `str(place)` is its path. Members whose name is also one of these methods: `place["value"]`.
    """

    __slots__ = ("instance", "kind", "path")

    def __init__(self, instance: Instance, path: str, kind: Type) -> None:
        object.__setattr__(self, "instance", instance)
        object.__setattr__(self, "path", path)
        object.__setattr__(self, "kind", kind)

    instance: Instance
    path: str
    kind: Type

    def __str__(self) -> str:
        return self.path

    def __repr__(self) -> str:
        return f"<Place {self.path}: {self.kind}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Place) and (self.path, self.instance) == (other.path, other.instance)

    def __hash__(self) -> int:
        return hash((Place, self.path, self.instance))

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{self.path}.{name} is not set by assignment. Write: place.{name}.set(value)")

    # --- going on

    def __getitem__(self, member: int | str) -> Place:
        """Return an element (from the end for a negative number), or a member of a record by its name.

        Raises `WrongType` for what is no array, `NoSuchMember` for a name that the record does not have.
        """
        if isinstance(member, int):
            if self.kind.kind != "array":
                raise WrongType(f"{self.path} is {self.kind}, not an array.", "Leave the index away.")
            index = member if member >= 0 else len(self) + member
            if index < 0:
                raise UnknownPath(f"{self.path}[{member}] does not exist: the array has {counted(len(self), 'element')}.")
            return Place(self.instance, f"{self.path}[{index}]", self.kind.element)
        kind = self.kind.field(member) if self.kind.kind == "record" else None
        if kind is None:
            there = ", ".join(name for name, _ in self.kind.fields)
            hint = f"It has: {there}." if there else f"It is {self.kind}."
            raise NoSuchMember(f"{self.path} has no member {member!r}.", hint)
        return Place(self.instance, f"{self.path}.{member}", kind)

    def __getattr__(self, name: str) -> Place:
        if name.startswith("_"):
            raise AttributeError(name)
        return self[name]

    def __len__(self) -> int:
        """The number of elements of an array that is there now."""
        if self.kind.kind != "array":
            raise WrongType(f"{self.path} is {self.kind}, not an array.", "Only arrays have a length.")
        reply = self.instance.project.list_page(self.path, limit=1)
        is_absent = [row.path for row in reply.places] == [self.path]
        return 0 if is_absent else reply.total

    def __bool__(self) -> bool:
        return True  # a place is a place, however many elements it has

    def __iter__(self) -> Iterator[Place]:
        """Go through the elements of an array, as many as there are now."""
        return (self[index] for index in range(len(self)))

    def __dir__(self) -> list[str]:
        return [*object.__dir__(self), *(name for name, _ in self.kind.fields)]

    # --- looking

    @property
    def reply(self) -> m.GetReply:
        """What the server says of it: its value as plain JSON data, its type, whether it is stale."""
        return self.instance.project.get_reply(self.path)

    @property
    def value(self) -> Value:
        """What stands there (files as `FileRef`), None when nothing does."""
        reply = self.reply
        return decode(parse_type(reply.type), reply.value, self.path)

    @property
    def type(self) -> str:
        """Its type, as text: "file[]"."""
        return str(self.kind)

    @property
    def is_stale(self) -> bool:
        """Whether what stands there does not come from the present inputs."""
        return self.reply.is_stale

    @property
    def source(self) -> str:
        """The path of the place that it shows, "" when nothing is connected to it."""
        cut = self.path.rindex("[" if self.path.endswith("]") else ".")
        around, member = self.path[:cut], self.path[cut + 1 : -1]
        part = {"offset": int(member), "limit": 1} if self.path.endswith("]") else {}
        rows = self.instance.project.list_page(around, **part).places
        return next((row.source for row in rows if row.path == self.path), "")

    def download(self, target: str | Path, progress: Progress | None = None) -> Path:
        """Write the file that stands there to `target`, verified, wholly or not at all; return the path.

        A folder as `target`: under the file's own name. Raises `WrongType` or `UnknownPath` when there is no file.
        """
        from copernicus.client.files import file_of

        file = file_of(self.reply)
        place = Path(target)
        if place.is_dir():
            place = place / (Path(file.name).name or "file")
        return self.instance.project.client.download(file, place, progress)

    def text(self) -> str:
        """Return the content of the file that stands there as text (UTF-8). Raises as `download`."""
        import tempfile

        with tempfile.TemporaryDirectory(prefix="cpc-") as folder:
            return self.download(Path(folder) / "file").read_text(encoding="utf-8", errors="replace")

    # --- changing

    def set(self, value: Value | Path | list[Any]) -> None:
        """Set it; `pathlib.Path` stands for a local file, which is uploaded, at any depth. Raises `WrongType`, `Refused`."""
        self.instance.project.set(self.path, value)

    def append(self, value: Value | Path | list[Any]) -> Place:
        """Add an element to an array, and return its place."""
        if self.kind.kind != "array":
            raise WrongType(f"{self.path} is {self.kind}, not an array.", "Use set.")
        chosen = self.instance.project.set(f"{self.path}[+]", value)
        return Place(self.instance, chosen, self.kind.element)

    def unset(self) -> None:
        """Remove the value; at the end of an array this shortens it."""
        self.instance.project.unset(self.path)

    def connect(self, other: Place | str) -> None:
        """Connect: an output to `other`, an input from `other`. What ends at a connection shows what its source holds."""
        if f"{self.instance.path}:out" == self.path[: len(self.instance.path) + 4]:
            self.instance.project.connect(self.path, str(other))
        else:
            self.instance.project.connect(str(other), self.path)

    def disconnect(self) -> None:
        """Remove the connection that ends here; the value that it showed stays."""
        self.instance.project.disconnect(self.path)

    # --- waiting

    def wait(self, until: Callable[[Value], bool] | None = None, timeout_s: float | None = None) -> Value:
        """Return the value as soon as there is one that comes from the present inputs (and of which `until` says yes).

        Raises `Failed` when its instance comes no further (error, held), `TimedOut` after `timeout_s` seconds.
        """
        from copernicus.client.instance import must_go_on

        def ask() -> tuple[Value] | None:
            try:
                reply = self.reply
            except UnknownPath:  # the element is not there yet
                reply = None
            if reply is not None and reply.value is not None and not reply.is_stale:
                value = decode(parse_type(reply.type), reply.value, self.path)
                if until is None or until(value):
                    return (value,)
            must_go_on(self.instance.project, self.instance.row)
            return None

        return wait(self.instance.project, ask, timeout_s, f"{self.path} has not come")[0]


def at(project: Project, text: str) -> Place:
    """Return the place at a path such as "mdrun:out.xtc[0]"; raise `UnknownPath` or `WrongType`, which say what there is."""
    match = _PATH.fullmatch(text)
    if match is None:
        raise UnknownPath(f"{text!r} does not name a place.", "Write it like INSTANCE:out.FIELD, or INSTANCE:in.FIELD[0].")
    instance = project[match["instance"]]
    fields = {"in": instance.inputs, "out": instance.out, "state": instance.memory}[match["side"]]
    place = fields[match["field"]]
    for name, index in _MEMBER.findall(match["members"]):
        place = place[name or int(index)]
    return place
