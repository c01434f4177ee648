"""Programs that keep what they were told: lines with only what is new, and all of it when something was lost."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from copernicus.dataflow.calls import ChildView, ControllerAnswer, ControllerCall
from copernicus.errors import ModuleError
from copernicus.model.functions import Field, FunctionSchema
from copernicus.plugin.external import Program
from copernicus.plugin.memory import Memory
from copernicus.testing import RULES, FakeInstance, check_controller, load_module

# As a stranger would write it, from the reference page.
KEEPER = """
import json, sys
known = {}

def change(values, changes, lengths):
    for field, length in lengths.items():
        del values[field][length:]
    for key, value in changes.items():
        field, _, index = key.rstrip("]").partition("[")
        if index:
            values.setdefault(field, [])
            values[field] += [None] * (int(index) + 1 - len(values[field]))
            values[field][int(index)] = value
        elif value is None:
            values.pop(field, None)
        else:
            values[field] = value
    for field, length in lengths.items():
        values[field] += [None] * (length - len(values[field]))

def hear(line):
    if line["call"] == "full":
        line["children"] = {child["name"]: child for child in line["children"]}
        return line
    mine = known[line["key"]]
    for name in line.get("removed", []):
        MINE_REMOVED
    change(mine["inputs"], line["inputs"], line.get("lengths", {}))
    for child in line["children"]:
        before = mine["children"].get(child["name"], {})
        outputs = before["outputs"] if before.get("id") == child["id"] else {}
        change(outputs, child.get("outputs", {}), child.get("lengths", {}))
        mine["children"][child["name"]] = {**child, "outputs": outputs}
    mine["call"] = "delta"
    return mine

for text in sys.stdin:
    line = json.loads(text)
    if line["call"] == "delta" and line["key"] not in known:
        print('{"whole": true}', flush=True)
        continue
    call = known[line["key"]] = hear(line)
    n, children = call["inputs"]["n"], call["children"]
    done = [children[f"s_{i}"]["outputs"]["value"] for i in range(n) if children.get(f"s_{i}", {}).get("is_done")]
    values = call["outputs"].get("values", [])
    if done[: len(values)] == values and len(done) == len(values) + 1 and values:
        outputs = {"values[+]": done[-1]}
    else:
        outputs = {"values": done}
    call["outputs"]["values"] = done
    print(json.dumps({
        "outputs": outputs, "keeps": True, "note": f"{max(len(children), n)} children",
        "starts": [{"name": f"s_{i}", "function": "keeping::sample", "inputs": {"seed": i}} for i in range(n)],
        "removes": [name for name in children if int(name[2:]) >= n],
    }), flush=True)
"""
TABLE = """
[count]
controller = ["{python}", "{folder}/count.py"]
in = { n = "int = 3" }
out = { values = "float[]" }

[sample]
run = "x/sample"
in = { seed = "int" }
out = { value = "float: result" }
"""


def load(folder: Path, source: str = KEEPER) -> Any:
    folder = folder / "keeping"
    folder.mkdir()
    (folder / "functions.toml").write_text(TABLE)
    (folder / "count.py").write_text(source.replace("MINE_REMOVED", 'mine["children"].pop(name, None)'))
    return load_module(folder)


def end(instance: FakeInstance[Any], name: str) -> None:
    instance.end(name, value=float(instance.children[name].inputs["seed"]))


@pytest.mark.parametrize("rule", RULES)
def test_a_program_that_keeps_what_it_is_told_keeps_the_contract(tmp_path: Path, rule: str) -> None:
    module = load(tmp_path)
    new = lambda: FakeInstance(module.functions["count"], modules=[module], n=4)  # noqa: E731
    check_controller(new, end, edits={"n": 2}, rules=[rule])


def test_one_that_takes_no_notice_of_what_was_removed_is_found_out(tmp_path: Path) -> None:
    module = load(tmp_path, KEEPER.replace("MINE_REMOVED", "pass"))
    instance = FakeInstance(module.functions["count"], modules=[module], n=4)
    instance.call()
    instance.set(n=2)
    instance.call()
    instance.call()
    whole, told = instance.restarted().answer(), instance.call()
    assert (whole.note, told.note) == ("2 children", "4 children")


SCHEMA = FunctionSchema("m::f", "controller", (Field("n", "int"),), (Field("values", "float[]"), Field("told", "string")))
TELLER = """
import json, os, sys
for line in sys.stdin:
    call = json.loads(line)
    if call["call"] == "delta" and call["inputs"].get("n") == 99:
        print('{"whole": true}', flush=True)
        continue
    call["pid"] = os.getpid()
    print(json.dumps({"outputs": {"told": json.dumps(call)}, "keeps": call["seed"] != 13}), flush=True)
    if call["inputs"].get("n") == 77:
        break
"""


class Teller:
    """A program that says what it was told, with the memory beside it that its process keeps."""

    def __init__(self, folder: Path) -> None:
        (folder / "teller.py").write_text(TELLER)
        self.program = Program(["python3", str(folder / "teller.py")], 30.0)
        self.memory: Memory | None = None
        self.seen = 0

    def ask(self, n: int, seed: int = 1, **more: Any) -> dict[str, Any]:
        call = ControllerCall(1, "m::f", self.seen + 1, seed, {"n": n}, ["n"], {}, {}, more.get("children", []), base=self.seen)
        if self.memory is None:
            self.memory = Memory(call)
        else:
            self.memory.hear(call)
        answer = self.program.control(SCHEMA, call, self.memory)
        assert isinstance(answer, ControllerAnswer)
        self.memory.said(answer)
        self.seen = self.memory.seen = call.seen
        told: dict[str, Any] = json.loads(self.memory.outputs.plain["told"])
        return told


def test_lines_are_whole_until_the_program_says_that_it_keeps_them(tmp_path: Path) -> None:
    teller = Teller(tmp_path)
    try:
        first = teller.ask(1, children=[ChildView("a", "m::g", {"z": 1}, id=4)])
        assert first["call"] == "full"
        told = teller.ask(2)
        assert (told["call"], told["base"], told["inputs"], told["children"]) == ("delta", 1, {"n": 2}, [])
        assert "outputs" not in told
        assert teller.ask(99)["call"] == "full", "it asked for the whole"
        assert teller.ask(3, seed=13)["call"] == "delta"
        assert teller.ask(4)["call"] == "full", "it did not keep the last one"
        os.kill(teller.ask(5)["pid"], 9)
        told = teller.ask(6)
        assert (told["call"], [child["name"] for child in told["children"]]) == ("full", ["a"]), "a new one knows nothing"
        teller.ask(77)
        assert teller.ask(7)["call"] == "full", "it ended after its answer"
    finally:
        teller.program.stop()


@pytest.mark.parametrize(
    ("outputs", "words"),
    [
        ({"values[1].x": 1}, "is float, not a record"),
        ({"values[2000000]": 1.0}, "at most 1000000 elements"),
        ({"values": [], "values[0]": 1.0}, "beside the whole"),
        ({"values[": 1.0}, "not a path"),
        ({"other[0]": 1.0}, "which it does not have"),
        ({"values[0]": "x"}, "expected float"),
    ],
)
def test_parts_that_cannot_be_written(tmp_path: Path, outputs: dict[str, Any], words: str) -> None:
    (tmp_path / "p.py").write_text(f"input()\nprint({json.dumps(json.dumps({'outputs': outputs}))}, flush=True)")
    program = Program(["python3", str(tmp_path / "p.py")], 30.0)
    with pytest.raises(ModuleError, match=words):
        program.control(SCHEMA, ControllerCall(1, "m::f", 1, 1, {}, [], {}, {}, []))
    program.stop()
