"""P7: the GROMACS tutorial, line by line, against the real programs and the real gmx, in its variants."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.water_box import make_water_box

from copernicus.testing.system import PASSWORD, System

pytestmark = pytest.mark.skipif(shutil.which("gmx") is None, reason="needs the gmx program (Debian package gromacs)")

Cpcc = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small box of water, long enough simulated that a third one comes while two run."""
    return make_water_box(tmp_path_factory.mktemp("water"), nsteps=3000)


def set_up(system: System, box: Path) -> None:
    """A server, a worker with two cores, and the tutorial's files where cpcc is called."""
    system.setup()
    system.start()
    system.worker("-n", "2")
    system.until(system.workers_known, what="the worker has announced itself")
    for name in ("grompp.mdp", "topol.top"):
        shutil.copy(box / name, system.folder)
    for name in ("conf.gro", "conf2.gro", "conf3.gro"):
        text = (box / "conf.gro").read_text().splitlines(keepends=True)
        (system.folder / name).write_text("".join([f"water, {name}\n", *text[1:]]))


def with_login(system: System) -> Cpcc:
    """The tutorial as it stands: a server added, a session, a current project."""
    fingerprint = system.cpcc("server-info", "--json").stdout.split('"fingerprint"')[1].split('"')[1]
    system.cpcc("add-server", "--fingerprint", fingerprint, "127.0.0.1", str(system.client_port))
    system.cpcc("login", "-stdin", "root", text=PASSWORD + "\n")
    (system.home / "client.cnx").rename(system.home / "kept.cnx")
    return system.cpcc


def with_project(system: System) -> Cpcc:
    """`-p first` after each command."""

    def cpcc(*arguments: str) -> subprocess.CompletedProcess[str]:
        return system.cpcc(*arguments) if arguments[0] == "start" else system.cpcc(*arguments, "-p", "first")

    return cpcc


def with_bundle(system: System) -> Cpcc:
    """`-c client.cnx` before each command, and no other way to be let in."""
    shutil.move(system.home / "client.cnx", system.folder / "client.cnx")
    return lambda *arguments: system.cpcc("-c", "client.cnx", *arguments)


def jobs_done(ask: Callable[..., Any]) -> int:
    """How many jobs of the project are done."""
    return int(ask("status")["jobs"].get("done", 0))


def until_one_simulates(system: System) -> None:
    """Wait for a simulation; asked from here, since one may be over before another program has started to ask."""
    places = (system.home / "client.cnx", system.home / "kept.cnx", system.folder / "client.cnx")
    with system.client(next(place for place in places if place.exists())) as client:
        system.until(lambda: any("mdrun" in job.path for job in client.running()), 120, "a simulation runs")


@pytest.mark.parametrize(
    ("variant", "conf", "is_activated_inside"),
    [
        (with_login, "grompp:in.conf[+]", False),
        (with_project, "grompp.in.conf[+]", True),
        (with_bundle, "grompp:in.conf[+]", True),
    ],
)
def test_the_tutorial(
    system: System, box: Path, variant: Callable[[System], Cpcc], conf: str, is_activated_inside: bool
) -> None:  # fmt: skip
    set_up(system, box)
    cpcc = variant(system)

    def ask(*arguments: str) -> Any:
        return json.loads(
            cpcc("--json", *arguments).stdout if variant is not with_project else cpcc(*arguments, "--json").stdout
        )

    cpcc("start", "first")
    cpcc("import", "gromacs")
    cpcc("instance", "gromacs::grompps", "grompp")
    cpcc("instance", "gromacs::mdruns", "mdrun")
    assert cpcc("ls").stdout.count("held") == 2
    cpcc("transact")
    cpcc("connect", "grompp:out.tpr", "mdrun:in.tpr")
    cpcc("setf", conf, "conf.gro")
    cpcc("setf", conf, "conf2.gro")
    cpcc("setf", "grompp:in.mdp[+]", "grompp.mdp")
    cpcc("setf", "grompp:in.top[+]", "topol.top")
    if is_activated_inside:
        cpcc("activate")
    cpcc("commit")
    if not is_activated_inside:
        cpcc("activate")
    until_one_simulates(system)
    for command in (("ls",), ("ls", "mdrun"), ("ls", "grompp.in"), ("queue",), ("status",)):
        cpcc(*command)
    assert "conf[2]" in cpcc("setf", conf, "conf3.gro").stdout
    system.until(lambda: len([x for x in ask("get", "mdrun:out.xtc") or [] if x]) == 3, 300, "three trajectories")
    # Three times grompp, mdrun in one part and the joining of it: one more simulation, and none repeated.
    assert ask("status")["jobs"] == {"done": 9}
    cpcc("getf", "-f", "traj.xtc", "mdrun:out.xtc[0]")
    frames = subprocess.run(
        ["gmx", "-quiet", "check", "-f", "traj.xtc"], cwd=system.folder, capture_output=True, text=True, check=True
    )
    assert "Step" in frames.stderr
    assert "61" in frames.stderr, "3000 steps, a frame each 50, and the first"

    first_two = ask("get", "mdrun:out.xtc")[1:]
    cpcc("setf", "grompp:in.conf[0]", "conf2.gro")
    system.until(lambda: ask("status")["jobs"] == {"done": 12}, 300)
    assert ask("get", "mdrun:out.xtc")[1:] == first_two, "replacing conf[0] redoes index 0 only"
    cpcc("deactivate")
    assert set(ask("status")["states"]) == {"held"}
    cpcc("activate")
    assert set(ask("status")["states"]) == {"idle"}
    if variant is with_project:
        return

    # In mid-run: saved, removed, loaded, and on it goes with what was done.
    cpcc("setf", "grompp:in.conf[1]", "conf3.gro")
    until_one_simulates(system)
    results = ask("get", "mdrun:out.xtc")
    cpcc("save", "first")
    cpcc("rm", "first")
    assert "of root@" in cpcc("load", "first.tar.gz", "first").stdout
    assert set(ask("status")["states"]) == {"held"}
    assert ask("get", "mdrun:out.xtc") == results
    done = jobs_done(ask)
    cpcc("activate")
    system.until(lambda: set(ask("status")["states"]) == {"idle"}, 300, "all is done")
    assert jobs_done(ask) - done == 2, "the simulation that ran, and the joining of its parts: nothing twice"
    now = ask("get", "mdrun:out.xtc")
    assert [now[0], now[2]] == [results[0], results[2]]
    assert now[1] != results[1]


def test_what_grompp_has_to_say_reaches_ls_and_log(system: System, box: Path) -> None:
    set_up(system, box)
    (system.folder / "conf.gro").write_text("broken\n  2\nnothing here\n")
    for line in (
        ["start", "first"],
        ["instance", "gromacs::grompps", "grompp"],
        ["setf", "grompp:in.conf[+]", "conf.gro"],
        ["setf", "grompp:in.mdp[+]", "grompp.mdp"],
        ["setf", "grompp:in.top[+]", "topol.top"],
        ["activate"],
    ):
        system.cpcc(*line)
    system.until(lambda: system.ask("status")["errors"], 120, "grompp has failed")
    assert "Fatal error" in system.cpcc("log", "grompp:grompp_0").stdout
    assert "error" in system.cpcc("ls", "grompp").stdout
    assert "Fatal error" in system.cpcc("ls", "grompp:grompp_0").stdout
    system.cpcc("setf", "grompp:in.conf[0]", "conf2.gro")
    system.until(lambda: system.ask("get", "grompp:out.tpr") not in (None, [None]), 120, "it goes on by itself")
