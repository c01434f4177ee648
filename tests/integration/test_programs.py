"""Programs that a worker's owner allows by name: listed in a file, found on the PATH, versioned by content."""

from __future__ import annotations

from pathlib import Path

import pytest

from copernicus.plugin import registry
from copernicus.plugin.programs import read_programs
from copernicus.plugin.toml import TomlError


def make_program(folder: Path, name: str, text: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text)
    (folder / name).chmod(0o755)


def test_allowed_programs_are_executables_and_others_are_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_program(tmp_path / "bin", "mine", "#!/bin/sh\necho 1\n")
    make_program(tmp_path / "bin", "other", "#!/bin/sh\necho 1\n")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/bin")
    environment = {"CPC_CONF_HOME": str(tmp_path)}
    assert not {"mine", "sh"} & {one.executable.name for one in registry.executables(environment)[0]}
    (tmp_path / "programs.toml").write_text('allow = ["mine", "nowhere"]\n')
    found, absent = registry.executables(environment, allowed=["sh"])
    here = {one.executable.name: one for one in found}
    assert "other" not in here
    assert here["mine"].executable.argv == (str(tmp_path / "bin" / "mine"),)
    assert here["sh"].source == "--allow"
    assert {one.name: one.why for one in absent}["nowhere"] == "there is no program nowhere on the PATH"
    make_program(tmp_path / "bin", "mine", "#!/bin/sh\necho 2\n")
    again = {one.executable.name: one for one in registry.executables(environment)[0]}
    assert here["mine"].version != again["mine"].version, "another program is another version"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('allow = ["../sh"]', "no name of a program"),
        ('allow = ["sh -c"]', "no name of a program"),
        ('allow = [""]', "no name of a program"),
        ('allow = "sh"', "a list of names"),
        ("allow = [1]", "a list of names"),
        ("alow = []", "unknown key 'alow'"),
        ("allow = [", "Invalid value"),
    ],
)
def test_a_list_that_cannot_be_meant_allows_nothing(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "programs.toml").write_text(text)
    with pytest.raises(TomlError, match=why):
        read_programs(tmp_path / "programs.toml")
    absent = registry.executables({"CPC_CONF_HOME": str(tmp_path)})[1]
    assert why in {one.name: one.why for one in absent}["programs.toml"]
