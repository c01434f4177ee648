"""Folders of modules: functions for the server and executables for the worker, in Python, as TOML, or both."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from copernicus.dataflow.calls import CommandAnswer, CommandCall
from copernicus.model.functions import ModuleSchema
from copernicus.plugin import registry
from copernicus.server.projects.pool import Pool

COMMAND = '[{name}]\nrun = "{name}/prog"\nargv = ["{{n}}"]\nin = {{ n = "int" }}\nout = {{ line = "string: stdout" }}\n'
EXECUTABLE = 'name = "{name}/prog"\nversion = "1"\nargv = ["{{python}}", "{{folder}}/prog.py", "--safe"]\n'
PYTHON = """
from dataclasses import dataclass
from copernicus.plugin.functions import Module
module = Module("both", "From Python")
@dataclass
class Out:
    n: int
@module.pure
def twice(n: int) -> Out:
    return Out(2 * n)
"""


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CPC_CONF_HOME", str(tmp_path / "home"))
    modules = tmp_path / "home" / "modules"
    write(modules / "plain" / "functions.toml", COMMAND.format(name="plain"))
    write(modules / "plain" / "executables.toml", EXECUTABLE.format(name="plain"))
    write(modules / "both" / "functions.py", PYTHON)
    write(modules / "both" / "functions.toml", COMMAND.format(name="second"))
    write(
        modules / "both" / "executables.toml",
        '[[executable]]\nname = "own"\nversion = { argv = ["./own", "--version"], find = "own (.*)" }\nargv = ["./own"]\n',
    )
    write(modules / "both" / "own", "#!/bin/sh\necho own 1.5\n")
    (modules / "both" / "own").chmod(0o755)
    write(modules / "wrong" / "functions.toml", COMMAND.format(name="wrong").replace('"{n}"', '"{m}"'))
    write(modules / "wrong" / "executables.toml", 'name = "w"\nversion = "1"\n\nargv = "w"\n')
    write(modules / "twice" / "functions.py", PYTHON.replace("both", "twice"))
    write(modules / "twice" / "functions.toml", COMMAND.format(name="twice"))
    write(modules / "__pycache__" / "functions.toml", "")
    write(tmp_path / "site" / "of_site" / "functions.toml", COMMAND.format(name="of_site"))
    return tmp_path


def catalog(home: Path) -> dict[str, ModuleSchema]:
    async def ask() -> dict[str, ModuleSchema]:
        pool = Pool(1, home / "blobs", str(home / "site"))
        try:
            await pool.start()
            answer = await pool.call(CommandCall("plain::plain", {"n": 3}))
            assert isinstance(answer, CommandAnswer)
            assert answer.description is not None
            assert (answer.description.executable, answer.description.argv) == ("plain/prog", ("3",))
            return {module.name: module for module in await pool.catalog()}
        finally:
            await pool.stop()

    return asyncio.run(ask())


def test_functions_come_from_both_kinds_of_files(home: Path) -> None:
    modules = catalog(home)
    assert [one.name for one in modules["plain"].functions] == ["plain::plain"]
    assert [one.name for one in modules["both"].functions] == ["both::twice", "both::second"]
    assert modules["both"].help == "From Python"
    assert [one.name for one in modules["of_site"].functions] == ["of_site::of_site"]
    assert "wrong/functions.toml:3: wrong: {m} is no input" in modules["wrong"].error
    assert "twice/functions.toml:1" in modules["twice"].error
    assert "declared twice" in modules["twice"].error
    assert not {"__pycache__", "copernicus_modules"} & modules.keys()


def test_executables_lie_beside_them(home: Path) -> None:
    found, absent = registry.executables({"CPC_CONF_HOME": str(home / "home")})
    here = {one.executable.name: one for one in found}
    folder = home / "home" / "modules"
    assert here["plain/prog"].executable.argv == (sys.executable, str(folder / "plain" / "prog.py"), "--safe")
    assert here["own"].executable.argv == (str(folder / "both" / "own"),)
    assert here["own"].version == "1.5"
    why = {one.name: one.why for one in absent}
    assert "wrong/executables.toml:4: argv must be a list" in why["wrong"]
