"""What the tests of bad input share: a system with something in it, and what every refusal must look like."""

from __future__ import annotations

import os
import shlex
import stat
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from copernicus.testing.system import System

AT_A_TIME = 4
LONGEST_LINE = 600
SHAPES = '''
"""Inputs of every shape, and a controller."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from copernicus.plugin.functions import Call, File, Module

module = Module("shapes", "Inputs of every shape")


@dataclass(frozen=True)
class Setting:
    name: str
    value: float


@dataclass(frozen=True)
class Out:
    c: float
    words: list[str]


@dataclass
class Made:
    total: float = 0.0


@dataclass
class Memory:
    rounds: int = 0


@module.pure(version=1)
def leaf(
    count: int, ratio: float, flag: bool, word: str, numbers: Sequence[int], settings: Sequence[Setting],
    file: File | None = None, files: Sequence[File] = (),
) -> Out:
    """One of each."""
    return Out(count * ratio, [word])


@module.controller
def parent(call: Call[Made, Memory], *, n: int) -> None:
    """Makes children."""
    for index in range(n):
        call.start(f"child_{index}", leaf, count=1, ratio=1.0, flag=True, word="x", numbers=[1], settings=[])
'''


def as_a_person() -> list[str]:
    """What to put before a command line so that modes of files count, for root as well."""
    return ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []


def furnish(system: System) -> None:
    """Start the system's server with modules good and broken, and a project `first` with an instance of each kind."""
    for name, code in (("shapes", SHAPES), ("broken", "def f(:\n"), ("leaves", "import sys\nsys.exit(3)\n")):
        (system.home / "modules" / name).mkdir(parents=True, mode=0o700)
        (system.home / "modules" / name / "functions.py").write_text(code)
    system.setup()
    system.start()
    with system.client() as client, client.start_project("first").transaction() as change:
        for function, name in (
            ("shapes::leaf", "a"), ("shapes::leaf", "b"), ("shapes::parent", "p"), ("math::add", "add"),
            ("math::add", "sum"), ("math::double_value", "db"),
        ):  # fmt: skip
            change.instance(function, name)
        change.set("a:in.numbers", [1, 2])
        change.set("p:in.n", 1)
        change.set("db:in.integer_inputs", [3])
        change.connect("add:out.c", "sum:in.a")
        change.activate("p")
    with system.client() as client:
        project = client.project("first")
        system.until(lambda: project.list("p").instances[1:], what="the controller has made its child")
    system.cpcc("cd", "first")
    (system.folder / "file").write_text("content")
    (system.folder / "folder").mkdir()
    for name, mode in (("secret", 0), ("closed", stat.S_IRUSR | stat.S_IXUSR)):
        (system.folder / name).touch() if mode == 0 else (system.folder / name).mkdir()
        (system.folder / name).chmod(mode)


def standing(system: System) -> dict[str, Any]:
    """Everything that bad input must not change: projects, transactions, instances, values, the user's own files."""
    with system.client() as client:
        project = client.project("first")
        instances = project.list().instances
        return {
            "projects": [row.name for row in client.projects()],
            "seq": project.status().seq,
            "instances": [(row.path, row.function, row.state) for row in instances],
            "places": [project.list(row.path).places for row in instances],
            "files": dict(files_of(system.home)),
            "here": sorted(path.name for path in system.folder.iterdir()),
        }


def files_of(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the name and content of every file below `folder` that a command could have changed; not the server's own."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix in (".cnx", ".json", ".key", ".pem"):
            yield str(path.relative_to(folder)), path.read_bytes()


def try_all(system: System, lines: Iterable[tuple[str, str]], before: Sequence[str] = ()) -> None:
    """Run command lines that must all be refused with the words beside them, a few at a time."""

    def one(line: tuple[str, str]) -> tuple[str, str, subprocess.CompletedProcess[str]]:
        return *line, system.run([*before, *shlex.split(line[0])], is_checked=False)

    with ThreadPoolExecutor(AT_A_TIME) as pool:
        results = list(pool.map(one, lines))
    wrong = [f"{line}\n    {why}\n    {done.stdout}{done.stderr}" for line, said, done in results if (why := fault(done, said))]
    assert not wrong, "\n".join(wrong)


def fault(done: subprocess.CompletedProcess[str], said: str) -> str:
    """Return what is wrong with a refusal that shall hold the words `said`, "" when it is as it should be."""
    if done.returncode not in (1, 2):
        return f"exit status {done.returncode}"
    if done.stdout:
        return "something on stdout"
    if not done.stderr.startswith("ERROR: ") or done.stderr.count("\n") != 1 or len(done.stderr) > LONGEST_LINE:
        return "not one line that begins with ERROR"
    if "Traceback" in done.stderr or "fault of" in done.stderr or "engine failed" in done.stderr:
        return "a fault, not a refusal"
    return "" if said in done.stderr else f"does not say {said!r}"
