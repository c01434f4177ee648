"""The doctors of client and worker, and the unit for systemd: ticks where all is well, crosses with what to do."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.acceptance.refusals import fault

from copernicus.testing.system import System


def marks(text: str) -> dict[str, str]:
    """What was looked at, with its tick or cross."""
    return {line[2:14].strip(): line[0] for line in text.splitlines() if line[:1] in ("✓", "✗")}


def test_client_and_worker(system: System) -> None:
    nobody = system.cpcc("doctor", is_checked=False)
    assert (nobody.returncode, marks(nobody.stdout)["identity"]) == (1, "✗")
    assert "cpcc login" in nobody.stdout
    system.setup()
    system.start()
    system.cpcc("start", "first")
    well = system.cpcc("doctor")
    assert set(marks(well.stdout).values()) == {"✓"}, well.stdout
    assert all(row["is_well"] for row in system.ask("doctor"))
    worker = system.run(["cpc-worker", "doctor"])
    assert marks(worker.stdout) == {"bundle": "✓", "server": "✓", "work folder": "✓", "disk": "✓"}, worker.stdout
    system.cpcc("bundle", "--role", "client", "-o", "mine.cnx", "--expires", "2d")
    client = system.run(["cpc-worker", "-c", "mine.cnx", "doctor"], is_checked=False)
    assert (client.returncode, marks(client.stdout)["bundle"]) == (1, "✗")
    soon = system.cpcc("-c", "mine.cnx", "doctor", is_checked=False)
    assert "✗ identity" in soon.stdout, "it ends in two days"
    system.cpcc("rm", "-f", "first")
    system.cpcc("doctor", "-p", "first", is_checked=False)
    assert marks(system.cpcc("doctor", "-p", "first", is_checked=False).stdout)["project"] == "✗"
    system.stop()
    away = system.run(["cpc-worker", "doctor"], is_checked=False)
    assert (away.returncode, marks(away.stdout)["server"]) == (1, "✗")
    assert "cpc-server status" in away.stdout
    assert json.loads(system.cpcc("--json", "doctor", is_checked=False).stdout)[2]["is_well"] is False


def test_the_unit_for_systemd(system: System) -> None:
    assert "There is no server set up" in system.cpc_server("install-service", is_checked=False).stderr
    system.setup()
    printed = system.cpc_server("install-service", "--print").stdout
    units = system.folder / ".config" / "systemd" / "user"
    system.environment.pop("XDG_CONFIG_HOME", None)
    assert not units.exists()
    said = system.cpc_server("install-service").stdout
    (unit,) = units.iterdir()
    assert unit.read_text() == printed
    assert f"enable --now {unit.name}" in said
    system.cpc_server("install-service")
    command = next(line for line in printed.splitlines() if line.startswith("ExecStart="))
    words = shlex.split(command.removeprefix("ExecStart="))
    assert Path(words[0]).exists()
    assert Path(words[-1]) == system.home / "_default" / "server"
    unit.write_text("[Unit]\nDescription=mine\n")
    assert fault(system.cpc_server("install-service", is_checked=False), "none of ours") == ""
    assert unit.read_text() == "[Unit]\nDescription=mine\n"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd here")
def test_systemd_understands_the_unit(system: System, tmp_path: Path) -> None:
    system.setup()
    unit = tmp_path / "copernicus-test.service"
    unit.write_text(system.cpc_server("install-service", "--print").stdout)
    done = subprocess.run(["systemd-analyze", "--user", "verify", str(unit)], capture_output=True, text=True, check=False)
    assert "copernicus-test.service:" not in done.stderr, done.stderr
