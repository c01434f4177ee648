"""Snapshots with a real server: it comes up from one, goes on without one, and takes back what was before and after it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from copernicus.client import Project
from copernicus.server.projects.snapshots import EVERY_BYTES
from copernicus.testing.system import System

LONG = EVERY_BYTES // 16


@pytest.fixture
def grown(system: System) -> Project:
    """A project whose log is longer than a snapshot allows: an argument of a program was set again and again."""
    system.setup()
    system.start()
    project = system.client().start_project("p")
    project.import_module("ensemble")
    project.instance("ensemble::run", "s")
    project.set("s:in.names[0]", "first")
    for number in range(17):
        project.set("s:in.command[1]", f"{number:03}" + "x" * LONG)
    return project


def snapshots(system: System) -> list[Path]:
    """The snapshots that there are."""
    return sorted(system.projects.glob("snapshots/*.snapshot"))


def come_up_again(system: System) -> tuple[int, int]:
    """Kill the server and start it; say how many records there are, and how many of them came out of a snapshot."""
    system.kill_server()
    system.start()
    said = re.findall(r"project p: (\d+) records, of which (\d+) are in a snapshot", system.server_log(1000))
    return int(said[-1][0]), int(said[-1][1])


def shown(project: Project) -> str:
    """What the long argument begins with."""
    return str(project.get("s:in.command[1]"))[:4]


def test_a_server_comes_up_from_a_snapshot_and_goes_on_without_one(system: System, grown: Project) -> None:
    system.until(lambda: snapshots(system), what="a snapshot is made")
    (path,) = snapshots(system)
    assert path.stat().st_mode & 0o777 == 0o600
    grown.set("s:in.command[1]", "016y")
    records, saved = come_up_again(system)
    assert 0 < saved < records
    assert shown(grown) == "016y"
    grown.undo()
    assert shown(grown) == "016x", "what was after the snapshot is taken back"
    grown.undo(3)
    assert grown.get("s:in.names") is None, "and what was before it"
    assert not json.loads(system.cpc_server("verify", "--json").stdout)["findings"]

    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    (found,) = json.loads(system.cpc_server("verify", "--json", is_checked=False).stdout)["findings"]
    assert "is not what the log says" in found["problem"]
    assert come_up_again(system) == (records + 2, 0)
    assert "is damaged; the log is read instead" in system.server_log(1000)
    assert shown(grown) == "016x"

    system.client().remove_project("p")
    assert not snapshots(system)
