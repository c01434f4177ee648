"""kill -9 of a server while it brings a folder of an earlier version to its own schema: the next one goes on with it."""

from __future__ import annotations

import itertools
import random
import shutil
from pathlib import Path

from tests.proof import doom
from tests.proof.doom import Doom
from tests.proof.lives import Deck, Servers

from copernicus.server.storage.sqlite.book import MIGRATIONS
from copernicus.testing.system import System

OLD = Path(__file__).parent.parent / "fixtures" / "project-folder-0.1"


def test_a_server_that_is_killed_while_it_migrates_comes_up(system: System) -> None:
    system.setup()
    shutil.copytree(OLD, system.projects)
    for path in (system.projects, *system.projects.rglob("*")):
        path.chmod(0o700 if path.is_dir() else 0o600)
    servers = Servers(system, Deck([], random.Random(1)))
    for name in ("migration: before a copy is kept", "migration: a copy is kept"):
        assert servers.start(Doom(name)) is None
        assert doom.was_met(servers.plan) == name
    deaths, passes = 0, itertools.count(1)
    while (process := servers.start(Doom("migration: inside a transaction", next(passes)))) is None:
        deaths += 1  # a statement later each time, until there is none left
    assert deaths > len(MIGRATIONS), "most of them fell into a step that then was not done"
    servers.end(process)
    process = servers.start(Doom())
    assert process is not None
    assert system.ask("status", "-p", "old")["jobs"] == {"done": 3, "failed": 1, "queued": 1}
    servers.end(process)
    assert "All is well." in system.cpc_server("verify").stdout
