"""The page about the Python API: its examples are run as they stand, against the real programs."""

from __future__ import annotations

import doctest
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from copernicus.testing.box import CopernicusInABox

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "reference" / "python-api.md"
USER = """
from pathlib import Path

from copernicus.client import Client, Instance, Place, Project

def last_frame(project: Project) -> Path:
    instance: Instance = project["mdrun"]
    instance.set(resources={"min": {"cores": 4}})
    state: str = instance.wait(timeout_s=5.0)
    place: Place = instance.out.xtc[-1]
    names: list[str] = [child.path for child in instance]
    with project.transaction() as change:
        change.set(instance.inputs.steps, 500)
        change.connect(project["grompp"].out.tpr, "mdrun:in.tpr")
    return place.download(names[0] + state)

with Client.connect() as client:
    print(last_frame(client.project("first")))
"""


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CopernicusInABox]:
    """A server with one worker."""
    with CopernicusInABox(tmp_path_factory.mktemp("api")) as box:
        yield box


def examples(page: Path) -> str:
    """The page without the fences around its examples, each example's output ended by an empty line."""
    return re.sub(r"^```.*$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE)


def test_the_examples_of_the_page_are_true(
    box: CopernicusInABox, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:  # fmt: skip
    monkeypatch.setenv("CPC_CONF_HOME", str(box.system.home))
    monkeypatch.chdir(box.system.folder)
    test = doctest.DocTestParser().get_doctest(examples(PAGE), {}, PAGE.name, str(PAGE), 0)
    assert len(test.examples) > 30
    outcome = doctest.DocTestRunner().run(test)
    assert outcome.failed == 0, capsys.readouterr().out
    assert (box.system.folder / "eight.txt").read_text() == "8\n"


def test_it_is_typed_for_strict_users(tmp_path: Path) -> None:
    (tmp_path / "user.py").write_text(USER)
    argv = [sys.executable, "-m", "mypy", "--strict", "--no-incremental", "--cache-dir", str(tmp_path / "cache"), "user.py"]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    (tmp_path / "user.py").write_text(USER.replace("wait(timeout_s=5.0)", 'wait(timeout="5")'))
    assert subprocess.run(argv, cwd=tmp_path, capture_output=True, check=False).returncode == 1
