"""Snapshots of networks: nothing of what is stored is left out, and what is no snapshot is refused."""

from __future__ import annotations

import pytest
from tests.unit.comparison import DERIVED, FOUND
from tests.unit.drive import Drive

from copernicus.dataflow import snapshot
from copernicus.dataflow.instances import Evaluation, Instance
from copernicus.errors import CorruptData
from copernicus.model import edits as e

BY_LINKS = {"parts"}


def test_everything_that_is_stored_is_in_a_snapshot() -> None:
    """A new slot must either be saved, or be named as derived."""
    of_instance = {*snapshot.OF_INSTANCE, *snapshot._Instance.__struct_fields__} - {"plain"}
    assert set(Instance.__slots__) == of_instance | BY_LINKS | (FOUND | set(DERIVED)) - {"why_blocked"}
    of_evaluation = {*snapshot.OF_EVALUATION, *snapshot._Evaluation.__struct_fields__} - {"plain"}
    assert set(Evaluation.__slots__) == of_evaluation | {"why_blocked"}


def test_outputs_are_held_once() -> None:
    drive = Drive()
    drive.make("work", "w", x=1)
    drive.finish()
    found = snapshot.decode(snapshot.encode(drive.network))
    instance = found.instances[1]
    assert instance.values["out"] == {"z": 10}
    assert instance.values["out"]["z"] is found.evaluations[instance.stood].outputs["z"]
    assert snapshot.encode(drive.network).count(b"\xa1z\x0a") == 1


def test_outputs_that_were_deleted_and_still_stand_are_kept() -> None:
    drive = Drive()
    drive.make("work", "w", x=1)
    drive.finish()
    network = drive.network
    network.evaluations[network.instances[1].stood].outputs = {}
    assert snapshot.decode(snapshot.encode(network)).instances[1].values["out"] == {"z": 10}
    network.instances[1].values["out"], network.evaluations[network.instances[1].stood].outputs = {}, {"z": 10}
    assert snapshot.decode(snapshot.encode(network)).instances[1].values["out"] == {}


@pytest.mark.parametrize("data", [b"", b"\xc1", b"\x90", b"{}", b"\x9c" + b"\xc0" * 12])
def test_what_is_no_snapshot_is_refused(data: bytes) -> None:
    with pytest.raises(CorruptData, match="no snapshot"):
        snapshot.decode(data)


def test_a_snapshot_that_is_cut_or_names_what_is_not_there_is_refused() -> None:
    drive = Drive()
    drive.make("works", "w", x=[1, 2])
    assert drive.edit(e.SetValue("w:in.y", [5]))
    data = snapshot.encode(drive.network)
    for end in range(0, len(data), 7):
        with pytest.raises(CorruptData, match="no snapshot"):
            snapshot.decode(data[:end])
