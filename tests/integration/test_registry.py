"""Executables from folders, and plug-ins that are broken."""

from __future__ import annotations

from pathlib import Path

import pytest

from copernicus.plugin import registry
from copernicus.plugin.executables import NotHere, installed, probe_program


def write(path: Path, text: str, mode: int = 0o644) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


def test_executables_come_from_files_programs_and_modules(tmp_path: Path) -> None:
    conf, site = tmp_path / "conf", tmp_path / "site"
    write(site / "mine.toml", 'name = "my/prog"\nversion = "2"\nargv = ["sh", "-c"]\n[environment]\nA = "1"\n')
    write(
        site / "several.toml",
        '[[executable]]\nname = "a"\nversion = "1"\nargv = ["sh"]\n'
        '[[executable]]\nname = "b"\nversion = "1"\nargv = ["no such program"]\n',
    )
    write(conf / "executables" / "dynamic", '#!/bin/sh\nprintf \'name = "dyn"\\nversion = "%s"\\nargv = ["sh"]\\n\' 7\n', 0o755)
    write(conf / "executables" / "shadowed.toml", 'name = "my/prog"\nversion = "2"\nargv = ["true"]\n')
    write(conf / "executables" / "wrong.toml", 'name = "w"\nversion = "1"\nargv = ["sh"]\nargs = []\n')
    write(conf / "executables" / "broken.toml", "name = \n")
    write(conf / "executables" / "fails", "#!/bin/sh\necho no licence >&2; exit 3\n", 0o755)
    write(
        conf / "modules" / "own" / "executables.py",
        'from copernicus.plugin.executables import Executable\nexecutables = [Executable("own", ("sh",), "1")]\n',
    )
    write(conf / "modules" / "bad" / "executables.py", "import os\n\n1 / 0\n")
    environment = {"CPC_CONF_HOME": str(conf), "CPC_EXECUTABLES_PATH": f"{site}:{tmp_path}/nowhere"}

    found, absent = registry.executables(environment)
    here = {one.executable.name: (one.executable.argv, one.version) for one in found}
    assert here["my/prog"] == (("sh", "-c"), "2")
    assert here["a"] == (("sh",), "1")
    assert here["dyn"] == (("sh",), "7")
    assert here["own"] == (("sh",), "1")
    why = {one.name: one.why for one in absent}
    assert "no program 'no such program'" in why["b"]
    assert "wrong.toml:4: unknown key 'args'" in why["wrong.toml"]
    assert "line 1" in why["broken.toml"]
    assert "status 3: no licence" in why["fails"]
    assert "ZeroDivisionError" in why["bad"]
    assert "executables.py:3" in why["bad"]
    assert why[f"{tmp_path}/nowhere"] == "there is no such folder"


def test_everything_is_read_afresh(tmp_path: Path) -> None:
    environment = {"CPC_CONF_HOME": str(tmp_path)}
    assert "new" not in {one.executable.name for one in registry.executables(environment)[0]}
    write(tmp_path / "executables" / "new.toml", 'name = "new"\nversion = "1"\nargv = ["sh"]\n')
    assert "new" in {one.executable.name for one in registry.executables(environment)[0]}


def test_probes_say_why_not() -> None:
    assert probe_program(["sh", "-c", "echo noise; echo version: 4.5.1 >&2"], r"version: (\S+)")() == "4.5.1"
    for argv, why in ((["no-such-program"], "no program"), (["sh", "-c", "echo odd; exit 1"], "odd")):
        with pytest.raises(NotHere, match=why):
            probe_program(argv, r"version: (\S+)")()
    with pytest.raises(NotHere, match="not installed"):
        installed("no-such-distribution")()
