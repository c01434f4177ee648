"""History: what it tells of a place is what the reference model has seen there."""

from __future__ import annotations

import asyncio
from collections import deque
from copy import deepcopy
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from msgspec.structs import replace
from tests.unit import history as random
from tests.unit.reference_tree import get
from tests.unit.witness import Witness

from copernicus.dataflow.instances import ROOT, Place
from copernicus.dataflow.paths import show_path
from copernicus.errors import UnknownPath
from copernicus.server.projects import happenings, history, holders
from copernicus.server.projects.history import History
from copernicus.server.projects.holders import holders as follow
from copernicus.server.projects.past import Past
from copernicus.server.storage.memory import MemoryBook
from copernicus.wire import messages as m

HISTORIES = 60
VALUES = ("set", "unset", "result", "disconnected", "forgotten", "removed")
Trace = list[tuple[int, Any]]


class Remembering(Witness):
    """A witness that keeps what every place has shown after every record."""

    def __init__(self) -> None:
        super().__init__(every=10)
        self.traces: dict[Place, Trace] = {}

    def step(self, *arguments: Any) -> Any:
        outcome = super().step(*arguments)
        if outcome.data is not None:
            self._remember()
        return outcome

    def _remember(self) -> None:
        ids = {self.network.path_of(id): id for id in self.network.instances if id != ROOT}
        for path, side, members in self.reference.places():
            shown = self.reference.show(path, side, members)
            parts: list[Any] = [()]
            parts += [(index,) for index in range(4)] if isinstance(shown, list) or shown is None else []
            for part in parts:
                place, value = Place(ids[path], side, members + part), get(shown, part)
                trace = self.traces.setdefault(place, [(0, None)])
                if trace[-1][1] != value:
                    trace.append((self.network.seq, deepcopy(value)))
        for place, trace in self.traces.items():
            if place.instance not in self.network.instances and trace[-1][1] is not None:
                trace.append((self.network.seq, None))  # it was removed, and may come back

    def past(self) -> Past:
        book = MemoryBook()
        book.disk.records["p"] = dict(enumerate(self.log, 1))
        project = SimpleNamespace(network=self.network, young=deque(), row=SimpleNamespace(id="p", name="p"))
        return Past(project, book)  # type: ignore[arg-type]


class Recorder(random.History):
    """Random histories; at the end every place is asked for its own."""

    checked: ClassVar[int] = 0
    witness: Remembering

    def __init__(self) -> None:
        super().__init__()
        self.witness = Remembering()

    def end(self) -> None:
        asyncio.run(self.check())

    async def check(self) -> None:
        witness, network = self.witness, self.witness.network
        jobs: Any = SimpleNamespace(record=lambda job: None, find=lambda project, key: None)
        told = History(witness.past(), jobs, lambda blob: True)
        for place, trace in witness.traces.items():
            instance = network.instances.get(place.instance)
            if instance is None or any(self.flickers(one.place) for one in follow(network, place)):
                continue
            text = show_path(network.path_of(place.instance), place.side, place.path)
            try:
                whole = await told.of(m.HistoryRequest("p", text, 1000))
            except UnknownPath:
                assert trace[-1][1] is None, f"{text} is there"
                continue
            # What is the same as before is not known yet where its older version stands on the next page.
            both = [[replace(one, is_same=False) for one in told] for told in (await pages(told, text), whole.versions)]
            assert both[0] == both[1], f"{text}: pages are not the whole"
            self.compare(text, whole.versions, trace)
            standing = await told.of(m.HistoryRequest("p", text, 1000, is_standing=True))
            self.compare_standing(text, standing.versions, trace[-1][1], whole.versions)
            Recorder.checked += 1

    def flickers(self, place: Place) -> bool:
        """Whether a place may show something else without a connection: inputs of indices, and elements of a scatter."""
        instance = self.witness.network.instances[place.instance]
        return (place.side == "in" and instance.index is not None) or (
            place.side == "out" and instance.function.kind == "scatter" and len(place.path) > 1
        )

    def compare(self, text: str, versions: list[m.Version], trace: Trace) -> None:
        def shown(seq: int) -> Any:
            return next(value for at, value in reversed(trace) if at <= seq)

        changes = {seq for seq, _ in trace[1:]}
        is_leaf = not any(isinstance(value, list | dict) for _, value in trace)
        newest = {(one.seq, one.path): one for one in reversed(versions) if one.event in VALUES}
        links = [one.seq for one in versions if one.event in ("connected", "disconnected")]
        seqs = {one.seq for one in versions}
        missing = {seq for seq in changes if seq > max(links, default=0)} - seqs
        assert not missing, f"{text} changed at {missing}: {versions}"
        assert [one.seq for one in versions] == sorted((one.seq for one in versions), reverse=True)
        since = max((one.seq for one in versions if one.event == "connected" and one.path == text), default=0)
        early = [one for one in versions if one.seq < since and not one.path.startswith(text)]
        assert not early, f"{text} was not connected then: {early}"
        if not is_leaf:
            return
        for one in versions:
            if one.event in VALUES and newest.get((one.seq, one.path)) is one and one.seq > max(links, default=0):
                assert one.value == shown(one.seq), f"{text} was {shown(one.seq)}: {one}"
                # What it was before somebody was connected to it is not told, so whether it is the same is not known.
                is_known = one.path == text or any(other.path == one.path and other.seq < one.seq for other in versions)
                if one.event in ("set", "result") and not one.is_same and is_known:
                    assert one.seq in changes, (
                        f"{text} was that before: {one} {[(v.seq, v.event, v.value, v.path, v.is_same) for v in versions]}"
                    )

    def compare_standing(self, text: str, versions: list[m.Version], value: Any, whole: Any) -> None:
        if not isinstance(value, list | dict):
            assert len(versions) == (value is not None), f"{text} is {value}: {versions} {whole}"
            assert all(one.value == value for one in versions)
        for index, item in enumerate(value if isinstance(value, list) else []):
            if has_leaf(item):
                assert versions, f"nobody wrote {text}[{index}]"


def has_leaf(value: Any) -> bool:
    """Whether anything stands there but holes."""
    if isinstance(value, dict):
        return any(map(has_leaf, value.values()))
    return any(map(has_leaf, value)) if isinstance(value, list) else value is not None


async def pages(told: History, text: str) -> list[m.Version]:
    found: list[m.Version] = []
    cursor = ""
    while True:
        reply = await told.of(m.HistoryRequest("p", text, 2, cursor))
        found += reply.versions
        cursor = reply.cursor
        if not cursor:
            return found


def tell(count: int = HISTORIES) -> None:
    for seed in range(count):
        Recorder().live(seed, 40)


@pytest.mark.timeout(900)
def test_the_history_of_every_place_is_what_was_seen_there() -> None:
    tell()
    assert Recorder.checked > 500


@pytest.mark.parametrize(
    ("place", "name", "bug"),
    [
        (happenings, "_shortened", lambda place, fact: ()),
        (happenings, "is_prefix", lambda one, other: one == other),
        (happenings.tree, "read", lambda root, path: None),
        (holders, "link_of", lambda network, place: None),
        (holders, "linked_parts", lambda instance, place: []),
        (history.Shadow, "takes", lambda shadow, happening: True),
        (history.Shadow, "covers", lambda shadow, place: True),
    ],
)
def test_a_planted_bug_is_noticed(monkeypatch: pytest.MonkeyPatch, place: Any, name: str, bug: Any) -> None:
    monkeypatch.setattr(place, name, bug)
    with pytest.raises(AssertionError):
        tell(25)
