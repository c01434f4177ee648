"""`cpcc` against a server behind the caller's seam: what is sent, what is printed, what is kept between commands."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from tests.integration.answering import AnsweringServer

from copernicus.client.api import Client
from copernicus.client.cli import run
from copernicus.client.cli.context import Context
from copernicus.errors import Refused, Unavailable, UnknownPath, Unreachable, WrongType
from copernicus.model import edits as e
from copernicus.model.functions import Field, FunctionSchema, ModuleSchema
from copernicus.model.values import FileRef
from copernicus.wire import messages as m


class Said(NamedTuple):
    """What one call of `cpcc` left behind."""

    status: int
    out: str
    err: str


Cpcc = Callable[..., Said]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AnsweringServer:
    monkeypatch.setenv("CPC_CONF_HOME", str(tmp_path / "conf"))
    monkeypatch.chdir(tmp_path)
    return AnsweringServer()


@pytest.fixture
def cpcc(server: AnsweringServer, capfd: pytest.CaptureFixture[str]) -> Cpcc:
    def call(*words: str) -> Said:
        status = run(words, Context(lambda bundle: Client(server, bundle or "somebody")))
        return Said(status, *capfd.readouterr())

    return call


@pytest.fixture
def project(cpcc: Cpcc, server: AnsweringServer) -> list[e.Edit]:
    """The edits that project first has seen; it is the current one."""
    assert cpcc("start", "first").status == 0
    return server.projects["first"]


# --- the current project -----------------------------------------------------------------------------------------


def test_the_current_project_is_kept_for_each_identity(cpcc: Cpcc, server: AnsweringServer) -> None:
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
    assert list(server.projects) == ["second"]


@pytest.mark.parametrize("words", [("-p", "b", "activate"), ("activate", "-p", "b"), ("activate", "x", "--project", "b")])
def test_the_project_may_be_named_before_and_after_the_command(cpcc: Cpcc, server: AnsweringServer, words: Any) -> None:
    cpcc("start", "b")
    cpcc("start", "a")
    assert cpcc(*words).status == 0
    assert len(server.projects["b"]) == 1


# --- values ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["-5"], "-5"), (["-1e-3"], "-1e-3"), (["-h"], "-h"), (["--json"], "--json"), (["-p"], "-p"), (["nan"], "nan"),
        (["--"], "--"), (["-maxwarn", "1", "-p", "topol.top"], "-maxwarn 1 -p topol.top"), ([""], ""),
        (["two", "words"], "two words"), (["5 -p first"], "5 -p first"), (["ß 雪\n"], "ß 雪\n"), (["5", "-p", "first"], "5"),
        (["-5", "--json"], "-5"), (["rot+trans"], "rot+trans"),
    ],
)  # fmt: skip
def test_set_takes_what_follows_the_path_as_it_is(cpcc: Cpcc, project: list[e.Edit], words: list[str], text: str) -> None:
    said = cpcc("set", "x:in.a[+]", *words)
    assert said.status == 0, said.err
    assert project == [e.SetText("x:in.a[+]", text)]


def test_set_takes_flags_before_the_path(cpcc: Cpcc, project: list[e.Edit]) -> None:
    assert json.loads(cpcc("set", "-p", "first", "--json", "x:in.a", "-5").out) == {"seq": 1, "told": [""]}
    assert project == [e.SetText("x:in.a", "-5")]


def test_what_the_server_tells_of_an_edit_is_printed(cpcc: Cpcc, server: AnsweringServer, project: list[e.Edit]) -> None:
    server.told = lambda edit: "x:in.a[3] is 7."
    assert cpcc("set", "x:in.a[+]", "7").out == "x:in.a[3] is 7.\n"


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
        ("file?[]", [{"blob": "ab", "size": 1_234_567, "name": "conf.gro"}, None], "[conf.gro (1.2 MB), absent]"),
        ("record{b: bool, n: int?}", {"b": True}, "{b: true}"),
        ("int", None, "absent"),
        ("int[]", [], "[]"),
    ],
)
def test_get_shows_values(cpcc: Cpcc, server: AnsweringServer, project: Any, kind: str, value: Any, shown: str) -> None:
    server.answers[m.GetRequest] = lambda request: m.GetReply(request.path, kind, value)
    assert cpcc("get", "db:out.x").out == f"db:out.x: {shown}\n"
    assert json.loads(cpcc("get", "--json", "db:out.x").out) == value


def test_a_long_array_of_files_has_a_line_for_each(cpcc: Cpcc, server: AnsweringServer, project: list[e.Edit]) -> None:
    value = [{"blob": "ab", "size": 10, "name": f"traj_{index}.xtc"} for index in range(12)]
    server.answers[m.GetRequest] = m.GetReply("mdrun:out.xtc", "file[]", value)
    lines = cpcc("get", "mdrun:out.xtc").out.splitlines()
    assert lines[0] == "mdrun:out.xtc: ["
    assert lines[12] == "  [11] traj_11.xtc (10 B)"
    assert lines[-1] == "]"


# --- transactions ------------------------------------------------------------------------------------------------


def test_a_transaction_is_one_request(cpcc: Cpcc, server: AnsweringServer, project: list[e.Edit]) -> None:
    (Path.cwd() / "conf.gro").write_bytes(b"water")
    blob = server.put(b"water")
    assert cpcc("transact").status == 0
    assert cpcc("connect", "a:out.x", "b:in.x").out.startswith("Staged (1): ")
    assert cpcc("setf", "a:in.conf[+]", "conf.gro").out.startswith("Staged (2): ")
    assert cpcc("activate").status == 0
    assert project == []
    assert [request.is_check for request in server.of(m.ApplyRequest)] == [True] * 3
    assert "3 changes staged" in cpcc_status(cpcc, server)
    said = cpcc("commit")
    assert said.out == "Committed 3 changes.\n"
    assert project == [
        e.Connect("a:out.x", "b:in.x"),
        e.SetFile("a:in.conf[+]", FileRef(blob, 5, "conf.gro")),
        e.Activate(),
    ]
    assert cpcc("commit").status != 0, "the transaction is over"


def cpcc_status(cpcc: Cpcc, server: AnsweringServer) -> str:
    server.answers[m.StatusRequest] = m.StatusReply("first", 1, {}, {}, [], [])
    return cpcc("status").out


def test_an_edit_that_would_be_refused_is_not_staged(cpcc: Cpcc, server: AnsweringServer, project: list[e.Edit]) -> None:
    def told(edit: e.Edit) -> str:
        if isinstance(edit, e.SetText) and edit.text == "x":
            raise WrongType("a:in.x: 'x' is not an int.")
        return ""

    server.told = told
    cpcc("transact")
    cpcc("set", "a:in.x", "1")
    said = cpcc("set", "a:in.x", "x")
    assert (said.status, said.err) == (1, "ERROR: a:in.x: 'x' is not an int.\n")
    cpcc("commit")
    assert project == [e.SetText("a:in.x", "1")]


def test_a_nested_transact_is_a_savepoint(cpcc: Cpcc, project: list[e.Edit]) -> None:
    cpcc("transact")
    cpcc("set", "a:in.x", "1")
    cpcc("transact")
    cpcc("set", "a:in.x", "2")
    assert cpcc("rollback").out == "Forgot 1 change. Still staged: 1 change.\n"
    cpcc("transact")
    cpcc("set", "a:in.x", "3")
    assert cpcc("commit").status == 0
    assert project == []
    assert cpcc("commit").out == "Committed 2 changes.\n"
    assert project == [e.SetText("a:in.x", "1"), e.SetText("a:in.x", "3")]


def test_rollback_forgets_and_an_empty_commit_says_so(cpcc: Cpcc, project: list[e.Edit]) -> None:
    cpcc("transact")
    cpcc("activate")
    assert cpcc("rollback").out == "Forgot 1 change.\n"
    cpcc("transact")
    assert cpcc("commit").out == "Nothing changed.\n"
    assert project == []
    for words in (("commit",), ("rollback",)):
        said = cpcc(*words)
        assert said.status == 1
        assert said.err.startswith("ERROR: No transaction is open in project first.")


def test_a_commit_that_is_repeated_carries_the_same_request_id(cpcc: Cpcc, server: AnsweringServer, project: Any) -> None:
    cpcc("transact")
    cpcc("activate")
    server.answers[m.ApplyRequest] = Unreachable("The connection broke.")
    assert cpcc("commit").status == 1
    assert cpcc("commit").status == 1
    first, second = (request.request_id for request in server.of(m.ApplyRequest)[1:])
    assert first == second != ""
    server.answers[m.ApplyRequest] = Refused("Somebody removed it.")
    assert "still open" in cpcc("commit").err
    del server.answers[m.ApplyRequest]
    assert cpcc("commit").status == 0
    assert server.of(m.ApplyRequest)[-1].request_id != first, "a refusal is not to be answered from memory"


def test_transactions_belong_to_an_identity_and_a_project(cpcc: Cpcc, server: AnsweringServer, project: list[e.Edit]) -> None:
    cpcc("transact")
    cpcc("-c", "other.cnx", "-p", "first", "activate")
    assert project == [e.Activate()]
    cpcc("start", "second")
    cpcc("activate")
    assert server.projects["second"] == [e.Activate()]


# --- files -------------------------------------------------------------------------------------------------------


def test_getf_writes_whole_files_and_replaces_none_unasked(
    cpcc: Cpcc, server: AnsweringServer, project: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = FileRef(server.put(b"frames"), 6, "../traj.xtc")
    server.answers[m.GetRequest] = m.GetReply("a:out.xtc", "file", {"blob": file.blob, "size": 6, "name": "../traj.xtc"})
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


# --- bad input ---------------------------------------------------------------------------------------------------

BAD_INPUT = [
    ["nonsense"],
    ["set"],
    ["set", "x:in.a"],
    ["ls", "a", "b"],
    ["ls", "--nonsense"],
    ["ls", "-p"],
    ["instance", "math::add"],
    ["connect", "a:out.x"],
    ["setf", "a:in.x", "missing.gro"],
    ["setf", "a:in.x", "."],
    ["setf", "a:in.x", "secret"],
    ["getf", "a:out.nothing"],
    ["get", "a:out.unknown"],
    ["ls", "unknown"],
    ["why", "99"],
    ["log", "unknown"],
    ["info", "nothing::here"],
    ["start", "first"],
    ["cd", "unknown"],
    ["rm", "unknown"],
    ["rm", "-k", "first"],
    ["status", "unknown"],
    ["set", "-p", "unknown", "a:in.x", "1"],
    ["set", "a:in.x", "\udcff"],
    ["commit"],
    ["rollback"],
    ["forget-server", "unknown"],
    ["use-server", "unknown"],
    ["login", "root"],
    ["login", "-stdin"],
    ["logout"],
    ["add-server"],
    ["add-server", "localhost", "99999"],
    ["add-server", "localhost", "port"],
    ["add-server", "no.such.host.invalid"],
    ["completion", "tcsh"],
]


@pytest.mark.parametrize("words", BAD_INPUT, ids=[" ".join(words).encode("ascii", "replace").decode() for words in BAD_INPUT])
def test_bad_input_gets_one_line_and_changes_nothing(
    cpcc: Cpcc, server: AnsweringServer, project: list[e.Edit], words: list[str]
) -> None:
    Path("secret").write_bytes(b"x")
    Path("secret").chmod(0)
    if os.geteuid() == 0 and "secret" in words:
        Path("secret").unlink()
        os.mkfifo("secret")
    server.answers |= {
        m.GetRequest: lambda request: (
            m.GetReply(request.path, "file", None)
            if request.path == "a:out.nothing"
            else UnknownPath(f"There is no {request.path}.")
        ),
        m.StatusRequest: UnknownPath("There is no project unknown."),
    }
    said = cpcc(*words)
    assert said.status not in (0, 130)
    assert said.out == ""
    assert said.err.startswith("ERROR: ")
    assert said.err.count("\n") == 1
    assert "fault of cpcc" not in said.err
    assert project == []
    assert list(server.projects) == ["first"]


def test_a_fault_of_its_own_shows_a_traceback_only_when_asked(cpcc: Cpcc, server: AnsweringServer, project: Any) -> None:
    def broken(request: Any) -> Any:
        raise KeyError("oops")

    server.answers[m.ListRequest] = broken
    said = cpcc("ls")
    assert said.status == 1
    assert said.err.startswith("ERROR: A fault of cpcc itself: KeyError: 'oops'.")
    assert "Traceback" in cpcc("ls", "--debug").err
    assert "Traceback" in cpcc("--debug", "ls").err


def test_ctrl_c_ends_quietly(cpcc: Cpcc, server: AnsweringServer, project: list[e.Edit]) -> None:
    def interrupted(request: Any) -> Any:
        raise KeyboardInterrupt

    server.answers[m.ListRequest] = interrupted
    assert cpcc("ls") == Said(130, "", "\n")


# --- listings ----------------------------------------------------------------------------------------------------


def test_listings_are_exact_in_json(cpcc: Cpcc, server: AnsweringServer, project: list[e.Edit]) -> None:
    row = m.JobRow(7, "first", "mdrun_0", "gromacs/mdrun", "leased", 0, 1, hostname="node1", running_s=0.1 + 0.2)
    server.answers[m.RunningRequest] = m.JobsReply([row])
    (shown,) = json.loads(cpcc("r", "--json").out)
    assert shown["running_s"] == 0.1 + 0.2
    assert shown["heartbeat_s"] is None, "members with their default are there as well"
    assert set(shown) == set(m.JobRow.__struct_fields__)


def test_control_characters_of_others_never_reach_the_terminal(cpcc: Cpcc, server: AnsweringServer, project: Any) -> None:
    evil = "\x1b]0;gotcha\x07 first\nsecond"
    server.answers |= {
        m.LogRequest: m.LogReply([m.LogEntry(0.0, evil, evil)]),
        m.WhyRequest: m.WhyReply([evil]),
        m.ListRequest: m.ListReply("project", "", [m.InstanceRow("a", "f::g", "error", why=evil)]),
    }
    for words in (["log", "a"], ["why", "a"], ["ls"]):
        said = cpcc(*words)
        assert "gotcha" in said.out
        assert "second" in said.out
        assert "\x1b" not in said.out


def test_info_and_modules(cpcc: Cpcc, server: AnsweringServer, project: list[e.Edit]) -> None:
    schema = FunctionSchema(
        "math::add",
        "pure",
        (Field("a", "float", "One summand."), Field("n", "int", default=1)),
        (Field("c", "float"),),
        "Adds.",
    )
    server.answers[m.InfoRequest] = lambda request: (
        m.InfoReply(function=schema) if request.name == "math::add" else UnknownPath(f"There is no {request.name}.")
    )
    server.answers[m.ModulesRequest] = m.ModulesReply(
        [ModuleSchema("math", "Numbers.", (schema,)), ModuleSchema("mine", error="mine.py:3: SyntaxError")]
    )
    assert cpcc("info", "math:add").out == cpcc("info", "math::add").out
    said = cpcc("info", "math::add").out
    assert "One summand." in said
    assert "(required)" in said
    assert "cannot be loaded: mine.py:3: SyntaxError" in cpcc("list-modules").out


# --- the real program --------------------------------------------------------------------------------------------


def program(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-c", "from copernicus.client.cli import main; main()", *words]
    return subprocess.run(line, capture_output=True, text=True, env={**os.environ, **environment}, timeout=60, check=False)


def test_without_credentials_the_places_looked_at_are_named(tmp_path: Path) -> None:
    done = program("ls", CPC_CONF_HOME=str(tmp_path), CPC_BUNDLE="")
    assert done.returncode == 1
    assert done.stderr.startswith("ERROR: Could not find a connection bundle. Looked at: ")
    assert f"put client.cnx into {tmp_path}" in done.stderr
    missing = program("-c", "no.cnx", "ls", CPC_CONF_HOME=str(tmp_path))
    assert (missing.returncode, missing.stderr.count("\n")) == (1, 1)
    assert "no.cnx" in missing.stderr


def test_help_loads_no_more_than_it_needs(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom copernicus.client.cli import run\nfrom copernicus.client.cli.context import Context\n"
        "run(sys.argv[1:], Context())\n"
        "heavy = {'rich', 'ssl', 'http.client', 'msgspec', 'aiohttp', 'asyncio', 'copernicus.dataflow', 'cryptography',"
        " 'importlib.metadata'}\n"
        "print(*sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    for words, loaded in ((["-h"], ""), (["list-server"], "msgspec")):
        done = subprocess.run(
            [sys.executable, "-c", code, *words],
            capture_output=True, text=True, env={**os.environ, "CPC_CONF_HOME": str(tmp_path)}, timeout=60, check=True,
        )  # fmt: skip
        assert done.stderr.strip() == loaded


def test_a_reader_who_leaves_is_no_failure_to_complain_about() -> None:
    line = f"{sys.executable} -c 'from copernicus.client.cli import main; main()' -h | head -c 1"
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr == ""


def test_completion_finds_commands() -> None:
    done = program(_CPCC_COMPLETE="bash_complete", COMP_WORDS="cpcc transa", COMP_CWORD="1")
    assert "transact" in done.stdout
    assert "_CPCC_COMPLETE" in program("completion", "bash").stdout


def test_unavailable_is_told_as_it_is(cpcc: Cpcc, server: AnsweringServer) -> None:
    server.answers[m.ProjectsRequest] = Unavailable("The server stops.", "Try again.")
    assert cpcc("p") == Said(1, "", "ERROR: The server stops. Try again.\n")
