"""Conflicts: a list of edits is refused once, and only when somebody else wrote what it writes."""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress
from copy import deepcopy
from itertools import zip_longest
from random import Random
from typing import Any

import pytest
from tests.unit.office import Office, in_the_office

from copernicus.errors import Conflict, CopernicusError, UsageError
from copernicus.model import edits as e
from copernicus.server.projects import conflicts, past, service
from copernicus.wire import messages as m

PLACES = ["g:in.x", "g:in.x[0]", "g:in.x[1]", "g:in.x[+]", "g:in.y", "w:in.x", "w:in.y"]
USERS = ["ada", "bob", "cat"]


def parts(path: str) -> list[str]:
    return path.replace("[", ".[").split(".")


def overlap(one: str, other: str) -> bool:
    """Whether one path is a prefix of the other."""
    shorter = min(len(parts(one)), len(parts(other)))
    return parts(one)[:shorter] == parts(other)[:shorter]


class List:
    """What one user has put on a list, and what the server said it was then."""

    def __init__(self) -> None:
        self.edits: list[e.Edit] = []
        self.stamps: list[int] = []
        self.since: list[int] = []


class Story:
    """Three users write the same places; what each of them must be told is worked out from all that has changed."""

    def __init__(self, office: Office, chance: Random) -> None:
        self.office, self.chance = office, chance
        self.lists = {user: List() for user in USERS}
        self.changes: list[tuple[str, str]] = []
        self.told = 0

    async def begin(self) -> None:
        await self.office.make("gather", "g", "eve", x=[1, 2])
        await self.office.make("work", "w", "eve", x=1)

    def values(self) -> dict[str, Any]:
        made = self.office.projects._live["p"].network.instances
        return {f"{made[id].name}:in.{name}": deepcopy(value) for id in (1, 2) for name, value in made[id].values["in"].items()}

    def some_edit(self) -> e.Edit:
        path = self.chance.choice(PLACES)
        if self.chance.random() < 0.15:
            return e.Unset(path.replace("[+]", "[0]"))
        whole = path == "g:in.x"
        return e.SetValue(path, [self.chance.randrange(99) for _ in range(3)] if whole else self.chance.randrange(99))

    async def apply(self, user: str, *edits: e.Edit, **request: Any) -> None:
        """Apply edits, and note which places are others than before."""
        before = self.values()
        await self.office.apply(user, *edits, **request)
        after = self.values()
        for path in before.keys() | after.keys():
            is_by_element = path == "g:in.x" and any("[" in edit.path for edit in edits)
            old, new = before.get(path, [] if is_by_element else None), after.get(path)
            if isinstance(old, list) and isinstance(new, list):
                pairs = enumerate(zip_longest(old, new, fillvalue="nothing"))
                self.changes += [(user, f"{path}[{index}]") for index, (one, other) in pairs if one != other]
            elif old != new:
                self.changes.append((user, path))

    async def stage(self, user: str) -> None:
        mine, edit = self.lists[user], self.some_edit()
        if any(overlap(edit.path, one.path) for one in mine.edits):
            return
        try:
            reply = await self.office.apply(user, *mine.edits, edit, is_check=True)
        except CopernicusError:
            return
        mine.edits.append(edit)
        mine.stamps.append(reply.project_seq)
        mine.since.append(len(self.changes))

    async def write(self, user: str) -> None:
        with suppress(CopernicusError):
            await self.apply(user, self.some_edit())

    def is_overwriting(self, user: str) -> bool:
        """Whether somebody else wrote what is on the list of `user`."""
        mine = self.lists[user]
        return any(
            other != user and overlap(edit.path, place)
            for edit, since in zip(mine.edits, mine.since, strict=True)
            for other, place in self.changes[since:]
        )

    async def commit(self, user: str) -> None:
        mine, is_overwriting = self.lists[user], self.is_overwriting(user)
        if not mine.edits:
            return
        try:
            await self.apply(user, *mine.edits, stamps=mine.stamps)
        except Conflict as error:
            conflict: Conflict | None = error
        except CopernicusError:
            conflict = None  # what stands there now does not allow it
        else:
            conflict = None
        if conflict is not None:
            assert is_overwriting, f"{conflict} - but nobody wrote what {user} writes"
            assert any(f" by {other} " in str(conflict) for other in USERS if other != user)
            assert f" by {user} " not in str(conflict)
            self.told += 1
            mine.stamps, mine.since = [conflict.seq] * len(mine.edits), [len(self.changes)] * len(mine.edits)
            return
        assert not is_overwriting, f"{user} was not told what others wrote: {mine.edits} {self.changes}"
        self.lists[user] = List()

    async def run(self, steps: int) -> None:
        await self.begin()
        for _ in range(steps):
            action = self.chance.choice([self.stage, self.stage, self.write, self.commit])
            await action(self.chance.choice(USERS))
        for user in USERS:  # once more at most: nobody writes any more
            await self.commit(user)
            await self.commit(user)
            assert not self.lists[user].edits, f"{user} is refused for ever"


def stories(count: int) -> int:
    """Tell some stories; return how many conflicts there were in them."""

    async def one(seed: int) -> int:
        office = Office()
        await office.come_up()
        story = Story(office, Random(seed))
        await story.run(30)
        await office.projects.close()
        return story.told

    return sum(asyncio.run(one(seed)) for seed in range(count))


def test_whoever_overwrites_somebody_else_is_told_once() -> None:
    assert stories(60) > 20


def _forgets(*arguments: Any) -> Any:
    async def nothing() -> None:
        """Does not look."""

    return nothing()


class _Stubborn(Conflict):
    def __init__(self, message: str, hint: str = "", seq: int = 0) -> None:
        super().__init__(message, hint, 0)


@pytest.mark.parametrize(
    ("place", "name", "bug"),
    [
        (service, "refuse_conflicts", _forgets),
        (conflicts, "Conflict", _Stubborn),
        (conflicts, "_is_prefix", lambda one, other: one == other),
        (conflicts, "_may_be_written", lambda network, writing: False),
        (past, "mentioning", lambda ids: re.compile(b"nothing")),
    ],
)
def test_a_planted_bug_is_noticed(monkeypatch: pytest.MonkeyPatch, place: Any, name: str, bug: Any) -> None:
    monkeypatch.setattr(place, name, bug)
    with pytest.raises(AssertionError):
        stories(60)


@in_the_office
async def test_it_says_by_whom_when_and_what(office: Office) -> None:
    await office.make("work", "w", x=1)
    stamp = (await office.apply("ada", e.SetText("w:in.x", "7"), is_check=True)).project_seq
    await office.set("w:in.x", 5, who="bob")
    office.now += 130
    with pytest.raises(Conflict) as refused:
        await office.apply("ada", e.SetText("w:in.x", "7"), stamps=[stamp])
    assert refused.value.message == "Since you made your list, w:in.x was set to 5 by bob 2 min ago (transaction 3)."
    assert "same commit again" in refused.value.hint
    assert (await office.apply("ada", e.SetText("w:in.x", "7"), stamps=[refused.value.seq])).seq is not None


@in_the_office
async def test_a_removal_looks_at_all_of_the_instance_and_at_who_reads_it(office: Office) -> None:
    await office.make("work", "a", x=1)
    await office.make("work", "b", x=1)
    await office.apply("ada", e.Unset("b:in.x"))
    stamp = (await office.apply("ada", e.RemoveInstance("a"), is_check=True)).project_seq
    await office.set("b:in.y", 4, who="bob")
    assert (await office.apply("ada", e.RemoveInstance("b"), e.MakeInstance("m::work", "b"), is_check=True)).seq is None
    await office.apply("bob", e.Connect("a:out.z", "b:in.x"))
    with pytest.raises(Conflict, match=r"b:in\.x was connected to a:out\.z by bob"):
        await office.apply("ada", e.RemoveInstance("a"), stamps=[stamp])
    with pytest.raises(Conflict, match="is not the one that it was"):
        await office.apply("ada", e.RemoveInstance("a"), stamps=[9_999])
    with pytest.raises(UsageError, match="1 edits, but 2 stamps"):
        await office.apply("ada", e.RemoveInstance("a"), stamps=[1, 2])


@in_the_office
async def test_a_list_that_renames_is_followed(office: Office) -> None:
    await office.make("work", "w", x=1)
    edits = e.RenameInstance("w", "v"), e.RenameInstance("v", "u"), e.SetValue("u:in.x", 7)
    stamp = (await office.apply("ada", *edits, is_check=True)).project_seq
    await office.set("w:in.y", 5, who="bob")
    assert (await office.apply("cat", *edits[:1], stamps=[stamp])).seq is not None, "a name is not what stands in it"
    await office.apply("cat", e.RenameInstance("v", "w"))
    await office.set("w:in.x", 5, who="bob")
    with pytest.raises(Conflict, match=r"w:in\.x was set to 5 by bob"):
        await office.apply("ada", *edits, stamps=[stamp] * 3)


@in_the_office
async def test_another_instance_of_that_name_is_not_the_one_that_was_meant(office: Office) -> None:
    await office.make("work", "w", x=1)
    stamp = (await office.apply("ada", e.SetText("w:in.x", "7"), is_check=True)).project_seq
    await office.apply("bob", e.RemoveInstance("w"), e.MakeInstance("m::work", "w"))
    with pytest.raises(Conflict, match="w was made by bob"):
        await office.apply("ada", e.SetText("w:in.x", "7"), stamps=[stamp])


@in_the_office
async def test_a_commit_that_was_done_is_answered_again_whatever_came_after_it(office: Office) -> None:
    await office.make("work", "w", x=1)
    stamp = office.projects._live["p"].network.seq
    first = await office.apply("ada", e.SetText("w:in.x", "7"), stamps=[stamp], request_id="r")
    await office.set("w:in.x", 5, who="bob")
    assert await office.apply("ada", e.SetText("w:in.x", "7"), stamps=[stamp], request_id="r") == first


@in_the_office
async def test_what_the_machine_does_is_no_conflict(office: Office) -> None:
    """A controller that removes its child leaves the value to whoever was connected to it."""
    await office.make("steer", "s", n=3, x=1)
    await office.make("work", "w", x=1)
    await office.apply("ada", e.Connect("s:job_2:out.z", "w:in.y"))
    stamp = office.projects._live["p"].network.seq
    await office.set("s:in.n", 1, who="bob")
    assert (await office.apply("ada", e.SetText("w:in.y", "7"), stamps=[stamp])).seq is not None


@in_the_office
async def test_two_commits_at_once_are_looked_at_one_after_the_other(office: Office) -> None:
    """Records that are not on disk yet count as well, and a long log between is read in pieces."""
    await office.make("work", "w", x=1)
    stamp = office.projects._live["p"].network.seq
    for index in range(3 * past.PAGE):
        await office.set("w:in.y", index)
    both = [
        office.projects.apply(m.ApplyRequest("p", [e.SetValue("w:in.x", value)], f"r{value}", stamps=[stamp]), who)
        for value, who in ((5, "ada"), (6, "bob"))
    ]
    ends = await asyncio.gather(*both, return_exceptions=True)
    assert sorted(type(end).__name__ for end in ends) == ["ApplyReply", "Conflict"], ends
