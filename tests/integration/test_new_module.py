"""`cpcc new-module`: what it writes works as it is, and nothing is written over."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.integration.answering import Cpcc

from copernicus.client.skeleton import write_module
from copernicus.errors import ModuleError
from copernicus.testing import load_module


def test_its_tests_pass_as_written(cpcc: Cpcc, tmp_path: Path) -> None:
    said = cpcc("new-module", "spring")
    folder = tmp_path / "conf" / "modules" / "spring"
    assert said.status == 0
    assert f"pytest {folder}" in said.out
    assert "@NAME@" not in "".join(path.read_text() for path in folder.iterdir())
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--basetemp={tmp_path / 'box'}", str(folder)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "12 passed" in done.stdout


def test_a_folder_may_be_given(cpcc: Cpcc, tmp_path: Path) -> None:
    said = cpcc("--json", "new-module", "spring", "here")
    assert said.status == 0
    assert str(Path("here/spring/functions.py")) in said.out
    assert list(load_module(tmp_path / "here" / "spring").functions) == ["sample", "samples", "estimate"]


@pytest.mark.parametrize("name", ["two words", "9lives", "class", "", "../up", "x" * 61])
def test_a_name_that_no_module_can_have(cpcc: Cpcc, tmp_path: Path, name: str) -> None:
    said = cpcc("new-module", name)
    assert said.status != 0
    assert "cannot be the name of a module" in said.err
    assert not (tmp_path / "conf" / "modules").exists()


def test_nothing_is_written_over(cpcc: Cpcc) -> None:
    assert cpcc("new-module", "spring").status == 0
    assert "is already there" in cpcc("new-module", "spring").err
    assert "There is an installed module math" in cpcc("new-module", "math").err


def test_modules_are_loaded_as_a_server_would(tmp_path: Path) -> None:
    write_module("first", tmp_path)
    (tmp_path / "first" / "functions.toml").write_text('[more]\nrun = "x"\n')
    write_module("second", tmp_path / "elsewhere")
    assert "more" in load_module(tmp_path / "first").functions
    assert load_module(tmp_path / "elsewhere" / "second").name == "second"
    write_module("first", tmp_path / "elsewhere")
    assert "more" not in load_module(tmp_path / "elsewhere" / "first").functions
    assert load_module(tmp_path / "first").functions["sample"].signature.where.startswith(str(tmp_path / "first"))
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "functions.py").write_text("\n1 / 0\n")
    with pytest.raises(ModuleError, match=r"ZeroDivisionError.*broken/functions.py:2"):
        load_module(tmp_path / "broken")
    with pytest.raises(ModuleError, match="is no module"):
        load_module(tmp_path)
