"""Hard values through everything at once: typed and by the API, functions, jobs, controllers, files, crashes, archives."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from tests.unit.drawn_values import HARD_FLOATS, HARD_INTS, HARD_TEXTS, bits

from copernicus.client import Project
from copernicus.errors import CopernicusError
from copernicus.model.values import INT_MAX, INT_MIN, to_json
from copernicus.testing.system import ProgramFailed, System

FUNCTIONS = '''
import dataclasses, json
from dataclasses import dataclass

from copernicus.plugin.functions import Call, Job, Module, json_of, number

module = Module("echo", "What goes in comes out")


@dataclass
class One:
    x: float | None
    n: int | None
    t: str | None


@dataclass
class All:
    f: float
    n: int
    t: str
    fs: list[float]
    ns: list[int]
    ts: list[str]
    ones: list[One]
    holes: list[float | None]


@dataclass
class Out:
    all: All


@dataclass
class Printed:
    texts: list[str]
    numbers: list[float]
    first: float
    last: int


@module.pure
def same(all: All) -> Out:
    """What goes in."""
    return Out(all)


@module.command
def given(all: All) -> Job[Out]:
    """What goes in, handed on by a job that does nothing with it."""
    return Job("echo/argv", [], Out(all))


@module.command
def read(all: All) -> Job[Out]:
    """What stands in a JSON file that a job has written."""
    return Job("echo/file", [json.dumps(dataclasses.asdict(all))], Out(json_of("file.json", All)))


@module.command
def printed(fs: list[float], ns: list[int], ts: list[str]) -> Job[Printed]:
    """Arguments, as a program has seen them."""
    outputs = Printed(json_of("texts.json", list[str]), json_of("numbers.json", list[float]),
                      number("stdout", r"first=(\\S+)"), number("stdout", r"last=(\\S+)"))
    return Job("echo/argv", [*ts, "--", *fs, *ns], outputs)


@module.controller
def steer(call: Call[Out, All], *, all: All) -> None:
    """What goes in, through its memory and a child."""
    child = call.start("child", same, all=all)
    call.state = all
    if child.is_done:
        call.out.all = child.out.all


@module.external(["{python}", "{folder}/outside.py"])
def outside(call: Call[Out, All], *, all: All) -> None:
    """What goes in, by a program of its own."""
'''
OUTSIDE = """
import json, sys
for line in sys.stdin:
    all = json.loads(line)["inputs"]["all"]
    print(json.dumps({"outputs": {"all": all}, "state": all}, ensure_ascii=len(line) % 2 == 0), flush=True)
"""
EXECUTABLES = """
[[executable]]
name = "echo/argv"
version = "1"
argv = ["{python}", "{folder}/argv.py"]

[[executable]]
name = "echo/file"
version = "1"
argv = ["{python}", "{folder}/file.py"]
"""
ARGV = """
import json, sys
given = sys.argv[1:]
end = given.index("--") if "--" in given else len(given)
with open("texts.json", "w", encoding="utf-8") as file:
    json.dump(given[:end], file)
numbers = given[end + 1:]
with open("numbers.json", "w", encoding="utf-8") as file:
    json.dump([float(one) if set(one) & set(".en") else int(one) for one in numbers], file)
if numbers:
    print(f"first={numbers[0]}", f"last={numbers[-1]}")
"""
FILE = """
import sys
with open("file.json", "w", encoding="utf-8") as file:
    file.write(sys.argv[1])
"""
FLOATS, INTS, TEXTS = list(HARD_FLOATS), list(HARD_INTS), list(HARD_TEXTS)
TEXTS_OF_PROGRAMS = [text for text in TEXTS if "\0" not in text]
"""No program can be given a NUL."""
ALL: dict[str, Any] = {
    "f": -0.0, "n": -(2**63), "t": "", "fs": FLOATS, "ns": INTS, "ts": TEXTS, "holes": [None, -0.0, None, 5e-324],
    "ones": [{"x": x, "n": n, "t": t} for x, n, t in zip(FLOATS, INTS, TEXTS, strict=False)] + [{}, {"x": -0.0}],
}  # fmt: skip
EMPTY: dict[str, Any] = {"f": float("nan"), "n": 0, "t": "\0", "fs": [], "ns": [], "ts": [], "holes": [], "ones": []}
PRINTED = ("p:out.texts", "p:out.numbers", "p:out.first", "p:out.last")
CHAIN = ("same", "given", "read", "steer", "outside")


@pytest.fixture
def project(system: System) -> Project:
    """A project on a server and a worker that have the module `echo`."""
    folder = system.home / "modules" / "echo"
    folder.mkdir(parents=True)
    for name, text in {"functions.py": FUNCTIONS, "outside.py": OUTSIDE, "executables.toml": EXECUTABLES, "argv.py": ARGV,
                       "file.py": FILE}.items():  # fmt: skip
        (folder / name).write_text(text, encoding="utf-8")
    system.setup()
    system.start()
    system.worker("-n", "2")
    system.cpcc("start", "first")
    return system.client().project("first")


def chain(project: Project) -> None:
    """One function after the other, each with what the one before has given."""
    project.import_module("echo")
    for name in CHAIN:
        project.instance(f"echo::{name}", name)
    for before, after in pairwise(CHAIN):
        project.connect(f"{before}:out.all", f"{after}:in.all")
    project.activate()


def has_come(system: System, project: Project, expected: dict[str, Any]) -> None:
    """Everything has come to the end of the chain, and stands everywhere on the way."""
    places = [f"{name}:{side}.all" for name in CHAIN for side in ("in", "out")]
    with suppress(ProgramFailed):
        system.until(lambda: bits(project.get("outside:out.all")) == bits(expected), what="the value comes through")
    for place in places:
        assert bits(project.get(place)) == bits(expected), f"{place}: {project.why(place.partition(':')[0])}"
        shown = json.loads(system.cpcc("get", "--json", place, "-p", project.name).stdout)
        assert bits(shown) == bits(to_json(expected)), f"{place}, as cpcc shows it"


def test_all_that_goes_in_comes_out_of_everything(system: System, project: Project) -> None:
    chain(project)
    for expected in (ALL, EMPTY):
        project.set("same:in.all", expected)
        has_come(system, project, expected)
        typed = json.dumps(to_json(expected), ensure_ascii=False).replace('"\0"', '"\\u0000"')
        system.cpcc("unset", "same:in.all")
        system.cpcc("set", "same:in.all", typed)
        has_come(system, project, expected)
    project.set("same:in.all", ALL)
    has_come(system, project, ALL)
    system.kill_server()
    system.start()
    has_come(system, project, ALL)
    system.cpcc("export", "-o", "all.yaml")
    system.cpcc("save", "first", "first.tar.gz")
    second = system.client().start_project("second")
    system.cpcc("upload", "-p", "second", "all.yaml")
    second.activate()
    has_come(system, second, ALL)
    system.cpcc("load", "first.tar.gz", "third")
    has_come(system, system.client().project("third"), ALL)


def test_a_program_sees_arguments_as_they_are(system: System, project: Project) -> None:
    project.import_module("echo")
    project.instance("echo::printed", "p")
    project.activate()
    for first, last in ((-0.0, INT_MIN), (5e-324, INT_MAX), (float("-inf"), 2**53 + 1)):
        project.set("p:in.ts", TEXTS_OF_PROGRAMS)
        project.set("p:in.fs", [first, *HARD_FLOATS])
        project.set("p:in.ns", [*HARD_INTS, last])
        expected = [*TEXTS_OF_PROGRAMS], [first, *HARD_FLOATS, *map(float, HARD_INTS), float(last)], first, last
        system.until(lambda e=expected: bits([project.get(one) for one in PRINTED]) == bits([*e]), what="what was printed")


def test_what_no_text_can_be_is_refused_and_stops_nothing(system: System, project: Project) -> None:
    """Half a character, and a NUL among the arguments of a program."""
    project.import_module("echo")
    project.instance("echo::printed", "p")
    project.instance("echo::same", "s")
    with pytest.raises(CopernicusError, match="half a character"):
        project.set("p:in.ts", ["a", "b\ud800"])
    said = subprocess.run(
        [Path(sys.executable).parent / "cpcc", "set", "p:in.ts[0]", b"caf\xe9"], capture_output=True, text=True, check=False,
        env=system.environment, cwd=system.folder,
    )  # fmt: skip
    assert (said.returncode, "half a character" in said.stderr) == (1, True), said
    said = system.cpcc("set", "p:in.ts", '["\\ud800"]', is_checked=False)
    assert (said.returncode, "half a character" in said.stderr) == (1, True), said
    for field, value in (("ts", ["a\0b"]), ("fs", [1.0]), ("ns", [1])):
        project.set(f"p:in.{field}", value)
    project.activate()
    system.until(lambda: project.why("p")[0].startswith("p is error"), what="the job is refused")
    assert "NUL" in system.cpcc("why", "p").stdout
    project.set("p:in.ts", ["ab"])
    system.until(lambda: project.get("p:out.texts") == ["ab"], what="another job goes on")
