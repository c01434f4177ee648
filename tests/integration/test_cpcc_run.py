"""`cpcc run` against a server behind the caller's seam: what its flags become, what is said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.integration.answering import AnsweringServer, Cpcc

from copernicus.errors import NotAllowed
from copernicus.model import edits as e
from copernicus.model.jobs import ExecutableOffer, WorkerOffer
from copernicus.wire import messages as m


def worker(*programs: str, is_lost: bool = False) -> m.WorkersReply:
    """The answer that there is one worker, with these programs."""
    offer = WorkerOffer("w", "host", "smp", 2, tuple(ExecutableOffer(name, "1") for name in programs))
    return m.WorkersReply([m.WorkerRow(offer, 0, 0, 1.0, is_lost)])


def bag(path: str, *states: str) -> m.ListReply:
    """The answer to a look at a bag whose jobs are in these states: from outside, and inside."""
    jobs = [m.InstanceRow(f"{path}:jobs:run_{index}", "ensemble::run", one, "why not") for index, one in enumerate(states)]
    below = {state: states.count(state) for state in set(states)}
    return m.ListReply("instance", path, instances=[m.InstanceRow(f"{path}:jobs", "ensemble::map", "x", below=below), *jobs])


def inputs(edits: list[e.Edit]) -> dict[str, Any]:
    """The inputs that were set, by name."""
    return {edit.path.partition(":in.")[2]: edit.value for edit in edits if isinstance(edit, e.SetValue)}


@pytest.fixture
def project(answering: AnsweringServer, first: list[e.Edit]) -> list[e.Edit]:
    answering.answers[m.WorkersRequest] = worker("gmx")
    answering.answers[m.ListRequest] = m.ListReply("project", "", instances=[m.InstanceRow("gmx", "f", "idle")])
    return first


def test_flags_become_one_instance(cpcc: Cpcc, answering: AnsweringServer, project: list[e.Edit]) -> None:
    for name in ("a.tpr", "b.ndx"):
        Path(name).write_text(name)
        answering.put(name.encode())
    said = cpcc("run", "--in", "a.tpr", "b.ndx", "--n", "4", "--out", "*.xtc", "*.log", "--sweep", "T=1:3:1", "-cores", "2",
                "--", "gmx", "mdrun", "--out", "{T}", "-n", "b.ndx", "--json", "-p", "x")  # fmt: skip
    assert said.status == 0, said.err
    assert project[1] == e.MakeInstance("ensemble::sweep", "gmx_2")
    given = inputs(project)
    assert given["command"] == ["gmx", "mdrun", "--out", "{T}", "-n", "b.ndx", "--json", "-p", "x"]
    assert [file["name"] for file in given["files"]] == ["a.tpr", "b.ndx"]
    assert (given["outputs"], given["repeats"], given["cores"]) == (["*.xtc", "*.log"], 4, 2)
    assert (given["parameters"], given["values"]) == (["T"], [["1", "2", "3"]])
    assert "gmx_2: 12 jobs of gmx." in said.out
    assert said.err == ""


def test_without_two_dashes_the_first_plain_word_is_the_program(cpcc: Cpcc, project: list[e.Edit]) -> None:
    answer = json.loads(cpcc("run", "--json", "-n", "2", "--name", "mine", "gmx", "-h").out)
    assert answer == {"instance": "mine", "project": "first", "jobs": 2}
    assert inputs(project)["command"] == ["gmx", "-h"]


def test_a_program_that_nobody_offers_is_told_of(cpcc: Cpcc, answering: AnsweringServer, project: list[e.Edit]) -> None:
    answering.answers[m.WorkersRequest] = worker("prog", is_lost=True)
    said = cpcc("run", "--", "prog")
    assert said.status == 0
    assert "no worker offers prog now" in said.err
    assert "cpc-worker --allow prog" in said.err
    answering.answers[m.WorkersRequest] = NotAllowed("You may not.")
    assert cpcc("run", "--", "prog").err == ""


def test_waiting_ends_with_the_last_job_and_tells_of_failures(
    cpcc: Cpcc, answering: AnsweringServer, project: list[e.Edit]
) -> None:
    replies = [bag("x", "idle", "running", "waiting"), bag("x", "idle", "error", "idle")]
    answering.answers[m.ListRequest] = lambda request: replies.pop(0) if len(replies) > 1 else replies[0]
    plan = {"seed": [7, 8, 9], "names": ["T"], "values": [["a"], ["b"], ["c"]]}
    answering.answers[m.GetRequest] = lambda request: m.GetReply(
        request.path, "", [0.5, None, "nan"] if request.path == "x:out.numbers" else plan
    )
    said = cpcc("run", "--n", "3", "--name", "x", "--wait", "--", "gmx")
    assert said.status == 1
    assert "x: 2 of 3 jobs done, 1 failed." in said.out
    assert "x:jobs:run_1: why not" in said.out
    assert [line.split() for line in said.out.splitlines()[1:5]] == [
        ["JOB", "T", "SEED", "STATE", "NUMBER"], ["0", "a", "7", "done", "0.5"], ["1", "b", "8", "error"],
        ["2", "c", "9", "done", "nan"],
    ]  # fmt: skip
    answer = json.loads(cpcc("run", "--n", "3", "--name", "x", "--wait", "--json", "--", "gmx").out)
    assert (answer["done"], answer["failed"]) == (2, 1)
    assert answer["jobs"][1] == {"job": 1, "values": {"T": "b"}, "seed": 8, "state": "error", "why": "why not", "number": None}


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--", "gmx", "{T}"], "no parameter of that name"),
        (["--sweep", "T=1:2", "--sweep", "T=1", "--", "gmx"], "two sweeps of T"),
        (["--sweep", "T", "--", "gmx"], "no sweep"),
        (["--in", "--n", "2", "--", "gmx"], "--in needs a file"),
        (["--in", "nowhere.tpr", "--", "gmx"], "no file nowhere.tpr"),
        (["--n", "0", "--", "gmx"], "0"),
        (["--n", "2"], "PROGRAM"),
        (["--", ""], "no program"),
        (["--out", "*", "--"], "PROGRAM"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_made(cpcc: Cpcc, project: list[e.Edit], words: list[str], why: str) -> None:
    said = cpcc("run", *words)
    assert said.status in (1, 2)
    assert why in said.err
    assert "Traceback" not in said.err
    assert project == []


def test_inside_a_transaction_it_is_refused(cpcc: Cpcc, project: list[e.Edit]) -> None:
    cpcc("transact")
    said = cpcc("run", "--", "gmx")
    assert said.status == 1
    assert "A transaction is open" in said.err
