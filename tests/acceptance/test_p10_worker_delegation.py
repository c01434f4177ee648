"""P10: a head node that only relays: its workers do the work of a project server, with files both ways, steered there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from copernicus.config.places import ServerPlaces
from copernicus.testing.system import System

PROGRAM = """
import hashlib, pathlib, sys, time
data = pathlib.Path("large.bin").read_bytes()
print("value:", len(data), flush=True)
pathlib.Path("copy.bin").write_bytes(data[::-1] + sys.argv[1].encode())
while sys.argv[1] == "9" and not pathlib.Path(sys.argv[2]).exists():
    print("still here", flush=True)
    time.sleep(0.2)
"""
SIZE = 1_500_000


@pytest.fixture
def office(tmp_path: Path) -> Iterator[tuple[System, System]]:
    """A project server and a head node, connected; a real worker at the head node."""
    for name in ("project", "head"):
        (tmp_path / name).mkdir()
    with System(tmp_path / "project") as project, System(tmp_path / "head") as head:
        for system in (project, head):
            system.setup(heartbeat_s=10)
            system.cpc_server("config", "reconnect_interval", "0.5")
            system.start()
        own = project.ask("server-info")["fingerprint"]
        said = head.cpcc("connect-server", "127.0.0.1", str(project.client_port), "--fingerprint", own)
        assert "Connection request sent to 127.0.0.1" in said.stdout
        assert "Following nodes are now trusted:" in project.cpcc("trust", "--all").stdout
        head.until(lambda: [row["is_connected"] for row in head.ask("cs")["peers"]] == [True], what="the link stands")
        head.worker("-n", "1", "--allow", "python3")
        yield project, head


def test_a_head_node_relays_work_files_and_orders(office: tuple[System, System]) -> None:
    project, head = office
    project.cpcc("start", "first")
    (project.folder / "prog.py").write_text(PROGRAM)
    large = bytes(range(256)) * (SIZE // 256)
    (project.folder / "large.bin").write_bytes(large)
    flag = project.folder / "go"
    run = [
        "run",
        "--sweep",
        "K=1:2:1",
        "--in",
        "prog.py",
        "large.bin",
        "--out",
        "copy.bin",
        "--extract",
        r"value: (\d+)",
        "--wait",
    ]
    ended = project.cpcc(*run, "--", "python3", "prog.py", "{K}", str(flag))
    assert "2 jobs done" in ended.stdout or "2 of 2 jobs done" in ended.stdout, ended.stdout
    for index in (0, 1):
        project.cpcc("getf", "-f", f"back{index}.bin", f"python3:out.files[{index}][0]")
        assert (project.folder / f"back{index}.bin").read_bytes() == large[::-1] + str(index + 1).encode()
    assert not (ServerPlaces(head.home / "_default" / "server").folder / "book.sqlite").exists()
    assert head.ask("projects") == []

    # One that runs until it is told: seen, followed and stopped at the project server.
    project.cpcc("set", "python3:in.values", '[["9"]]')
    (row,) = project.until(lambda: project.ask("running"), what="it runs")
    assert "@" in row["worker"]
    assert f"worker {row['worker']}" in project.cpcc("why", str(row["job"])).stdout
    assert "still here" in project.cpcc("getf", "--partial", "-f", "-", f"{row['job']}/stdout").stdout
    project.cpcc("stop", str(row["job"]))
    project.until(lambda: project.ask("running") == [], what="it is stopped")
    assert "stopped by root" in project.cpcc("why", str(row["job"])).stdout
