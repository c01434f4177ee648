"""Undo where several of them meet. Every step is compared with the reference."""

from __future__ import annotations

import pytest
from tests.unit.drive import Drive

from copernicus.dataflow import engine, transaction
from copernicus.errors import Refused
from copernicus.model import edits as e


@pytest.fixture
def drive() -> Drive:
    drive = Drive()
    drive.make("parts", "p")
    return drive


def test_a_record_that_was_empty_is_empty_again(drive: Drive) -> None:
    drive.set("p:in.one", {})
    drive.set("p:in.one.p", 2)
    assert drive.deeds.undo(drive.last())
    assert drive.get("p:in.one") == {}


def test_a_record_does_not_come_back_for_a_connection_that_never_was_all_of_it(drive: Drive) -> None:
    drive.make("work", "w")
    assert drive.edit(e.Connect("w:out.z", "p:in.one.q"))
    connected = drive.last()
    drive.set("p:in.one.p", 2)
    filled = drive.last()
    assert drive.deeds.undo(connected)
    disconnected = drive.last()
    assert drive.deeds.undo(filled)
    assert drive.get("p:in.one") is None
    assert drive.deeds.undo(disconnected)
    assert drive.get("p:in.one") is None
    drive.crash()


def test_an_instance_whose_results_were_deleted_meanwhile_comes_back_held(drive: Drive) -> None:
    drive.make("two", "t", x=1)
    drive.finish()
    keys = [key for key, one in drive.network.evaluations.items() if one.core_s]
    assert drive.edit(e.RemoveInstance("t"))
    event = drive.deeds.prepare(drive.last())
    assert event is not None
    # What was deleted is nothing that the reference knows of, so the engine goes on alone.
    deleted = engine.step(drive.network, drive.catalog, engine.ResultsDeleted(tuple(keys)), 0.0).data
    assert deleted is not None
    event.undoing.read(deleted)
    outcome = engine.step(drive.network, drive.catalog, event, 0.0)
    assert "t is held: 2 of its results were deleted meanwhile. Making them again costs about 2.0" in outcome.told[-1]
    assert not outcome.effects
    outcome = engine.step(drive.network, drive.catalog, engine.EditsRequested([e.Activate("t")], "ada"), 0.0)
    assert [type(effect) for effect in outcome.effects] == [transaction.DescribeJob]


def test_an_instance_that_another_undo_brought_back_is_not_brought_back_twice(drive: Drive) -> None:
    assert drive.edit(e.RemoveInstance("p"))
    removed = drive.last()
    assert drive.deeds.undo(removed)
    assert drive.deeds.undo(drive.last())
    removed_again = drive.last()
    assert drive.deeds.undo(removed)
    assert drive.edit(e.RenameInstance("p", "q"))
    event = drive.deeds.prepare(removed_again)
    assert event is not None
    with pytest.raises(Refused, match="q, which is there again"):
        drive.step(event)
    assert [one.name for one in drive.network.instances.values()].count("q") == 1
