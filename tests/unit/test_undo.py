"""Undo where several of them meet. Every step is compared with the reference."""

from __future__ import annotations

import pytest
from tests.unit.drive import Drive

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
