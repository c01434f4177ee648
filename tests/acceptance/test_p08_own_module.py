"""P8: the tutorial "your own program as a function", block by block as it stands, against the real programs."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from copernicus.testing import CopernicusInABox
from copernicus.testing.system import System

TUTORIAL = Path(__file__).parents[2] / "docs" / "tutorials" / "your-own-module.md"
BLOCK = re.compile(r"(?:`(~/[^`]+)`:\n\n)?```(\w+)\n(.*?)```", re.DOTALL)


def blocks() -> list[tuple[str, str, str]]:
    """The code blocks of the tutorial: the file that a block is put into, or "", its language, its text."""
    return BLOCK.findall(TUTORIAL.read_text(encoding="utf-8"))


def run(system: System, lines: str) -> str:
    """Run lines as a person would type them; what they leave running belongs to the system."""
    done = subprocess.run(
        ["bash", "-e", "-o", "pipefail"], input=lines, cwd=system.folder, env=system.environment, capture_output=True,
        text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{lines}\n{done.stdout}{done.stderr}"
    return done.stdout


def test_the_tutorial(system: System) -> None:
    system.home = system.folder / ".copernicus"
    system.environment["CPC_CONF_HOME"] = str(system.home)
    system.setup()
    system.start()
    last = ""
    for file, language, text in blocks():
        if file:
            path = system.folder / file.removeprefix("~/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        elif language == "sh":
            shown = run(system, text)
            last = text.splitlines()[-1]
        elif shown != text:  # what the last command answers, when the jobs have ended
            system.until(lambda last=last, text=text: run(system, last) == text, what=f"{last} answers {text}")
    assert len(list(system.folder.rglob("functions.toml"))) == 1
    assert system.ask("status")["jobs"] == {"done": 3 + 1 + 4}


def test_the_tutorial_has_what_is_tested() -> None:
    found = blocks()
    assert [language for file, language, _ in found if file] == ["python", "toml", "toml"]
    assert sum(language == "sh" for _, language, _ in found) >= 8
    assert sum(language == "text" for _, language, _ in found) >= 5


SHELL_CONTROLLER = r"""#!/bin/sh
# A controller in the shell: n children, and how many of them are done. It ends after each answer.
read -r call
n=$(printf %s "$call" | sed 's/.*"inputs":{"n":\([0-9]*\)}.*/\1/')
done=$(printf %s "$call" | grep -o '"is_done":true' | wc -l)
starts=
for seed in $(seq "$n"); do
  starts="$starts${starts:+,}{\"name\":\"s_$seed\",\"function\":\"many::square\",\"inputs\":{\"n\":$seed}}"
done
printf '{"outputs":{"done":%d},"starts":[%s],"note":"%d of %d"}\n' "$done" "$starts" "$done" "$n"
"""
SHELL_MODULE = """
[square]
run = "many/square"
argv = ["{n}"]
in = { n = "int" }
out = { square = "int: stdout: is (.*)" }

[all]
controller = ["./control.sh"]
in = { n = "int" }
out = { done = "int" }
"""
SHELL_EXECUTABLE = """
name = "many/square"
version = "1"
argv = ["./square.sh"]
"""


def test_a_module_without_a_line_of_python(tmp_path: Path) -> None:
    """A command, its program, and a controller, all tables and shell scripts."""
    module = tmp_path / "many"
    module.mkdir()
    (module / "functions.toml").write_text(SHELL_MODULE)
    (module / "executables.toml").write_text(SHELL_EXECUTABLE)
    for name, text in {"control.sh": SHELL_CONTROLLER, "square.sh": "#!/bin/sh\necho the square is $(($1 * $1))\n"}.items():
        (module / name).write_text(text)
        (module / name).chmod(0o755)
    with CopernicusInABox(tmp_path / "box", modules=[module], cores=2) as box:
        project = box.client.start_project("shell")
        project.instance("many::all", "a")
        project.set("a:in.n", 3)
        project.activate()
        box.wait(lambda: project.get("a:out.done") == 3, what="three children are done")
        assert [project.get(f"a:s_{n}:out.square") for n in (1, 2, 3)] == [1, 4, 9]
        project.set("a:in.n", 5)
        box.wait(lambda: project.get("a:out.done") == 5, what="two more")
        assert project.status().jobs == {"done": 5}
        assert "5 of 5" in box.cpcc("ls", "a", "-p", "shell")


@pytest.mark.parametrize("function", ["extended_err", "external_err"])
def test_a_controller_gives_value_warning_error_and_recovers(tmp_path: Path, function: str) -> None:
    """In Python and as a program of its own, with the same words."""
    with CopernicusInABox(tmp_path, workers=0) as box:
        project = box.client.start_project("errors")
        project.import_module("_test")
        project.instance(f"_test::{function}", "e")

        def shown(a: float, b: float, words: str) -> str:
            project.set("e:in.a", a)
            project.set("e:in.b", b)
            return box.wait(lambda: text if words in (text := box.cpcc("ls", "e", "-p", "errors")) else "", what=words)

        project.activate()
        shown(1.5, 2.0, "3.5")
        assert project.get("e:out.a") == 3.5
        shown(1.5, -1.0, "b is negative: -1")
        assert project.get("e:out.a") == 0.5
        shown(-2.0, -1.0, "a is negative: -2")
        assert project.status().states == {"error": 1}
        assert project.get("e:out.a") == 0.5, "the old value stays"
        assert "a is negative" in " ".join(project.why("e"))
        project.set("e:in.a", 7.0)
        project.set("e:in.b", 1.0)
        project.clear_error("e")
        box.wait(lambda: project.get("e:out.a") == 8.0, what="it has recovered")
        assert project.status().states == {"idle": 1}
        assert "negative" not in box.cpcc("ls", "e", "-p", "errors")
