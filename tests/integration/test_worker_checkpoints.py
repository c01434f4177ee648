"""Checkpoints of running programs: when they are taken, and that no copy is torn, against a fake server."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.integration.fake_server import FakeServer
from tests.integration.test_worker_agent import Worker, server, shell, start  # noqa: F401 - fixtures

from copernicus.model.jobs import JobDescription, Output
from copernicus.worker import copies
from copernicus.worker.copies import Changing, Copies, Gone
from copernicus.worker.live_folder import LiveFolder
from copernicus.worker.shelf import Shelf

OUTPUTS = {"numbers": Output("file", "numbers"), "shown": Output("files", "part*", is_partial=True)}
WAIT = "until [ -e {go} ]; do sleep 0.01; done; "


@pytest.fixture(autouse=True)
def sooner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copies, "SETTLED_S", 0.05)


def test_checkpoints_come_while_the_job_runs_with_the_outputs_so_far(
    server: FakeServer, start: Callable[..., Worker], tmp_path: Path  # noqa: F811
) -> None:  # fmt: skip
    more, end = tmp_path / "more", tmp_path / "end"
    script = f"echo 1 > state; echo 1 > numbers; echo 1 > part1; echo step 1; {WAIT.format(go=more)}" \
             f"echo 2 > new; mv new state; echo 2 >> numbers; echo 2 > part2; {WAIT.format(go=end)}"  # fmt: skip
    job = server.put(shell(script, checkpoint=("state",), outputs=OUTPUTS))
    worker = start(checkpoint_every_s=0.1)
    server.wait(lambda: len(server.checkpoints) > 1)
    more.touch()
    server.wait(lambda: contents(server, server.checkpoints[-1])["state"] == b"2\n")
    server.wait(lambda: len(server.checkpoints[-1].outputs["shown"]) == 2)
    first, last = server.checkpoints[0], server.checkpoints[-1]
    assert contents(server, first) == {"state": b"1\n", "numbers": b"1\n", "part1": b"1\n"}
    assert contents(server, last) == {"state": b"2\n", "numbers": b"1\n2\n", "part1": b"1\n", "part2": b"2\n"}
    assert [server.content(value) for value in last.outputs["shown"]] == [b"1\n", b"2\n"]
    assert (first.job, first.attempt, first.progress) == (job, 1, "step 1")
    end.touch()
    assert server.result(job).outcome == "finished"
    worker.leave()
    assert list((tmp_path / "place").iterdir()) == []
    server.nothing_else_was_sent()


def test_one_more_is_taken_before_the_worker_s_time_is_over(
    server: FakeServer, start: Callable[..., Worker], tmp_path: Path  # noqa: F811
) -> None:  # fmt: skip
    job = server.put(shell("echo 1 > state; sleep 1000", checkpoint=("state",)))
    start(checkpoint_every_s=None, time_left_s=20.0)
    server.wait(lambda: server.checkpoints)
    report = server.result(job)
    assert (report.outcome, report.checkpoint) == ("interrupted", server.checkpoints[0].files)
    assert len(server.checkpoints) == 1


def contents(server: FakeServer, checkpoint: Any) -> dict[str, bytes]:  # noqa: F811
    return {staged.name: server.blobs[staged.file.blob] for staged in checkpoint.files}


@pytest.fixture
def live(tmp_path: Path) -> LiveFolder:
    live = LiveFolder()
    (tmp_path / "work").mkdir()
    live.begin(tmp_path / "work")
    return live


@pytest.fixture
def copier(tmp_path: Path) -> Copies:
    def fetch(*arguments: Any) -> None:
        raise AssertionError("nothing is to be fetched")

    return Copies(Shelf(tmp_path / "shelf", fetch), tmp_path / "copies", threading.Event().wait)


def test_no_copy_is_torn_while_a_program_writes(live: LiveFolder, copier: Copies, monkeypatch: pytest.MonkeyPatch) -> None:
    """One file is replaced all the time, another written in place with pauses inside: copies are whole or not made."""
    monkeypatch.setattr(copies, "PIECE_BYTES", 1000)
    monkeypatch.setattr(copies, "SETTLED_S", 0.4)  # a writer that has to wait for a processor must not look like one that rests
    folder, over, outcomes = live.path, threading.Event(), {"whole": 0, "changing": 0}
    assert folder is not None
    (folder / "replaced").write_bytes(b"0" * 50_000)
    (folder / "in_place").write_bytes(b"0" * 50_000)

    def write() -> None:
        number = 0
        while not over.is_set():
            number += 1
            digit = str(number % 10).encode()
            (folder / "new").write_bytes(digit * 50_000)
            (folder / "new").replace(folder / "replaced")
            with open(folder / "in_place", "r+b", buffering=0) as file:
                for _ in range(5):
                    file.write(digit * 10_000)
                    over.wait(0.003)
            over.wait(1.0 * (number % 2))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(10):
            for name in ("replaced", "in_place"):
                try:
                    (file,) = copier.whole(live, [name]).values()
                except Changing:
                    assert name == "in_place"
                    outcomes["changing"] += 1
                    continue
                data = copier.path(file).read_bytes()
                assert data == data[:1] * 50_000, name
                outcomes["whole"] += 1
                copier.let_go()
    finally:
        over.set()
        writer.join()
    assert outcomes["whole"] > 10


def test_nothing_is_read_from_a_folder_that_has_been_given_back(live: LiveFolder, copier: Copies) -> None:
    assert live.path is not None
    folder = live.path
    (folder / "state").write_bytes(b"mine")
    live.end()
    assert live.names(["state"]) == []
    assert live.peek("state", 0, 10) is None
    live.begin(folder)

    def end_meanwhile(seconds: float) -> None:
        live.end()

    copier._wait = end_meanwhile
    with pytest.raises(Gone):
        copier.whole(live, ["state"])


def test_a_description_without_checkpoints_is_left_alone(
    server: FakeServer, start: Callable[..., Worker], tmp_path: Path  # noqa: F811
) -> None:  # fmt: skip
    go = tmp_path / "go"
    plain = server.put(shell(f"echo 1 > numbers; {WAIT.format(go=go)}", outputs={"numbers": Output("file", "numbers")}))
    saving = server.put(JobDescription("sh", (f"echo 1 > state; {WAIT.format(go=go)}",), checkpoint=("state",)))
    start(checkpoint_every_s=0.1)
    server.wait(lambda: len(server.checkpoints) > 2)
    assert {checkpoint.job for checkpoint in server.checkpoints} == {saving}
    go.touch()
    assert {server.result(job).outcome for job in (plain, saving)} == {"finished"}
