"""Provenance: from a value back to what people gave, over evaluations and calls, in a pass over the log from its end."""

from __future__ import annotations

from collections.abc import Iterator

from copernicus.dataflow import facts as f
from copernicus.dataflow.network import Instance, Network, Place
from copernicus.dataflow.paths import parse_path
from copernicus.errors import UsageError
from copernicus.server.projects.happenings import Happening, first_made, happenings
from copernicus.server.projects.history import History, Shadow, blobs_in, places_of
from copernicus.server.projects.holders import holders, link_of
from copernicus.server.projects.looking import Looking
from copernicus.server.projects.past import Past, Result, newest_at
from copernicus.server.projects.ports import Jobs
from copernicus.wire import messages as m

MOST_STEPS = 500
MOST_CHILDREN = 50
MOST_PASSES = 10


class _Step:
    """A place as it stood in transaction `upto`."""

    def __init__(self, network: Network, place: Place, shown_at: Place, upto: int) -> None:
        self.network, self.place, self.shown_at, self.upto = network, place, shown_at, upto
        self.versions: list[m.Version] = []
        self.sources: dict[int, None] = {}
        self.is_open, self.is_late = True, False
        """Late is what was asked for when the log had been read back beyond its transaction."""
        self.kept: dict[Place, int] = {}
        """Places that kept what they showed when they were disconnected, and when that was."""
        self.shadow = Shadow()

    def is_it(self, place: Place, upto: int, position: int) -> bool:
        """Whether this is what `place` was in transaction `upto`, when the log has been read back to `position`."""
        is_known = self.upto == upto or (not self.is_late and (not self.is_open or position <= upto))
        return place == self.place and is_known and all(one.seq <= upto for one in self.versions)


class Provenance:
    """Answers where the value at a place came from."""

    def __init__(self, past: Past, jobs: Jobs, history: History) -> None:
        self._past, self._jobs, self._history = past, jobs, history
        self._steps: list[_Step] = []
        self._awaited: dict[tuple[int, str], list[_Step]] = {}
        """Steps that hold a result, until it is known when its key was taken: from (instance, key)."""
        self._connected: dict[Place, int] = {}
        """When the connections were made that were asked for so far."""
        self._notes: dict[str, None] = {}
        self._position = self._end = 0

    async def of(self, text: str) -> m.ProvenanceReply:
        """Walk back from the place called `text`; raise `UnknownPath` when there is none."""
        network, path = self._past.network, parse_path(text)
        if not path.members:
            raise UsageError(f"{text!r} does not name a value.", "Name a place: INSTANCE:out.FIELD")
        (asked,) = places_of(network, Looking(self._past.project, self._jobs), path, text)
        self._end = self._position = network.seq + 1
        first = await self._resolve(asked, network.seq)
        for _ in range(MOST_PASSES):
            await self._walk()
            late = [step for step in self._steps if step.is_late]
            for step in self._steps:
                step.is_open, step.is_late = step.is_late, False
            if not late:
                break
        else:
            self._notes[f"Connections that stand no more are followed {MOST_PASSES} deep only."] = None
        if len(first) != 1:  # it is put together from many
            top = _Step(network, asked, asked, network.seq)
            top.sources = dict.fromkeys(index + 1 for index in first)
            for step in self._steps:
                step.sources = dict.fromkeys(index + 1 for index in step.sources)
            self._steps.insert(0, top)
        return m.ProvenanceReply(self._told(), list(self._notes))

    async def _walk(self) -> None:
        """Read the log once, from its end, for the steps that are open."""
        async for record in self._past.records(0, self._ids, newest=self._newest):
            self._position = record.seq
            await self._read(record)
            if not self._awaited and not any(step.is_open for step in self._steps):
                break

    def _told(self) -> list[m.Step]:
        """The steps at which anything stood, and the first."""
        kept = [index for index, step in enumerate(self._steps) if not index or step.versions or step.sources]
        number = {index: position for position, index in enumerate(kept)}
        told = []
        for step in (self._steps[index] for index in kept):
            instance = self._past.network.instances.get(step.place.instance)
            path, shown_at = self._history.path_of(step.place), self._history.path_of(step.shown_at)
            is_stale = step.place.side == "out" and instance is not None and instance.is_evaluated and instance.is_remade
            sources = [number[index] for index in step.sources if index in number]
            told.append(m.Step(path, shown_at, step.versions, sources, is_stale))
        return told

    def _newest(self) -> int:
        """Above this record nothing is of interest any more."""
        if self._awaited:
            return self._position
        bounds = [min(step.upto, newest_at(step.network, step.place)) for step in self._steps if step.is_open]
        return max(bounds, default=0)

    def _ids(self) -> set[int]:
        ids = {step.place.instance for step in self._steps if step.is_open}
        return ids | {id for id, _ in self._awaited}

    async def _resolve(self, place: Place, upto: int) -> list[int]:
        """The steps for what `place` showed in transaction `upto`."""
        network, found = self._past.network, dict[int, None]()
        near: dict[Place, Place] = {}
        for one in holders(network, place):
            if not one.is_last:
                near[link_of(network, one.place) or one.place] = one.place
                continue
            # Through a connection that was not there yet nothing was seen: what stood at its near end was its own.
            holder = one.place
            for link in one.links:
                if await self._is_younger(link, upto):
                    holder = near.get(link, link)
                    break
            found |= dict.fromkeys(self._step(holder, place, upto))
        return list(found)

    async def _is_younger(self, link: Place, upto: int) -> bool:
        """Whether a connection was made after transaction `upto`."""
        bound = newest_at(self._past.network, link)
        if bound <= upto:
            return False
        if link not in self._connected:
            self._connected[link] = 0
            async for record in self._past.records(0, lambda: {link.instance}, newest=lambda: bound):
                places = [Place(fact.id, fact.side, fact.path) for fact in record.facts if isinstance(fact, f.Connected)]
                if link in places:
                    self._connected[link] = record.seq
                    break
        return self._connected[link] > upto

    def _step(self, place: Place, shown_at: Place, upto: int) -> list[int]:
        for index, step in enumerate(self._steps):
            if step.is_it(place, upto, self._position):
                return [index]
        if len(self._steps) == MOST_STEPS:
            self._notes[f"Only {MOST_STEPS} places are followed."] = None
            return []
        step = _Step(self._past.network, place, shown_at, upto)
        step.is_late = self._position < upto < self._end
        step.is_open = not step.is_late
        self._steps.append(step)
        return [len(self._steps) - 1]

    async def _read(self, record: f.Record) -> None:
        """Let every step take what the record did to it, also those that the record itself leads to."""
        done = 0
        while done < len(self._steps):
            for step in self._steps[done:]:
                done += 1
                if step.is_open:
                    await self._take(step, record, await self._past.results(record, {step.place.instance}))
            for fact in record.facts:
                if isinstance(fact, f.Took) and (waiting := self._awaited.pop((fact.id, fact.key), None)):
                    instance = self._past.network.instances.get(fact.id)
                    if instance is not None:
                        await self._lead_to(waiting, instance, record.seq)

    async def _take(self, step: _Step, record: f.Record, results: dict[str, Result]) -> None:
        if step.place.instance not in self._past.network.instances:
            step.is_open = False  # it was removed meanwhile
        if record.seq > step.upto or not step.is_open:
            return
        for happening in reversed(list(happenings(record, step.place, results))):
            if happening.event == "connected" and happening.source and happening.source.instance in step.network.instances:
                kept_at = step.kept.pop(happening.place, None)
                if kept_at is not None or not step.shadow.covers(happening.place):  # it was a view then
                    step.sources |= dict.fromkeys(await self._resolve(happening.source, kept_at or step.upto))
            if step.shadow.takes(happening):
                step.versions.append(self._history.version(record, happening))
                await self._follow(step, record, happening)
        step.is_open = step.place.instance not in first_made(record) and not (step.shadow.covers(step.place) and not step.kept)

    async def _follow(self, step: _Step, record: f.Record, happening: Happening) -> None:
        """Find out what a version was made from."""
        network = step.network
        if happening.event == "disconnected":
            step.kept[happening.place] = record.seq
        elif happening.key:
            self._awaited.setdefault((happening.place.instance, happening.key), []).append(step)
        elif step.place.side != "in" or record.cause == "CallEnded":
            for fact in record.facts:
                if isinstance(fact, f.Seen) and fact.id in network.instances:
                    caller = network.instances[fact.id]
                    await self._lead_to([step], caller, fact.seq)
                    for place in self._given_by_children(caller, happening):
                        step.sources |= dict.fromkeys(await self._resolve(place, fact.seq))

    async def _lead_to(self, steps: list[_Step], instance: Instance, seq: int) -> None:
        for field in instance.function.inputs:
            found = await self._resolve(Place(instance.id, "in", (field.name,)), seq)
            for step in steps:
                step.sources |= dict.fromkeys(found)

    def _given_by_children(self, caller: Instance, happening: Happening) -> Iterator[Place]:
        """The outputs of its children that a controller may have made something from: of files those of equal content."""
        network, wanted = self._past.network, set(blobs_in(happening.value))
        found: list[Place] = []
        for child in network.children(caller):
            if child.id != happening.place.instance:
                outputs = child.values["out"]
                fields = [one.name for one in child.function.outputs]
                found += [
                    Place(child.id, "out", (name,))
                    for name in fields
                    if not wanted or wanted & set(blobs_in(outputs.get(name)))
                ]
        if len(found) > MOST_CHILDREN:
            name = network.path_of(caller.id)
            self._notes[
                f"Of what the {len(found)} outputs inside {name} gave only the newest {MOST_CHILDREN} are followed."
            ] = None
        yield from found[-MOST_CHILDREN:]
