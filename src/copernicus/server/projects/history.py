"""History: the versions of a place, the newest first, read from the log's end."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from copernicus.dataflow import tree
from copernicus.dataflow.edits import find_instance
from copernicus.dataflow.facts import Connected, Record
from copernicus.dataflow.network import ROOT, Network, Place
from copernicus.dataflow.paths import Path, parse_path, show_path
from copernicus.errors import UnknownPath, UsageError
from copernicus.server.projects.happenings import Happening, first_made, happenings, is_prefix
from copernicus.server.projects.holders import Holder, holders
from copernicus.server.projects.looking import Looking
from copernicus.server.projects.origins import Origins
from copernicus.server.projects.past import Past, Result, newest_at
from copernicus.server.projects.ports import Jobs
from copernicus.server.projects.wording import shorten, show_value
from copernicus.wire import messages as m

MOST_VERSIONS = 1000
MOST_FOLLOWED = 1000
"""Places that are followed at once."""
HasBlob = Callable[[str], bool]


class Cursor(msgspec.Struct, frozen=True, array_like=True):
    """Where a page ended: above which record, and which connections were younger."""

    before: int
    crossed: list[Place]


class History:
    """Answers `history` in one project."""

    def __init__(self, past: Past, jobs: Jobs, has_blob: HasBlob) -> None:
        self._past, self._jobs, self._has_blob = past, jobs, has_blob
        self._origins = Origins(past, jobs)

    async def of(self, request: m.HistoryRequest) -> m.HistoryReply:
        """The versions of a place, a side or an instance; raise `UnknownPath` when there is no such place."""
        if not 1 <= request.limit <= MOST_VERSIONS:
            raise UsageError(f"The limit is {request.limit}.", f"It goes from 1 to {MOST_VERSIONS}.")
        path = parse_path(request.path)
        cursor = _read_cursor(request.cursor)
        asked = places_of(self._past.network, Looking(self._past.project, self._jobs), path, request.path)
        holders, notes = self._follow(asked, request.is_standing)
        watch = Watch(self._past, holders, cursor)
        crossed = [(cursor.before, link) for link in cursor.crossed]
        found: list[tuple[Happening, m.Version]] = []
        shadow = Shadow() if request.is_standing else None
        async for record in self._past.records(0, lambda: watch.ids, newest=lambda: watch.newest):
            if len(found) > request.limit and found[request.limit - 1][1].seq > found[-1][1].seq:
                break  # there is an older one, so this page is full, and what is the same as before is known
            results = await self._past.results(record, watch.ids)
            found += self._versions(record, results, watch.holders, shadow)
            # Older versions of what a place is connected to were not seen there; but they may be what is seen there now.
            links = {Place(*fact_place(fact)) for fact in record.facts if isinstance(fact, Connected) and shadow is None}
            crossed += [(record.seq, link) for link in links if any(link in one.links for one in watch.holders)]
            watch.leave(links, first_made(record), shadow)
        return self._page(m.HistoryReply(str(path), [], notes=notes), found, request.limit, crossed)

    def _follow(self, asked: list[Place], is_standing: bool) -> tuple[list[Holder], list[str]]:
        """What is to be watched for the places that were asked about."""
        watched: list[Holder] = []
        for place in asked:
            for one in holders(self._past.network, place, with_retired=not is_standing):
                if len(watched) == MOST_FOLLOWED:
                    return watched, [f"Only {MOST_FOLLOWED} of the places that are shown there are followed; ask for elements."]
                if one.is_last or not is_standing:
                    watched.append(one)
        return watched, []

    def _versions(
        self, record: Record, results: dict[str, Result], watched: list[Holder], shadow: Shadow | None
    ) -> Iterator[tuple[Happening, m.Version]]:
        seen = set[tuple[str, Place]]()
        # Within a record, too, the last comes first.
        for one in watched:
            for happening in reversed(list(happenings(record, one.place, results))):
                # A transaction takes effect at once: what it wrote first and then wrote over was never there.
                what = "value" if happening.event in ("set", "unset", "result", "forgotten") else happening.event
                if (what, happening.place) in seen or (shadow and not shadow.takes(happening)):
                    continue
                seen.add((what, happening.place))
                yield happening, self.version(record, happening)

    def version(self, record: Record, happening: Happening) -> m.Version:
        """What happened, as people are told."""
        source, value = happening.source, happening.value
        is_gone = any(not self._has_blob(blob) for blob in blobs_in(value))
        text = "" if value is None else shorten(show_value(value)) + (" (gone)" if is_gone else "")
        return m.Version(
            record.seq,
            record.time,
            self.path_of(happening.place),
            happening.event,
            self._origins.of(record, happening),
            value,
            text,
            self.path_of(source) if source is not None else "",
            record.cause,
            is_gone,
        )

    def path_of(self, place: Place) -> str:
        """The path of a place; the instance may be gone."""
        network = self._past.network
        is_there = place.instance in network.instances
        name = network.path_of(place.instance) if is_there else f"(instance {place.instance}, removed)"
        return show_path(name, place.side, place.path)

    def _page(
        self, reply: m.HistoryReply, found: list[tuple[Happening, m.Version]], limit: int, crossed: list[tuple[int, Place]]
    ) -> m.HistoryReply:
        """Mark what is the same as before, and cut at a record's end."""
        older: dict[Place, Any] = {}
        versions: list[m.Version] = []
        for happening, version in reversed(found):
            place = happening.place
            if happening.event in ("result", "set") and happening.is_whole and tree.is_same(older.get(place), happening.value):
                version = msgspec.structs.replace(version, is_same=True)
            older[place] = happening.value
            for length in range(1, len(place.path)):
                older.pop(place._replace(path=place.path[:length]), None)  # it is no longer what it was as a whole
            versions.append(version)
        versions.reverse()
        cursor = ""
        if limit < len(versions):
            last = versions[limit - 1].seq
            limit = max(index for index, one in enumerate(versions, 1) if one.seq == last)
            if limit < len(versions):
                here = Cursor(last, [link for seq, link in crossed if seq >= last])
                cursor = base64.urlsafe_b64encode(msgspec.json.encode(here)).decode()
        return msgspec.structs.replace(reply, versions=versions[:limit], cursor=cursor)


class Watch:
    """The places that are watched while the log is read back, and where in it something is to be found."""

    def __init__(self, past: Past, holders: list[Holder], cursor: Cursor) -> None:
        self._past, self._limit = past, cursor.before - 1 if cursor.before else past.network.seq
        self.holders = holders
        self.leave(set(cursor.crossed), set(), None)

    def leave(self, links: set[Place], made: set[int], shadow: Shadow | None) -> None:
        """Watch no longer what is seen through these connections, these instances, what is hidden, what was removed."""
        network = self._past.network
        self.holders = [
            one
            for one in self.holders
            if not links & set(one.links)
            and one.place.instance not in made
            and one.place.instance in network.instances
            and not (shadow and shadow.covers(one.place))
        ]
        self.ids = {one.place.instance for one in self.holders}
        self.newest = min(self._limit, max((newest_at(network, one.place) for one in self.holders), default=0))


class Shadow:
    """What newer versions have hidden: only what is not hidden makes up what stands at a place."""

    def __init__(self) -> None:
        self._taken: list[Place] = []
        self._cut: list[tuple[Place, int]] = []
        """Arrays that were shortened, and to which length."""

    def takes(self, happening: Happening) -> bool:
        """Whether something of what happened stands there still; what is older is hidden by it from now on."""
        place = happening.place
        if self.covers(place):
            return False
        if happening.event == "shortened":
            self._cut.append((place, happening.value))
        elif happening.event != "widened":
            self._taken.append(place)
        return happening.event in ("set", "result", "disconnected") and happening.value is not None

    def covers(self, place: Place) -> bool:
        """Whether all of a place has been found, or found not to be there."""
        if any(taken[:2] == place[:2] and is_prefix(taken.path, place.path) for taken in self._taken):
            return True
        for array, length in self._cut:
            if array[:2] == place[:2] and is_prefix(array.path, place.path[:-1]):
                index = place.path[len(array.path)]
                if isinstance(index, int) and index >= length:
                    return True
        return False


def places_of(network: Network, looking: Looking, path: Path, text: str) -> list[Place]:
    """The places that a path stands for: one, or all fields of a side, or of an instance."""
    instance = find_instance(network, path.names)
    if instance.id == ROOT:
        raise UnknownPath("`history` needs the path of an instance, a side or a place.", "`cpcc log` tells of the project.")
    sides = (path.side,) if path.side else ("in", "out", "state")
    if path.members:
        looking.get(text)  # raises what is wrong with it
        return [Place(instance.id, path.side, path.members)]
    return [Place(instance.id, side, (name,)) for side in sides for name in network.fields(instance, side)]


def fact_place(fact: Connected) -> tuple[int, str, tuple[Any, ...]]:
    """Where a connection ends."""
    return fact.id, fact.side, fact.path


def blobs_in(value: Any) -> Iterator[str]:
    """The blobs of all files in a value."""
    if isinstance(value, dict):
        if isinstance(value.get("blob"), str) and "size" in value:
            yield value["blob"]
        else:
            for item in value.values():
                yield from blobs_in(item)
    elif isinstance(value, list):
        for item in value:
            yield from blobs_in(item)


def _read_cursor(text: str) -> Cursor:
    if not text:
        return Cursor(0, [])
    try:
        return msgspec.json.decode(base64.urlsafe_b64decode(text.encode()), type=Cursor)
    except (ValueError, msgspec.MsgspecError):
        raise UsageError("The cursor is none that this server gave.", "Begin again without one.") from None
