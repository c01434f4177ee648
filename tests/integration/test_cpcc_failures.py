"""Failures of `cpcc`: one clear line on stderr, a status that is not 0, nothing changed; and the program itself."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.integration.answering import AnsweringServer, Cpcc, Said

from copernicus.errors import Unavailable, UnknownPath
from copernicus.model import edits as e
from copernicus.wire import messages as m

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
    cpcc: Cpcc, answering: AnsweringServer, first: list[e.Edit], words: list[str]
) -> None:
    Path("secret").write_bytes(b"x")
    Path("secret").chmod(0)
    if os.geteuid() == 0 and "secret" in words:
        Path("secret").unlink()
        os.mkfifo("secret")
    answering.answers |= {
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
    assert first == []
    assert list(answering.projects) == ["first"]


def test_a_fault_of_its_own_shows_a_traceback_only_when_asked(cpcc: Cpcc, answering: AnsweringServer, first: Any) -> None:
    def broken(request: Any) -> Any:
        raise KeyError("oops")

    answering.answers[m.ListRequest] = broken
    said = cpcc("ls")
    assert said.status == 1
    assert said.err.startswith("ERROR: A fault of cpcc itself: KeyError: 'oops'.")
    assert "Traceback" in cpcc("ls", "--debug").err
    assert "Traceback" in cpcc("--debug", "ls").err


def test_ctrl_c_ends_quietly(cpcc: Cpcc, answering: AnsweringServer, first: list[e.Edit]) -> None:
    def interrupted(request: Any) -> Any:
        raise KeyboardInterrupt

    answering.answers[m.ListRequest] = interrupted
    assert cpcc("ls") == Said(130, "", "\n")


def test_with_stdin_closed_nobody_is_asked(
    cpcc: Cpcc, answering: AnsweringServer, first: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert "fault" not in cpcc("rm", "first").err
    assert list(answering.projects) == []
    assert "There is no terminal" in cpcc("login", "root").err or "No server" in cpcc("login", "root").err


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


def test_completion_finds_commands() -> None:
    done = program(_CPCC_COMPLETE="bash_complete", COMP_WORDS="cpcc transa", COMP_CWORD="1")
    assert "transact" in done.stdout
    assert "_CPCC_COMPLETE" in program("completion", "bash").stdout


def test_unavailable_is_told_as_it_is(cpcc: Cpcc, answering: AnsweringServer) -> None:
    answering.answers[m.ProjectsRequest] = Unavailable("The server stops.", "Try again.")
    assert cpcc("p") == Said(1, "", "ERROR: The server stops. Try again.\n")


@pytest.mark.parametrize("name", ["cpcc", "cpc-server", "cpc-worker"])
def test_output_that_nobody_takes_is_no_traceback(name: str) -> None:
    module = {"cpcc": "client", "cpc-server": "server", "cpc-worker": "worker"}[name]
    line = f"{sys.executable} -c 'from copernicus.{module}.cli import main; main()' -h"
    full = subprocess.run(["sh", "-c", f"{line} > /dev/full"], capture_output=True, text=True, timeout=60, check=False)
    assert (full.returncode, full.stderr) == (1, "ERROR: No space left on device.\n")
    closed = subprocess.run(["sh", "-c", f"{line} >&-"], capture_output=True, text=True, timeout=60, check=False)
    assert (closed.returncode, closed.stderr) == (0, "")
    reader = subprocess.run(["sh", "-c", f"{line} | head -c 1"], capture_output=True, text=True, timeout=60, check=True)
    assert reader.stderr == ""
