"""Commands that look at a project and its server, with the real programs: graph, watch, get, getf, cite, ping, readconf."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import select
import subprocess
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator

import pytest

from copernicus.testing.system import System

DEADLINE_S = 60.0


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A server with a worker, and a project in which three jobs are done."""
    with System(tmp_path_factory.mktemp("looking")) as system:
        system.setup()
        system.start()
        system.worker("-n", "2", "--allow", "sh")
        system.until(system.workers_known, what="the worker has announced itself")
        system.cpcc("start", "first")
        system.cpcc("run", "--n", "3", "--name", "bag", "--out", "*.txt", "--wait", "--", "sh", "-c", "echo {i} > same.txt")
        yield system


def test_graphs_as_text_as_dot_and_as_a_picture(standing: System) -> None:
    said = standing.cpcc("graph", "bag").stdout
    assert said.index("lay_out  ensemble::lay_out") < said.index("jobs  ensemble::map") < said.index("tabulate  ")
    assert "    out.stdout → bag:tabulate:in.stdouts" in said
    dot = standing.cpcc("graph", "--dot", "bag").stdout
    assert dot.startswith("digraph ")
    assert '"bag:jobs" -> "bag:tabulate"' in dot
    picture = ElementTree.fromstring(standing.cpcc("graph", "--svg", "bag").stdout)
    space = {"s": "http://www.w3.org/2000/svg"}
    assert [one.text for one in picture.findall(".//s:text", space)][0::2] == ["lay_out", "jobs", "tabulate"]
    assert len(picture.findall(".//s:g/s:path", space)) == 3, "an arrow for each pair, however much it carries"
    assert standing.ask("graph")["nodes"][0]["path"] == "bag"


def test_watch_prints_what_changes_and_ends_when_nothing_runs(standing: System) -> None:
    gate = standing.folder / "gate"
    wait = f"while [ ! -e '{gate}' ]; do sleep 0.05; done"
    standing.cpcc("run", "--n", "2", "--name", "watched", "--", "sh", "-c", wait)
    lines: list[str] = []
    argv = [standing._program("cpcc"), "watch", "--until-idle"]
    with subprocess.Popen(
        argv, cwd=standing.folder, env=standing.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line)
            if line.startswith("watched  running"):
                gate.touch()
        assert process.wait(DEADLINE_S) == 0
    assert gate.exists()
    assert lines[-2].startswith("watched  idle") or lines[-1].startswith("watched  idle")
    assert sum(line.startswith("bag  ") for line in lines) == 1, "what does not change is said once"
    (first, *_) = standing.cpcc("watch", "--until-idle", "--json").stdout.splitlines()
    assert {row["path"] for row in json.loads(first)["changed"]} >= {"bag", "watched"}


@pytest.mark.parametrize("columns", [80, 140])
def test_watch_fills_the_screen_and_ends_with_q(standing: System, columns: int) -> None:
    terminal, theirs = pty.openpty()
    environment = {**standing.environment, "COLUMNS": str(columns), "LINES": "24", "TERM": "xterm"}
    process = subprocess.Popen(
        [standing._program("cpcc"), "watch"], env=environment, stdin=theirs, stdout=theirs, stderr=theirs, cwd=standing.folder
    )
    os.close(theirs)
    shown, ends_at = "", time.monotonic() + DEADLINE_S
    while "bag" not in shown:
        assert time.monotonic() < ends_at, shown
        if select.select([terminal], [], [], 0.2)[0]:
            shown += os.read(terminal, 65536).decode(errors="replace")
    os.write(terminal, b"q")
    with contextlib.suppress(OSError):  # its side of the terminal is closed
        while time.monotonic() < ends_at:
            shown += os.read(terminal, 65536).decode(errors="replace")
    assert process.wait(DEADLINE_S) == 0
    os.close(terminal)
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown)
    assert "q ends" in plain
    assert "jobs: done" in plain
    assert max(len(line.rstrip()) for line in plain.splitlines()) <= columns


def test_all_files_of_an_array_are_fetched_and_none_is_replaced(standing: System) -> None:
    folder = standing.folder / "fetched"
    folder.mkdir()
    rows = standing.ask("getf", "bag:out.files", "-f", "fetched")
    assert [row["path"] for row in rows] == [f"bag:out.files[{index}][0]" for index in range(3)]
    assert [(folder / f"bag_out_files_{index}_0_same.txt").read_text() for index in range(3)] == ["0\n", "1\n", "2\n"]
    again = standing.cpcc("getf", "bag:out.files", "-f", "fetched", is_checked=False)
    assert "exists" in again.stderr
    assert standing.cpcc("getf", "-f", "-", "bag:out.files[2][0]", "bag:out.files[0]").stdout == "2\n0\n"
    nowhere = standing.cpcc("getf", "bag:out.files", "-f", "nowhere", is_checked=False)
    assert "is no folder" in nowhere.stderr


def test_a_value_is_shown_as_it_will_be_after_the_commit(standing: System) -> None:
    standing.cpcc("transact")
    standing.cpcc("set", "bag:in.priority", "7")
    assert standing.ask("get", "--staged", "bag:in.priority") == 7
    assert standing.ask("get", "bag:in.priority") == 0
    standing.cpcc("rollback")


def test_what_to_cite_is_declared_by_modules(standing: System) -> None:
    standing.cpcc("instance", "gromacs::mdrun", "mdrun")
    found = standing.ask("cite")
    assert set(found) == {"copernicus", "gromacs"}
    assert "doi:" in found["gromacs"][0]
    assert "gromacs:" in standing.cpcc("cite").stdout


def test_the_server_answers_reads_its_settings_and_stops_on_request(system: System) -> None:
    system.setup()
    system.start()
    server = system.ask("server-info")["fingerprint"]
    assert len(system.ask("ping", "-n", "2", server[:12])["times_s"]) == 2
    assert system.cpcc("readconf").stdout == "The settings are those in use.\n"
    assert "cpcc readconf" in system.cpc_server("config", "heartbeat_time", "33").stdout
    assert "cpcc readconf" not in system.cpc_server("config", "server_cores", "1").stdout
    said = system.cpcc("readconf").stdout
    assert "heartbeat_time is 33.0 from now on." in said
    assert "server_cores will be 1 after the next start" in said
    system.cpcc("start", "kept")
    system.cpcc("rm", "-k", "kept")
    assert system.ask("projects") == []
    assert "held" in system.cpcc("load", "kept.tar.gz", "kept").stdout
    client = system.client()
    process = system.server_process()
    assert process is not None
    assert "stopping" in system.cpcc("stop-server").stdout
    process.wait(DEADLINE_S)
    client.close()
    assert system.cpcc("ping", is_checked=False).returncode == 1
