"""What stands in a project, as people see it: lists, values, status."""

from __future__ import annotations

from copernicus.dataflow import tree
from copernicus.dataflow.edits import find_instance, find_place
from copernicus.dataflow.network import ROOT, Instance, Place
from copernicus.dataflow.paths import APPEND, Path, parse_path, show_path
from copernicus.dataflow.status import is_retired, is_stale
from copernicus.dataflow.views import read, source_of
from copernicus.errors import UnknownPath, UsageError
from copernicus.model.counts import counted
from copernicus.model.types import Type
from copernicus.server.projects.live import LiveProject
from copernicus.server.projects.ports import Jobs
from copernicus.server.projects.provisional import provisional_at
from copernicus.server.projects.states import States
from copernicus.server.projects.wording import shorten, show_value
from copernicus.wire import messages as m

MOST_ROWS = 10_000
"""In one answer."""


class Looking:
    """Answers questions about one project. Nothing here changes anything."""

    def __init__(self, project: LiveProject, jobs: Jobs) -> None:
        self._project, self._jobs = project, jobs
        self._network = project.network
        self._states = States(project.network, project.row.id, jobs)

    def listing(self, text: str, offset: int = 0, limit: int = 0) -> m.ListReply:
        """What stands at a path; of many rows those from `offset` on, at most `limit`."""
        if offset < 0 or limit < 0:
            raise UsageError("A part of a list begins at 0 or later, and has no negative length.")
        part = slice(offset, offset + min(limit or MOST_ROWS, MOST_ROWS))
        path = parse_path(text)
        instance = find_instance(self._network, path.names)
        if path.side:
            if path.side not in ("in", "out", "state"):
                raise UnknownPath(f"{text!r} has no side {path.side!r}.")
            places, total = self._places(instance, path, part)
            return m.ListReply("place", str(path), places=places, total=total)
        children = [one for one in self._network.children(instance) if not is_retired(self._network, one)]
        rows, total = [self._states.row(one) for one in children[part]], len(children)
        if instance.id == ROOT:
            return m.ListReply("project", "", instances=rows, total=total)
        places = [place for side in ("in", "out", "state") for place in self._places(instance, Path(path.names, side), part)[0]]
        rows = [self._states.row(instance), *rows]
        return m.ListReply("instance", str(path), instances=rows, places=places if not offset else [], total=total)

    def _places(self, instance: Instance, path: Path, part: slice) -> tuple[list[m.PlaceRow], int]:
        """Places, and how many there are: of an array only those in `part`."""
        fields = self._network.fields(instance, path.side)
        if not path.members:
            rows = [self._place(Place(instance.id, path.side, (name,)), kind) for name, kind in fields.items()]
            return rows, len(rows)
        kind = tree.type_at(fields, path.members, f"{':'.join(path.names)}:{path.side}")
        place = Place(instance.id, path.side, path.members)
        value = read(self._network, place)
        if value is None:
            self._must_be_there(place)
        if kind.kind == "array" and isinstance(value, list):
            chosen = range(len(value))[part]
            return [self._place(Place(*place[:2], (*place.path, i)), kind.element) for i in chosen], len(value)
        if kind.kind == "record":
            rows = [self._place(Place(*place[:2], (*place.path, name)), member) for name, member in kind.fields]
            return rows, len(rows)
        return [self._place(place, kind)], 1

    def _must_be_there(self, place: Place) -> None:
        """Raise unless every element on the way to `place` is one of its array's; it may be absent all the same."""
        for depth, member in enumerate(place.path):
            if not isinstance(member, int):
                continue
            where = show_path(self._network.path_of(place.instance), place.side, place.path[: depth + 1])
            if member == APPEND:
                raise UsageError(f"{where} stands for an element that is to be added.", "Use an index to look at one.")
            array = read(self._network, Place(*place[:2], place.path[:depth]))
            length = len(array) if isinstance(array, list) else 0
            if member >= length:
                raise UnknownPath(f"{where} does not exist: the array has {counted(length, 'element')}.")

    def _place(self, place: Place, kind: Type) -> m.PlaceRow:
        network = self._network
        value = read(network, place)
        source = source_of(network, place)
        return m.PlaceRow(
            path=show_path(network.path_of(place.instance), place.side, place.path),
            type=str(kind),
            text=shorten(show_value(value)) if value is not None else self._default(place),
            source=show_path(network.path_of(source.instance), source.side, source.path)
            if source and source.instance > ROOT
            else "",
            is_set=value is not None,
            is_stale=is_stale(network, place),
            provisional=provisional_at(network, self._states, place) if value is None else None,
        )

    def _default(self, place: Place) -> str:
        """What holds at an input as long as nothing stands there, "" when that is nothing."""
        if place.side != "in" or len(place.path) != 1:
            return ""
        inputs = self._network.instances[place.instance].function.inputs
        default = next((field.default for field in inputs if field.name == place.path[0]), None)
        return f"{shorten(show_value(default))} (default)" if default is not None else ""

    def get(self, text: str) -> m.GetReply:
        """The value at a place; of a whole side the record of all that is there."""
        path = parse_path(text)
        instance = find_instance(self._network, path.names)
        if path.side and not path.members:
            fields = self._network.fields(instance, path.side)
            places = {name: Place(instance.id, path.side, (name,)) for name in fields}
            values = {name: value for name, place in places.items() if (value := read(self._network, place)) is not None}
            return m.GetReply(str(path), str(Type("record", fields=tuple(fields.items()))), values)
        place = find_place(self._network, path, text)
        kind = tree.type_at(self._network.fields(instance, path.side), path.members, f"{':'.join(path.names)}:{path.side}")
        value = read(self._network, place)
        if value is None:
            self._must_be_there(place)
        provisional = provisional_at(self._network, self._states, place) if value is None else None
        return m.GetReply(str(path), str(kind), value, is_stale(self._network, place), provisional)

    def status(self) -> m.StatusReply:
        """The project in numbers."""
        network = self._network
        root = network.instances[ROOT]
        return m.StatusReply(
            project=self._project.row.name,
            seq=network.seq,
            states=self._states.below(root),
            jobs=self._jobs.counts(self._project.row.id),
            top=[self._states.row(one) for one in network.children(root)],
            errors=self._states.in_error(),
            core_s=sum(one.core_s for one in network.children(root)),
        )

    def row(self) -> m.ProjectRow:
        """One line about the project."""
        row, network = self._project.row, self._network
        states = self._states.below(network.instances[ROOT])
        return m.ProjectRow(row.name, row.id, row.created_at, states, self._jobs.counts(row.id), row.priority)
