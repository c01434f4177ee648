"""What a worker brings of running jobs that somebody follows, with real programs, against a fake server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.integration.fake_server import FakeServer
from tests.integration.test_worker_agent import Worker, server, shell, start  # noqa: F401 - fixtures

from copernicus.worker import streaming

WAIT = "until [ -e {go} ]; do sleep 0.01; done; "


def test_only_what_is_followed_is_sent_and_all_of_it(
    server: FakeServer, start: Callable[..., Worker], tmp_path: Path  # noqa: F811
) -> None:  # fmt: skip
    go, end = tmp_path / "go", tmp_path / "end"
    script = "echo one; echo two >&2; " + WAIT.format(go=go) + "echo three > a.log; " + WAIT.format(go=end) + "echo last"
    other, job = server.put(shell(script)), server.put(shell(script, watch=("*.log", "../../*")))
    worker = start()
    server.wait(lambda: server.leased() == 2)
    server.followed.add(job)
    with server._changed:
        server._changed.notify_all()
    server.wait(lambda: server.streams.get((job, 1, "stderr")) == b"two\n")
    go.touch()
    server.wait(lambda: server.streams.get((job, 1, "a.log")) == b"three\n")
    end.touch()
    assert server.result(job).outcome == "finished"
    assert server.result(other).outcome == "finished"
    assert server.streams == {(job, 1, "stdout"): b"one\nlast\n", (job, 1, "stderr"): b"two\n", (job, 1, "a.log"): b"three\n"}
    worker.leave()
    server.nothing_else_was_sent()


def test_a_server_that_was_away_gets_the_rest(
    server: FakeServer, start: Callable[..., Worker], tmp_path: Path, monkeypatch: pytest.MonkeyPatch  # noqa: F811
) -> None:  # fmt: skip
    monkeypatch.setattr(streaming, "MOST_BYTES", 10)  # and it comes in several pieces
    go, end = tmp_path / "go", tmp_path / "end"
    job = server.put(shell("echo 1; " + WAIT.format(go=go) + "echo 2345678901234567890; " + WAIT.format(go=end)))
    server.followed.add(job)
    worker = start()
    server.wait(lambda: server.streams.get((job, 1, "stdout")) == b"1\n")
    server.go_away()
    go.touch()
    server.come_back()
    server.wait(lambda: server.streams[job, 1, "stdout"] == b"1\n2345678901234567890\n")
    end.touch()
    assert server.result(job).outcome == "finished"
    worker.leave()
    server.nothing_else_was_sent()
