"""Controllers that are programs: what is said to them, what they may answer, and what happens when they do neither."""

from __future__ import annotations

import asyncio
import json
import math
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from hypothesis import given, settings, strategies as st

from copernicus.blobs.folder import BlobFolder
from copernicus.dataflow.calls import ChildView, ControllerAnswer, ControllerCall
from copernicus.errors import CopernicusError, ModuleError
from copernicus.model.functions import Field, FunctionSchema
from copernicus.modules._test.functions import extended_err, external_err
from copernicus.plugin.external import Program
from copernicus.plugin.files import read_blobs_with
from copernicus.plugin.functions import File
from copernicus.server.projects.pool import Pool
from copernicus.testing import FakeInstance, check_controller, load_module

PROGRAM = """
import json, os, sys
LIMIT = {limit}
for number, line in enumerate(sys.stdin, start=1):
    call = json.loads(line)
    {body}
    if number == LIMIT:
        break
"""
SCHEMA = FunctionSchema(
    "m::f", "controller", (Field("n", "int"),), (Field("n", "int"), Field("file", "file?")), state=(Field("pid", "int"),)
)


def call(n: Any = 1, **more: Any) -> ControllerCall:
    return ControllerCall(1, "m::f", 5, 7, {"n": n}, ["n"], more.pop("outputs", {}), {}, more.pop("children", []), **more)


@pytest.fixture
def programs(tmp_path: Path) -> Iterator[Any]:
    made: list[Program] = []

    def make(body: str, limit: int = 0, limit_s: float = 30.0) -> Program:
        path = tmp_path / f"program_{len(made)}.py"
        path.write_text(PROGRAM.format(body=body, limit=limit))
        made.append(Program([sys.executable, str(path)], limit_s))
        return made[-1]

    yield make
    for program in made:
        program.stop()


def ask(program: Program, n: Any = 1, **more: Any) -> ControllerAnswer:
    return program.control(SCHEMA, call(n, **more))


WITH_PID = "print(json.dumps({'outputs': {'n': call['inputs']['n'] + 1}, 'state': {'pid': os.getpid()}}), flush=True)"


def test_a_program_that_stays_is_asked_again_and_one_that_goes_is_started_again(programs: Any) -> None:
    staying, going = programs(WITH_PID), programs(WITH_PID, limit=1)
    answers = {name: [ask(program, n) for n in range(4)] for name, program in (("staying", staying), ("going", going))}
    for given_answers in answers.values():
        assert [answer.outputs for answer in given_answers] == [{"n": n + 1} for n in range(4)]
    assert len({answer.state["pid"] for answer in answers["staying"]}) == 1
    assert len({answer.state["pid"] for answer in answers["going"]}) == 4
    os.kill(answers["staying"][0].state["pid"], 9)
    assert ask(staying, 9).outputs == {"n": 10}


def test_it_is_told_everything_and_files_have_a_path(programs: Any, tmp_path: Path) -> None:
    blobs = BlobFolder(tmp_path / "blobs")
    read_blobs_with(blobs.read_bytes, blobs.path)
    ref = blobs.put_bytes(b"content", "a.txt")
    file = {"blob": ref.blob, "size": ref.size, "name": ref.name}
    body = (
        "file = call['children'][0]['outputs']['file']; content = open(file['path']).read(); "
        "print(json.dumps({'note': json.dumps(call), 'warning': content, 'outputs': {'file': file}}), flush=True)"
    )
    child = ChildView("c", "m::g", {"file": file}, runs=1, has_ended=True)
    answer = ask(programs(body), outputs={"n": 3}, children=[child], spent_core_s=2.5)
    told = json.loads(answer.note or "")
    assert (told["call"], told["function"], told["instance"], told["seen"], told["seed"]) == ("full", "m::f", 1, 5, 7)
    assert (told["inputs"], told["changed"], told["outputs"], told["spent_core_s"]) == ({"n": 1}, ["n"], {"n": 3}, 2.5)
    assert told["children"][0]["has_ended"] is True
    assert answer.warning == "content"
    assert answer.outputs == {"file": file}, "the path is for reading only"


def test_only_what_differs_goes_back_and_children_are_made(programs: Any) -> None:
    body = (
        "print(json.dumps({'outputs': {'n': 3, 'file': None}, 'starts': [{'name': 'a', 'function': 'm::g', 'inputs': {'x': 1}, "
        "'connections': {'y': 'self:in.n'}}], 'holds': [{'name': 'b', 'why': 'too many'}]}), flush=True)"
    )
    answer = ask(programs(body), outputs={"n": 3})
    assert answer.outputs == {}
    assert (answer.starts[0].function, answer.starts[0].connections) == ("m::g", {"y": "self:in.n"})
    assert answer.holds[0].why == "too many"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("print('the licence has run out', file=sys.stderr); sys.exit(3)", r"exit status 3\).*licence has run out"),
        ("os.kill(os.getpid(), 9)", r"signal 9"),
        ("sys.exit(0)", "ended without an answer"),
        ("print('hello', flush=True)", "is no JSON.*hello"),
        ("print('[1]', flush=True)", "must answer with a JSON object"),
        ("print('[' * 100000, flush=True)", "no JSON"),
        ("print('{\"output\": {}}', flush=True)", "unknown member 'output'.*outputs, state"),
        ('print(\'{"outputs": {"m": 1}}\', flush=True)', "out.m, which it does not have"),
        ('print(\'{"outputs": {"n": "x"}}\', flush=True)', "out.n: expected int"),
        ('print(\'{"outputs": {"n": 9223372036854775808}}\', flush=True)', "64 bits"),
        ('print(\'{"starts": [{"name": "a"}]}\', flush=True)', "function"),
        ("import time; time.sleep(60)", r"did not answer within 0.5 s.*flush"),
    ],
)
def test_what_goes_wrong_is_said_and_the_next_call_finds_a_new_program(programs: Any, body: str, words: str) -> None:
    failing = f"{WITH_PID} if call['inputs']['n'] else ({body.split('; ')[-1]})"
    before = "; ".join(body.split("; ")[:-1])
    program = programs(f"{before or 'pass'}\n    {failing}", limit_s=0.5 if "within" in words else 30.0)
    if "sys.exit(0)" not in body and not before:
        assert ask(program, 1).outputs == {"n": 2}
    with pytest.raises(ModuleError, match=f"(?s){words}"):
        ask(program, 0)
    if not before:
        assert ask(program, 2).outputs == {"n": 3}


def test_a_program_that_is_not_there() -> None:
    with pytest.raises(ModuleError, match="no-such-program cannot be started: No such file"):
        ask(Program(["no-such-program"]))


def test_lines_that_nobody_asked_for_are_not_taken_for_answers(programs: Any) -> None:
    # In one write with the answer: a line that comes later may also come after the next call was written.
    answer, unasked = "json.dumps({'outputs': {'n': call['inputs']['n'] + 1}})", "json.dumps({'outputs': {'n': 666}})"
    program = programs(f"os.write(1, ({answer} + chr(10) + {unasked} + chr(10)).encode())")
    assert [ask(program, n).outputs for n in range(3)] == [{"n": 1}, {"n": 2}, {"n": 3}]


def test_a_stubborn_program_ends_with_the_pool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CPC_CONF_HOME", str(tmp_path))
    folder = tmp_path / "modules" / "stubborn"
    folder.mkdir(parents=True)
    (folder / "functions.toml").write_text('[f]\ncontroller = ["{python}", "{folder}/f.py"]\nout = { pid = "int" }\n')
    (folder / "f.py").write_text(
        "import os, signal, sys\nsys.stdin.readline()\n"
        'print(\'{"outputs": {"pid": %d}}\' % os.getpid(), flush=True)\nwhile True:\n    signal.pause()\n'
    )

    async def ask_once(how: str) -> int:
        pool = Pool(1, tmp_path / "blobs")
        await pool.start()
        try:
            answer = await pool.call(ControllerCall(1, "stubborn::f", 1, 1, {}, [], {}, {}, []))
            assert isinstance(answer, ControllerAnswer)
            pid = int(answer.outputs["pid"])
            if how == "killed":
                os.kill(psutil.Process(pid).ppid(), 9)
            return pid
        finally:
            await pool.stop()

    for how in ("stopped", "killed"):
        pid = asyncio.run(ask_once(how))
        with suppress(psutil.NoSuchProcess):
            psutil.Process(pid).wait(30)
        assert not psutil.pid_exists(pid)


def test_lines_longer_than_a_pipe(programs: Any) -> None:
    program = programs("print('x' * 200000, file=sys.stderr); print(json.dumps({'note': call['inputs']['n']}), flush=True)")
    text = "ä" * 1_000_000
    for _ in range(2):
        assert ask(program, text).note == text


@settings(deadline=None, max_examples=60)
@given(st.floats(allow_subnormal=True), st.floats())
def test_floats_pass_unchanged(a: float, b: float) -> None:
    """The sum with -0.0 is the number itself, bit by bit; -0.0 after 0.0 is news."""
    instance = FakeInstance(external_err, a=0.0, b=-0.0)
    for number in (0.0, -0.0, abs(a), math.copysign(0.0, b)):
        instance.set(a=number)
        instance.call()
        total = instance.out.a
        assert total is not None
        assert math.isnan(total) if math.isnan(number) else (total.hex() == number.hex())


ECHO = FunctionSchema(
    "m::f",
    "controller",
    (),
    (Field("i", "int"), Field("t", "string"), Field("x", "float"), Field("many", "record{a: int?, b: string}[]")),
)
INTS, TEXTS = st.integers(-(2**63), 2**63 - 1), st.text()
VALUES = st.fixed_dictionaries(
    {"i": INTS, "t": TEXTS, "x": st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from(["nan", "inf", "-inf"])},
    optional={"many": st.lists(st.fixed_dictionaries({"b": TEXTS}, optional={"a": INTS}), max_size=3)},
)


def test_values_come_back_as_they_went(programs: Any) -> None:
    program = programs("print(json.dumps({'outputs': call['inputs']}), flush=True)")

    @settings(deadline=None, max_examples=100)
    @given(VALUES)
    def check(values: dict[str, Any]) -> None:
        answer = program.control(ECHO, ControllerCall(1, "m::f", 5, 7, values, [], {}, {}, []))
        assert json.dumps(answer.outputs, sort_keys=True) == json.dumps(values, sort_keys=True)

    check()


@pytest.mark.parametrize("function", [extended_err, external_err])
def test_value_warning_error_and_recovery(function: Any) -> None:
    instance = FakeInstance(function, a=1.5, b=2.0)
    instance.call()
    assert (instance.out.a, instance.warning) == (3.5, "")
    instance.set(b=-1.0)
    instance.call()
    assert (instance.out.a, instance.warning) == (0.5, "b is negative: -1")
    instance.set(a=-2.0)
    with pytest.raises(CopernicusError, match="a is negative: -2"):
        instance.call()
    assert (instance.out.a, instance.warning) == (0.5, "b is negative: -1"), "nothing of a failed call is applied"
    instance.set(a=4.0, b=1.0)
    instance.call()
    assert (instance.out.a, instance.warning) == (5.0, "")


def test_a_table_declares_one(tmp_path: Path) -> None:
    folder = tmp_path / "counting"
    folder.mkdir()
    (folder / "functions.toml").write_text("""
[count]
help = "Counts."
controller = ["{python}", "./count.py"]
in = { n = "int = 3", file = "file?" }
out = { values = "float[]" }
state = { calls = "int" }

[sample]
run = "x/sample"
in = { seed = "int" }
out = { value = "float: result" }
""")
    (folder / "count.py").write_text("""
import json, sys
call = json.loads(sys.stdin.readline())
done = {c["name"]: c for c in call["children"] if c.get("is_done")}
names = [f"s_{i}" for i in range(call["inputs"]["n"])]
values = [done[name]["outputs"]["value"] for name in names if name in done]
starts = [{"name": name, "function": "counting::sample", "inputs": {"seed": i}} for i, name in enumerate(names)]
print(json.dumps({"outputs": {"values": values}, "starts": starts, "note": f"{len(values)} of {len(names)}"}))
""")
    (folder / "functions.toml").write_text((folder / "functions.toml").read_text().replace("./count.py", "{folder}/count.py"))
    module = load_module(folder)
    count = module.functions["count"]
    assert (count.schema.kind, count.schema.state) == ("controller", (Field("calls", "int"),))

    def end(instance: FakeInstance[Any], name: str) -> None:
        instance.end(name, value=float(instance.children[name].inputs["seed"]))

    check_controller(lambda: FakeInstance(count, modules=[module]), end, edits={"n": 5})
    instance = FakeInstance(count, modules=[module], file=File("a" * 64, 1))
    instance.call()
    assert instance.note == "0 of 3"


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ('controller = []\nin = { n = "int" }', r"functions.toml:2: .*no program is named"),
        ('controller = ["x"]\nrun = "y"', r"functions.toml:3: .*is a controller, which has no 'run'"),
        ('run = "y"\nstate = { n = "int" }', r"functions.toml:3: .*is a command, which has no 'state'"),
        ('controller = ["x"]\nout = { n = "int = 3" }', r"functions.toml:3: .*only inputs have"),
    ],
)
def test_a_table_that_says_something_wrong(tmp_path: Path, table: str, words: str) -> None:
    (tmp_path / "wrong").mkdir()
    (tmp_path / "wrong" / "functions.toml").write_text(f"[f]\n{table}\n")
    with pytest.raises(ModuleError, match=words):
        load_module(tmp_path / "wrong")
