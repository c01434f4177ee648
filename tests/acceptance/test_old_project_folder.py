"""P9: a project folder that an earlier version wrote is opened by this one, with everything in it, and goes on."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from copernicus.testing.system import System

FIXTURES = Path(__file__).parent.parent / "fixtures"


@pytest.mark.parametrize("version", sorted(path.name for path in FIXTURES.glob("project-folder-*")))
def test_it_opens_and_goes_on(system: System, version: str) -> None:
    system.setup()
    shutil.copytree(FIXTURES / version, system.projects)
    for path in (system.projects, *system.projects.rglob("*")):
        path.chmod(0o700 if path.is_dir() else 0o600)
    assert_migrates(system)
    system.start()
    system.cpcc("cd", "old")

    def get(path: str) -> object:
        return system.ask("get", path)

    assert get("sum:out.c") == 0.1
    assert get("product:out.c") == "nan"
    assert get("db:in.integer_inputs") == [1, 21, 9223372036854775807]
    assert get("db:out.integer_outputs") == [2, 4, None], "index 1 still shows its former result"
    assert get("steer:out.a") == 2
    assert get("files:in.mdp")["name"] == "é.mdp"  # type: ignore[index]
    system.cpcc("getf", "-f", "back.mdp", "files:in.mdp")
    assert (system.folder / "back.mdp").read_text() == "integrator = md\n"
    status = system.ask("status")
    assert status["jobs"] == {"done": 3, "failed": 1, "queued": 1}
    assert sorted(row["path"] for row in status["errors"]) == ["broken", "db:double_2"]
    assert "attempt 1" in system.cpcc("log", "db:double_2").stdout

    system.cpcc("set", "db:in.integer_inputs[+]", "4")  # index 3 retired with a result: it stands again
    system.cpcc("set", "db:in.integer_inputs[2]", "5")
    system.worker("-n", "2")
    system.until(lambda: get("db:out.integer_outputs") == [2, 42, 10, 8], what="the rest is doubled")
    assert system.ask("status")["jobs"] == {"done": 5, "failed": 1}, "nothing was done twice"
    assert "All is well." in system.cpc_server("verify").stdout


def assert_migrates(system: System) -> None:
    """The folder is sound as it is; `migrate` tries first, keeps what was, and does nothing the second time."""
    book = system.projects / "book.sqlite"
    before = book.read_bytes()
    assert "All is well." in system.cpc_server("verify").stdout
    assert "brought to schema" in system.cpc_server("migrate", "--dry-run").stdout
    assert book.read_bytes() == before, "a trial changes nothing"
    row = json.loads(system.cpc_server("migrate", "--json").stdout)[1]
    assert row["schema"] < row["newest"]
    kept = Path(row["kept"])
    assert kept.stat().st_mode & 0o077 == 0
    assert system.cpc_server("migrate").stdout.count("has the newest schema") == 2
    assert "All is well." in system.cpc_server("verify").stdout
    book.unlink()
    kept.rename(book)  # so that the server, too, finds the old one and migrates it by itself
