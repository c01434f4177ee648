"""Purging: a person gives up what nobody could make again, and is told first what that is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from copernicus.dataflow import engine
from copernicus.dataflow.discarding import is_superseded, shown_keys
from copernicus.dataflow.edits import find_instance, find_place
from copernicus.dataflow.network import ROOT, Place
from copernicus.dataflow.paths import APPEND, parse_path, show_path
from copernicus.dataflow.tree import read, type_at
from copernicus.errors import Refused, UnknownPath, UsageError
from copernicus.model.edits import Unset
from copernicus.model.jobs import OPEN_STATES
from copernicus.model.values import FileRef, files_in
from copernicus.server.projects.holdings import LogIndex
from copernicus.server.projects.live import LiveProject
from copernicus.server.projects.retention import Retention
from copernicus.server.storage.abc import RememberAnswer, Unit
from copernicus.wire import messages as m
from copernicus.wire.codec import encode


class Target(NamedTuple):
    """What a path names: a place, or an instance with all that is in it (`place` None)."""

    instance: int
    place: Place | None


class Purge:
    """One request to purge, in one project."""

    def __init__(self, project: LiveProject, index: LogIndex, retention: Retention, clock: Callable[[], float]) -> None:
        self._project, self._index, self._retention, self._clock = project, index, retention, clock
        self._network = project.network

    async def run(self, request: m.PurgeRequest, who: str, key: str) -> m.PurgeReply:
        """Do what `request` says, or only find out; raise `UnknownPath`, `UsageError`, `Refused`."""
        target = self._target(request.path)
        if request.is_present and (target.place is None or target.place.side != "in"):
            raise Refused(f"{request.path} is no input: only an input can be given up as it stands.", "Leave out --all.")
        versions = self._versions(target)
        present = [(request.path, file) for file in self._present(target)] if request.is_present else []
        if request.is_present and not present:
            raise Refused(f"No file stands at {request.path}.")
        reply = self._reply(versions, present, set() if request.is_present else self._standing(target))
        if request.is_check:
            return reply
        unit = Unit()
        if request.is_present:
            self._project.step(unit, engine.EditsRequested([Unset(request.path)], who))
        self._project.step(unit, engine.PurgeRequested(target.place, target.instance, who))
        if request.request_id:
            unit.add(RememberAnswer(request.request_id, key, encode(reply), self._clock()))
        await self._retention.delete(unit, {file.blob for _, file in [*versions, *present]})
        return reply

    def _target(self, text: str) -> Target:
        path = parse_path(text)
        instance = find_instance(self._network, path.names)
        if instance.id == ROOT:
            raise UsageError("`purge` needs the path of an instance or of a value.")
        if not path.side:
            return Target(instance.id, None)
        place = find_place(self._network, path, text)
        type_at(self._network.fields(instance, path.side), path.members, text)
        if APPEND in place.path:
            raise UnknownPath(f"{text} does not exist: [+] makes an element.", "Name the element by its index.")
        return Target(instance.id, place)

    def _present(self, target: Target) -> list[FileRef]:
        if target.place is None:
            return []
        own = self._network.instances[target.instance].values["in"]
        return list(files_in(read(own, target.place.path)))

    def _versions(self, target: Target) -> list[tuple[str, FileRef]]:
        """What stood there before, with where."""
        network, place = self._network, target.place
        below = {one.id for one in network.subtree(network.instances[target.instance])}
        found: list[tuple[str, FileRef]] = []
        if place is None or place.side == "in":
            for one in self._index.given:
                is_there = one.instance in below if place is None else one.instance == target.instance
                if is_there and (place is None or one.path[: len(place.path)] == place.path):
                    found.append((show_path(network.path_of(one.instance), "in", one.path), one.file))
        if place is None or place.side == "out":
            ids, shown = below if place is None else {target.instance}, shown_keys(network)
            for evaluation in network.evaluations.values():
                if evaluation.instance in ids and is_superseded(evaluation, shown):
                    where = show_path(network.path_of(evaluation.instance), "out", ())
                    found += [(where, file) for file in files_in(evaluation.outputs)]
        return list(dict.fromkeys(found))

    def _standing(self, target: Target) -> set[str]:
        """What stands at the target now: no earlier version, though it is in the log like those."""
        below = list(self._network.subtree(self._network.instances[target.instance]))
        path = target.place.path if target.place is not None else ()
        found = [read(one.values["in"], path) for one in (below if target.place is None else below[:1])]
        return {file.blob for file in files_in(found)}

    def _reply(
        self, versions: list[tuple[str, FileRef]], present: list[tuple[str, FileRef]], standing: set[str]
    ) -> m.PurgeReply:
        """What is lost; raise `Refused` when a job is about to use some of it."""
        stays = Counter(file.blob for one in self._network.instances.values() for file in files_in(list(one.values.values())))
        stays.subtract(file.blob for _, file in present)
        lost = [(path, file) for path, file in dict.fromkeys([*versions, *present]) if stays[file.blob] <= 0]
        wanted = {file.blob: path for path, file in lost}
        for job in self._retention.jobs_with_files(self._project.row.id):
            for staged in job.description.files if job.state in OPEN_STATES else ():
                if staged.file.blob in wanted:
                    raise Refused(
                        f"What stands or stood at {wanted[staged.file.blob]} is in use by job {job.id} of {job.path}.",
                        "Wait until it has ended.",
                    )
        sizes = {file.blob: file.size for _, file in lost}
        rows = [m.LostFile(path, file.name, file.size) for path, file in lost]
        kept = {file.blob for _, file in versions} - sizes.keys() - standing
        return m.PurgeReply(rows, len(kept), sum(sizes.values()))
