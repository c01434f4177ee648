"""`cpcc` against a server behind the caller's seam: what is sent, what is printed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.integration.answering import AnsweringServer, Cpcc

from copernicus.errors import UnknownPath
from copernicus.model import edits as e
from copernicus.model.functions import Field, FunctionSchema, ModuleSchema
from copernicus.model.values import FileRef
from copernicus.wire import messages as m


def test_the_current_project_is_kept_for_each_identity(cpcc: Cpcc, answering: AnsweringServer) -> None:
    cpcc("start", "first")
    cpcc("start", "second")
    assert cpcc("pwd").out == "second\n"
    assert cpcc("set-default", "first").status == 0
    assert cpcc("get-default").out == "first\n"
    assert cpcc("-c", "other.cnx", "pwd").status != 0
    assert cpcc("cd", "third").status != 0
    assert cpcc("pwd").out == "first\n"
    assert cpcc("rm", "first").status == 0
    assert "No project is chosen" in cpcc("ls").err
    assert list(answering.projects) == ["second"]


@pytest.mark.parametrize("words", [("-p", "b", "activate"), ("activate", "-p", "b"), ("activate", "x", "--project", "b")])
def test_the_project_may_be_named_before_and_after_the_command(cpcc: Cpcc, answering: AnsweringServer, words: Any) -> None:
    cpcc("start", "b")
    cpcc("start", "a")
    assert cpcc(*words).status == 0
    assert len(answering.projects["b"]) == 1


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["-5"], "-5"), (["-1e-3"], "-1e-3"), (["-h"], "-h"), (["--json"], "--json"), (["-p"], "-p"), (["nan"], "nan"),
        (["--"], "--"), (["-maxwarn", "1", "-p", "topol.top"], "-maxwarn 1 -p topol.top"), ([""], ""),
        (["two", "words"], "two words"), (["5 -p first"], "5 -p first"), (["ß 雪\n"], "ß 雪\n"), (["5", "-p", "first"], "5"),
        (["-5", "--json"], "-5"), (["5", "-p", "first", "--json"], "5"), (["5", "--json", "-p"], "5 --json -p"),
        (["rot+trans"], "rot+trans"),
    ],
)  # fmt: skip
def test_set_takes_what_follows_the_path_as_it_is(cpcc: Cpcc, first: list[e.Edit], words: list[str], text: str) -> None:
    said = cpcc("set", "x:in.a[+]", *words)
    assert said.status == 0, said.err
    assert first == [e.SetText("x:in.a[+]", text)]


def test_set_takes_flags_before_the_path(cpcc: Cpcc, first: list[e.Edit]) -> None:
    assert json.loads(cpcc("set", "-p", "first", "--json", "x:in.a", "-5").out)["told"] == [""]
    assert first == [e.SetText("x:in.a", "-5")]


def test_what_the_server_tells_of_an_edit_is_printed(cpcc: Cpcc, answering: AnsweringServer, first: list[e.Edit]) -> None:
    answering.told = lambda edit: "x:in.a[3]" if isinstance(edit, e.SetText) else "nothing was in error"
    assert cpcc("set", "x:in.a[+]", "7").out == "Set x:in.a[3] to 7.\n"
    assert cpcc("clear-error").out == "Nothing was in error.\n"


@pytest.mark.parametrize(
    ("kind", "value", "shown"),
    [
        ("int[]", [4, 4], "[4, 4]"),
        ("float", 0.1, "0.1"),
        ("float", 5, "5.0"),
        ("float[]", ["nan", "-inf", 1e-300], "[nan, -inf, 1e-300]"),
        ("string", "rot+trans", "rot+trans"),
        ("string", "nan", "nan"),
        ("string[]", ["a b", "c"], '["a b", "c"]'),
        ("file?[]", [{"blob": "ab", "size": 1_234_567, "name": "conf.gro"}, None], "[conf.gro (1.2 MB), -]"),
        ("record{b: bool, n: int?}", {"b": True}, "{b: true}"),
        ("int", None, "absent"),
        ("int[]", [], "[]"),
    ],
)
def test_get_shows_values(cpcc: Cpcc, answering: AnsweringServer, first: Any, kind: str, value: Any, shown: str) -> None:
    answering.answers[m.GetRequest] = lambda request: m.GetReply(request.path, kind, value)
    assert cpcc("get", "db:out.x").out == f"db:out.x: {shown}\n"
    assert json.loads(cpcc("get", "--json", "db:out.x").out) == value


def test_a_long_array_of_files_has_a_line_for_each(cpcc: Cpcc, answering: AnsweringServer, first: list[e.Edit]) -> None:
    value = [{"blob": "ab", "size": 10, "name": f"traj_{index}.xtc"} for index in range(12)]
    answering.answers[m.GetRequest] = m.GetReply("mdrun:out.xtc", "file[]", value)
    lines = cpcc("get", "mdrun:out.xtc").out.splitlines()
    assert lines[0] == "mdrun:out.xtc: ["
    assert lines[12] == "  [11] traj_11.xtc (10 B)"
    assert lines[-1] == "]"


def test_getf_writes_whole_files_and_replaces_none_unasked(
    cpcc: Cpcc, answering: AnsweringServer, first: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = FileRef(answering.put(b"frames"), 6, "../traj.xtc")
    answering.answers[m.GetRequest] = m.GetReply("a:out.xtc", "file", {"blob": file.blob, "size": 6, "name": "../traj.xtc"})
    monkeypatch.setattr(
        "copernicus.net.transfer.download",
        lambda caller, wanted, target, progress: target.write_bytes(caller.blobs[wanted.blob]),
    )
    assert cpcc("getf", "a:out.xtc").out == "traj.xtc (6 B)\n"
    assert Path("traj.xtc").read_bytes() == b"frames"
    Path("traj.xtc").write_bytes(b"mine")
    said = cpcc("get-file", "a:out.xtc")
    assert said.status == 1
    assert "traj.xtc exists" in said.err
    assert Path("traj.xtc").read_bytes() == b"mine"
    assert cpcc("getf", "-f", "traj.xtc", "a:out.xtc").status == 0
    assert Path("traj.xtc").read_bytes() == b"frames"
    assert cpcc("getf", "a:out.xtc", "-f", "-").out == "frames"
    assert "cannot be written" in cpcc("getf", "-f", "nowhere/x", "a:out.xtc").err


def test_listings_are_exact_in_json(cpcc: Cpcc, answering: AnsweringServer, first: list[e.Edit]) -> None:
    row = m.JobRow(7, "first", "mdrun_0", "gromacs/mdrun", "leased", 0, 1, hostname="node1", running_s=0.1 + 0.2)
    answering.answers[m.RunningRequest] = m.JobsReply([row])
    (shown,) = json.loads(cpcc("r", "--json").out)
    assert shown["running_s"] == 0.1 + 0.2
    assert shown["heartbeat_s"] is None, "members with their default are there as well"
    assert set(shown) == set(m.JobRow.__struct_fields__)


def test_control_characters_of_others_never_reach_the_terminal(cpcc: Cpcc, answering: AnsweringServer, first: Any) -> None:
    evil = "\x1b]0;gotcha\x07 first\nsecond error"
    answering.answers |= {
        m.LogRequest: m.LogReply([m.LogEntry(0.0, evil, evil)]),
        m.WhyRequest: m.WhyReply([evil]),
        m.ListRequest: m.ListReply("project", "", [m.InstanceRow("a", "f::g", "error", why=evil)]),
    }
    for words in (["log", "a"], ["why", "a"], ["ls"]):
        said = cpcc(*words)
        assert "gotcha" in said.out
        assert "second" in said.out
        assert "\x1b" not in said.out


def test_info_and_modules(cpcc: Cpcc, answering: AnsweringServer, first: list[e.Edit]) -> None:
    schema = FunctionSchema(
        "math::add",
        "pure",
        (Field("a", "float", "One summand."), Field("n", "int", default=1)),
        (Field("c", "float"),),
        "Adds.",
    )
    answering.answers[m.InfoRequest] = lambda request: (
        m.InfoReply(function=schema) if request.name == "math::add" else UnknownPath(f"There is no {request.name}.")
    )
    answering.answers[m.ModulesRequest] = m.ModulesReply(
        [ModuleSchema("math", "Numbers.", (schema,)), ModuleSchema("mine", error="mine.py:3: SyntaxError")]
    )
    assert cpcc("info", "math:add").out == cpcc("info", "math::add").out
    said = cpcc("info", "math::add").out
    assert "One summand." in said
    assert "(required)" in said
    assert "cannot be loaded: mine.py:3: SyntaxError" in cpcc("list-modules").out
