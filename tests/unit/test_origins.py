"""Origins: history and standing versions say who, what call, what job, what network made a value."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.unit.office import Office, in_the_office

from copernicus.dataflow import engine
from copernicus.errors import UnknownPath, UsageError
from copernicus.model import edits as e
from copernicus.model.functions import Field, FunctionSchema, ModuleSchema
from copernicus.model.values import FileRef
from copernicus.server.storage.abc import Unit
from copernicus.wire import messages as m

FILES = ModuleSchema("m", functions=(FunctionSchema("m::read", "pure", (Field("file", "file"),), (Field("z", "int?"),)),))


async def told(office: Office, path: str, **request: Any) -> list[m.Version]:
    reply = await office.projects.enquiries.history(m.HistoryRequest("p", path, **request))
    return reply.versions


@in_the_office
async def test_every_kind_of_origin_is_told(office: Office) -> None:
    await office.make("work", "w", x=1)
    first = await office.finish("w")
    await office.set("w:in.x", 2, who="bob")
    second = await office.finish("w")
    newest, before = await told(office, "w:out.z")
    assert (newest.value, newest.text, newest.event) == (20, "20", "result")
    origin = newest.origin
    assert (origin.kind, origin.path, origin.function, origin.job) == ("job", "w", "m::work", second)
    assert (origin.attempt, origin.worker, origin.hostname) == (1, "w1", "node7")
    assert (origin.executable, origin.version, origin.core_s, origin.is_reused) == ("m/work", "1.5", 20.0, False)
    assert (before.value, before.origin.job) == (10, first)
    assert [(one.value, one.origin.kind, one.origin.who) for one in await told(office, "w:in.x")] == [
        (2, "user", "bob"), (1, "user", "ada"),
    ]  # fmt: skip
    await office.make("two", "t", x=1)
    (constant,) = await told(office, "t:two:in.y")
    assert (constant.value, constant.origin.kind, constant.origin.path, constant.origin.function) == (
        1, "constant", "t", "m::two",
    )  # fmt: skip
    await office.make("steer", "s", n=1, x=3)
    (call,) = await told(office, "s:job_0:in.x")
    assert (call.value, call.origin.kind, call.origin.path, call.origin.function) == (3, "call", "s", "m::steer")
    await office.make("add", "sum", a=1.0, b=2.0)
    (pure,) = await told(office, "sum:out.c")
    assert (pure.value, pure.origin.kind, pure.origin.path) == (3.0, "call", "sum")


@in_the_office
async def test_a_result_that_stands_again_says_whose_it_was(office: Office) -> None:
    await office.make("same", "one", "ada", x=1)
    job = await office.finish("one")
    await office.make("same", "other", "bob", x=1)
    (version,) = await told(office, "other:out.z")
    assert (version.origin.is_reused, version.origin.made_for, version.origin.job) == (True, "one", job)
    assert version.origin.filed_at is not None
    assert version.origin.filed_at < version.time
    await office.set("one:in.x", 5)
    await office.finish("one")
    await office.set("one:in.x", 1)
    again, five, first = await told(office, "one:out.z")
    assert (again.origin.is_reused, again.origin.made_for, again.origin.job) == (True, "one", job)
    assert not five.origin.is_reused
    assert not first.origin.is_reused


@in_the_office
async def test_a_connection_shows_what_its_source_held_from_then_on(office: Office) -> None:
    await office.make("work", "a", x=1)
    await office.finish("a")
    await office.make("work", "b", x=7)
    await office.apply("bob", e.Unset("b:in.x"))
    await office.apply("bob", e.Connect("a:out.z", "b:in.x"))
    await office.set("a:in.x", 2)
    await office.finish("a")
    versions = await told(office, "b:in.x")
    assert [(one.event, one.path, one.value) for one in versions] == [
        ("result", "a:out.z", 20), ("connected", "b:in.x", None), ("unset", "b:in.x", None), ("set", "b:in.x", 7),
    ]  # fmt: skip
    assert (versions[1].source, versions[1].origin.who) == ("a:out.z", "bob")
    (standing,) = await told(office, "b:in.x", is_standing=True)
    assert standing == versions[0]
    await office.apply("cat", e.RemoveInstance("a"))
    kept = (await told(office, "b:in.x"))[0]
    assert (kept.event, kept.value, kept.origin.who) == ("disconnected", 20, "cat")


@in_the_office
async def test_what_makes_up_an_array_is_told_part_by_part(office: Office) -> None:
    await office.make("gather", "g", x=[1, 2, 3])
    await office.set("g:in.x[1]", 9, who="bob")
    await office.apply("cat", e.Unset("g:in.x[2]"))
    rows = await told(office, "g:in.x", is_standing=True)
    assert [(one.path, one.value, one.origin.who) for one in rows] == [("g:in.x[1]", 9, "bob"), ("g:in.x", [1, 2, 3], "ada")]
    assert [one.event for one in await told(office, "g:in.x")] == ["shortened", "set", "set"]
    assert [one.event for one in await told(office, "g:in.x[1]")] == ["set", "set"]
    everything = await told(office, "g")
    assert {one.path for one in everything} == {"g:in.x", "g:in.x[1]"}


@in_the_office
async def test_content_that_is_not_kept_is_gone_and_the_version_stays(office: Office) -> None:
    office.code.module = FILES
    await office.restart()
    office.blobs |= {"a" * 64, "b" * 64}
    await office.apply("ada", e.MakeInstance("m::read", "r"))
    for blob in "ab":
        await office.apply("ada", e.SetFile("r:in.file", FileRef(blob * 64, 5, "conf.gro")))
    office.blobs -= {"a" * 64}
    newest, old = await told(office, "r:in.file")
    assert (newest.is_gone, newest.text) == (False, "conf.gro (5 B)")
    assert (old.is_gone, old.text) == (True, "conf.gro (5 B) (gone)")


@in_the_office
async def test_a_result_that_was_deleted_and_made_again_is_told_as_it_was(office: Office) -> None:
    await office.make("work", "w", x=1)
    first = await office.finish("w")
    await office.set("w:in.x", 2)
    await office.finish("w")
    live = office.projects._live["p"]
    key = (await told(office, "w:out.z"))[1].origin.key
    unit = Unit()
    live.step(unit, engine.ResultsDeleted((key,)))
    await office.book.submit(unit)
    assert not live.network.evaluations[key].outputs
    old = (await told(office, "w:out.z"))[1]
    assert (old.value, old.origin.job, old.origin.core_s) == (10, first, 20.0)
    await office.set("w:in.x", 1)
    again = await office.finish("w")
    newest, _, before = await told(office, "w:out.z")
    assert (newest.seq, newest.origin.filed_seq, newest.origin.is_reused) == (newest.seq, newest.seq, False)
    assert (before, again) == (old, first), "the job of a key is one and the same"


@in_the_office
async def test_what_an_undo_brings_back_has_its_history(office: Office) -> None:
    await office.make("work", "w", x=1)
    job = await office.finish("w")
    await office.set("w:in.x", 2, who="bob")
    await office.finish("w")
    before = await told(office, "w:in.x")
    await office.apply("cat", e.RemoveInstance("w"))
    await office.projects.undo(m.UndoRequest("p"), "eve")
    await office.settle()
    versions = await told(office, "w:in.x")
    assert versions[-2:] == before
    assert [(one.event, one.value, one.origin.who) for one in versions[:-2]] == [("set", 2, "eve"), ("removed", None, "cat")]
    assert versions[0].cause == "UndoRequested"
    assert job in [one.origin.job for one in await told(office, "w:out.z")]
    await office.projects.undo(m.UndoRequest("p", seq=before[0].seq), "eve")
    await office.settle()
    assert (await told(office, "w:in.x"))[0].value == 1
    assert (await told(office, "w:out.z", is_standing=True))[0].origin.job == job


@in_the_office
async def test_a_long_history_comes_in_pages_and_holds_nobody_up(office: Office) -> None:
    await office.make("work", "w", x=1)
    for value in range(1200):
        await office.set("w:in.x", value % 2 + 1)
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    task = asyncio.create_task(others())
    reply = await office.projects.enquiries.history(m.HistoryRequest("p", "w:in.x", 1000))
    task.cancel()
    assert turns >= 2, "nobody else had a turn"
    assert (len(reply.versions), bool(reply.cursor)) == (1000, True)
    older = await office.projects.enquiries.history(m.HistoryRequest("p", "w:in.x", 1000, reply.cursor))
    assert (len(older.versions), older.cursor) == (200, "")
    assert reply.versions[-1].seq > older.versions[0].seq


@in_the_office
async def test_what_cannot_be_told_is_refused(office: Office) -> None:
    await office.make("gather", "g", x=[1])
    for path, limit, cursor, kind, words in (
        ("nope:in.x", 10, "", UnknownPath, "no instance 'nope'"),
        ("g:in.nope", 10, "", UnknownPath, "has no field"),
        ("g:in.x[7]", 10, "", UnknownPath, "has 1 element"),
        ("", 10, "", UnknownPath, "needs the path"),
        (":::", 10, "", UsageError, "is not a path"),
        ("g:in.x", 0, "", UsageError, "limit is 0"),
        ("g:in.x", 10_000, "", UsageError, "limit is 10000"),
        ("g:in.x", 10, "nonsense", UsageError, "cursor"),
        ("g:in.x", 10, "é", UsageError, "cursor"),
    ):
        with pytest.raises(kind, match=words):
            await told(office, path, limit=limit, cursor=cursor)
