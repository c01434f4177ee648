"""A running project is changed: what a preview says comes, an undo brings results back without a new job."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from copernicus.errors import Refused
from copernicus.model import edits as e
from copernicus.testing import CopernicusInABox

FUNCTIONS = """
[wait]
run = "slow/wait"
argv = ["{n}", "{gate}"]
in = { n = "int", gate = "string" }
out = { twice = "int: stdout: is (.*)" }

[after]
run = "slow/wait"
argv = ["{n}", "{gate}"]
in = { n = "int", gate = "string" }
out = { twice = "int: stdout: is (.*)" }
"""
EXECUTABLES = """
name = "slow/wait"
version = "1"
argv = ["sh", "-c", 'while [ ! -e "$2/$1" ]; do sleep 0.1; done; echo is $(($1 * 2))', "wait"]
"""


@pytest.fixture
def box(tmp_path: Path) -> Iterator[CopernicusInABox]:
    """A project with a job that ends when a file `gate/NUMBER` is there, and one after it."""
    module, gate = tmp_path / "slow", tmp_path / "gate"
    module.mkdir()
    gate.mkdir()
    (module / "functions.toml").write_text(FUNCTIONS)
    (module / "executables.toml").write_text(EXECUTABLES)
    with CopernicusInABox(tmp_path / "box", modules=[module], cores=2) as box:
        for words in (
            ("start", "first"), ("import", "slow"), ("transact",), ("instance", "slow::wait", "one"),
            ("instance", "slow::after", "two"),
            ("set", "one:in.gate", str(gate)), ("set", "two:in.gate", str(gate)), ("set", "one:in.n", "1"),
            ("connect", "one:out.twice", "two:in.n"), ("activate",), ("commit",),
        ):  # fmt: skip
            box.cpcc(*words)
        yield box


def running(box: CopernicusInABox) -> list[str]:
    return [row["path"] for row in box.ask("running")]


def open_gate(box: CopernicusInABox, number: int) -> None:
    (box.system.folder.parent / "gate" / str(number)).touch()


def value(box: CopernicusInABox, path: str) -> Any:
    return box.ask("get", path)


def preview(box: CopernicusInABox, *words: str) -> dict[str, Any]:
    """What a preview finds, without what it does not."""
    said = {name: found for name, found in box.ask(*words, "--preview").items() if found}
    for row in (*said.get("ending", ()), *said.get("may_end", ())):
        assert row.pop("core_s") >= 0
    return said


def test_a_preview_says_what_comes_and_changes_nothing(box: CopernicusInABox) -> None:
    open_gate(box, 1)
    open_gate(box, 2)
    box.wait(lambda: value(box, "two:out.twice") == 4, what="both jobs are done")
    seq = box.ask("status")["seq"]
    change = {"told": [""], "is_change": True}
    assert preview(box, "set", "one:in.n", "3") == {**change, "certain": ["one"], "possible": ["two"]}
    assert box.cpcc("set", "one:in.n", "1", "--preview") == "Nothing would change.\n"
    assert (box.ask("status")["seq"], value(box, "one:in.n"), box.ask("queue")) == (seq, 1, [])
    box.cpcc("set", "one:in.n", "3")
    box.wait(lambda: running(box) == ["one"], what="the job for 3 runs")
    ending = [{"job": 3, "path": "one", "state": "leased"}]
    assert preview(box, "set", "one:in.n", "1") == {**change, "ending": ending, "standing": {"one": 1}}
    assert preview(box, "rm-instance", "one") == {**change, "ending": ending}
    box.cpcc("transact")
    box.cpcc("set", "one:in.n", "5")
    staged = preview(box, "commit")
    assert staged == {**change, "certain": ["one"], "possible": ["two"], "ending": ending}
    assert preview(box, "set", "two:in.gate", "other")["certain"] == ["one", "two"], "with what is staged before it"
    said = box.cpcc("commit", "--preview")
    assert "evaluated anew: one\n" in said
    assert "3 of one (leased, " in said
    box.cpcc("rollback")
    assert "and no job ends" in box.cpcc("deactivate", "one", "--preview")
    assert "jobs that stop, with a checkpoint to go on from: 3 of one" in box.cpcc("deactivate", "one", "--now", "--preview")
    assert running(box) == ["one"], "nothing has happened to it"
    bag = box.ask("run", "--preview", "--n", "2", "--", "python3", "-V")
    assert bag["certain"] == ["python3:lay_out", "python3:jobs:run_0", "python3:jobs:run_1"]


def test_an_undo_brings_the_old_result_back_without_a_new_job(box: CopernicusInABox) -> None:
    open_gate(box, 1)
    open_gate(box, 2)
    box.wait(lambda: value(box, "two:out.twice") == 4, what="both jobs are done")
    box.cpcc("set", "one:in.n", "3")
    box.wait(lambda: running(box) == ["one"], what="the job for 3 runs")
    said = box.cpcc("undo", "--preview")
    assert "one:in.n was set to 3" in said
    assert "results that stand again: one (job 1)" in said
    assert "3 of one (leased" in said
    assert value(box, "one:in.n") == 3
    undone = box.ask("undo")
    assert (value(box, "one:in.n"), value(box, "one:out.twice"), value(box, "two:out.twice")) == (1, 2, 4)
    box.wait(lambda: running(box) == [], what="the job for 3 was given up")
    assert box.ask("status")["jobs"] == {"done": 2, "cancelled": 1}
    refused = box.system.run(["cpcc", "undo", str(undone["undone"])], is_checked=False)
    assert "was taken back already by root" in refused.stderr
    assert f"cpcc undo {undone['seq']}" in refused.stderr
    box.cpcc("undo", str(undone["seq"]))
    assert value(box, "one:in.n") == 3, "the undo of an undo is a redo"


def test_what_was_removed_comes_back_as_it_was_even_after_kill_9(box: CopernicusInABox) -> None:
    open_gate(box, 1)
    open_gate(box, 2)
    box.wait(lambda: value(box, "two:out.twice") == 4, what="both jobs are done")
    project = box.client.project("first")
    project.rename("one", "uno")
    removed = project.apply([e.RemoveInstance("uno")]).seq
    assert value(box, "two:in.n") == 2, "it keeps what it saw"
    later = project.apply([e.SetValue("two:in.n", 1)]).seq
    with pytest.raises(Refused, match=rf"two:in.n was set to 1 by root .* \(transaction {later}\)"):
        project.undo(removed)
    project.undo()
    found = project.preview_undo(removed).preview
    assert found is not None
    assert found.standing == {"uno": 1}
    project.undo(removed)
    box.system.kill_server()
    box.system.start()
    assert (value(box, "uno:out.twice"), value(box, "two:out.twice")) == (2, 4)
    assert [row.state for row in project.list("").instances] == ["idle", "idle"]
    assert project.list("two:in.n").places[0].source == "uno:out.twice"
    project.undo()
    assert [row.path for row in project.list("").instances] == ["one", "two"], "the name, too"
    assert box.ask("status")["jobs"] == {"done": 3}, "one for two:in.n = 1, none for all that came back"
