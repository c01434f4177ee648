"""Executables from folders, and plug-ins that are broken."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.integration.slot import is_alive, until

from copernicus.plugin import probing, registry
from copernicus.plugin.executables import NotHere, installed, probe_program
from copernicus.plugin.probing import Answer, Unanswered, ask


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


def test_probes_are_bounded_and_nothing_of_them_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probing, "PROBE_LIMIT_BYTES", 4096)
    hangs = ["sh", "-c", f"sleep 1000 & echo $! > {tmp_path}/pid; wait"]
    with pytest.raises(Unanswered, match="did not end in time"):
        ask(hangs, limit_s=1.0)
    until(lambda: not is_alive(tmp_path / "pid"))
    with pytest.raises(Unanswered, match="printed more than"):
        ask(["yes"])
    left_behind = ask(["sh", "-c", f"sleep 1000 & echo $! > {tmp_path}/other; echo 1.0; echo bad >&2; exit 3"])
    assert left_behind == Answer(3, "1.0\n", "bad\n"), "its streams are still held open, and that is not waited for"
    until(lambda: not is_alive(tmp_path / "other"))
    for argv, why in (([str(tmp_path)], "may not be executed"), (["a\0b"], "cannot be started"), (["./none"], "no program")):
        with pytest.raises(Unanswered, match=why):
            ask(argv)


def test_a_program_that_prints_rubbish_is_told_of_and_takes_nothing_from_others(tmp_path: Path) -> None:
    folder = tmp_path / "executables"
    write(folder / "binary", "#!/bin/sh\nhead -c 300 /bin/sh\n", 0o755)
    write(folder / "line", "#!/bin/sh\nprintf 'name = \"x\"\\nversion == 1\\n'\n", 0o755)
    write(folder / "nothing", "#!/bin/sh\n", 0o755)
    write(folder / "good.toml", 'name = "good"\nversion = "1"\nargv = ["sh"]\n')
    found, absent = registry.executables({"CPC_CONF_HOME": str(tmp_path)})
    assert "good" in {one.executable.name for one in found}
    why = {one.name: one.why for one in absent}
    assert "line 1" in why["binary"]
    assert "line 2" in why["line"]
    assert "nothing is declared here" in why["nothing"]


def test_a_container_comes_before_the_program_and_its_probe(tmp_path: Path) -> None:
    folder = tmp_path / "executables"
    write(
        folder / "boxed.toml",
        'name = "boxed"\nversion = { argv = ["sh", "-c", "echo $WHERE in $PWD, 7.1"], find = "in (\\\\S+), 7.1" }\n'
        'argv = ["tool"]\ncontainer = ["env", "-C", "{work}", "WHERE={name}", "{environment...}", "{folder}/x"]\n',
    )
    write(folder / "x", '#!/bin/sh\nexec "$@"\n', 0o755)
    write(folder / "word.toml", 'name = "w"\nversion = "1"\nargv = ["sh"]\ncontainer = ["env", "{wrok}"]\n')
    write(folder / "table.toml", 'name = "w"\nversion = "1"\nargv = ["sh"]\ncontainer = { before = ["env"] }\n')
    write(folder / "gone.toml", 'name = "gone"\nversion = "1"\nargv = ["sh"]\ncontainer = ["no-such-engine", "{work}"]\n')
    found, absent = registry.executables({"CPC_CONF_HOME": str(tmp_path)})
    why = {one.name: one.why for one in absent}
    (boxed,) = [one for one in found if one.executable.name == "boxed"]
    assert Path(boxed.version).name.startswith("cpc-probe-"), "the probe did not run in a folder of its own"
    assert not Path(boxed.version).exists()
    assert boxed.executable.command == ("env", "-C", "{work}", "WHERE={name}", "{environment...}", f"{folder}/x", "tool")
    assert "word.toml:4: {wrok} stands for nothing; known are {work}, {cores}," in why["word.toml"]
    assert "table.toml:4: container must be a list" in why["table.toml"]
    assert why["gone"] == "there is no program 'no-such-engine' on the PATH"
