"""What the system, or the server, refuses to a worker once: it goes on, and no job is thought ill of for that."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.integration.fake_server import FakeServer
from tests.integration.test_worker_agent import Worker, shell

from copernicus.errors import CorruptData, InternalError
from copernicus.model.jobs import Output
from copernicus.wire.messages import ExchangeRequest
from copernicus.worker.desk import Desk
from copernicus.worker.heartbeat import LIMIT_S, SHORTEST_LIMIT_S, answer_limit_s
from copernicus.worker.spawning import Spawner
from copernicus.worker.spool import Spool
from copernicus.worker.uploads import MOST_FAULTS

OUT = {"out": Output("file", "out")}


@pytest.fixture
def server() -> FakeServer:
    server = FakeServer(heartbeat_s=0.3)
    server.inline_limit_bytes = 1000
    return server


@pytest.fixture
def start(server: FakeServer, tmp_path: Path) -> Iterator[Callable[[], Worker]]:
    workers: list[Worker] = []

    def begin() -> Worker:
        workers.append(Worker(server, tmp_path / "place", cores=1))
        return workers[-1]

    yield begin
    for worker in workers:
        worker.leave()


class Failing:
    """In place of a method: fails so many times, then does what it did."""

    def __init__(self, what: Callable[..., Any], error: Exception, times: int) -> None:
        self.what, self.error, self.left = what, error, times

    def __get__(self, instance: object, owner: type) -> Callable[..., Any]:
        def call(*arguments: Any, **more: Any) -> Any:
            if self.left > 0:
                self.left -= 1
                raise self.error
            return self.what(instance, *arguments, **more)

        return call


def fails(monkeypatch: pytest.MonkeyPatch, owner: type, name: str, error: Exception, times: int = 1) -> Failing:
    """Let a method fail."""
    failing = Failing(getattr(owner, name), error, times)
    monkeypatch.setattr(owner, name, failing)
    return failing


def full_table() -> OSError:
    return OSError(errno.EMFILE, os.strerror(errno.EMFILE))


def test_signs_of_life_go_on(server: FakeServer, start: Callable[[], Worker], monkeypatch: pytest.MonkeyPatch) -> None:
    failing = fails(monkeypatch, Desk, "beats", full_table())
    worker = start()
    server.wait(lambda: server.beats)
    assert failing.left == 0
    assert any("heartbeat" in line and "Too many open files" in line for line in worker.lines)


def test_a_slot_goes_on(server: FakeServer, start: Callable[[], Worker], monkeypatch: pytest.MonkeyPatch) -> None:
    failing = fails(monkeypatch, Desk, "take", full_table())
    start()
    assert server.result(server.put(shell("true"))).outcome == "finished"
    assert failing.left == 0


def test_a_result_that_cannot_be_taken_off_the_disk_is_delivered_and_done_with(
    server: FakeServer, start: Callable[[], Worker], monkeypatch: pytest.MonkeyPatch
) -> None:
    fails(monkeypatch, Spool, "remove", OSError(errno.EIO, "Input/output error"), 2)
    worker = start()
    for _ in range(3):
        assert server.result(server.put(shell("true"))).outcome == "finished"
    monkeypatch.undo()
    pause = threading.Event()
    while worker.agent._desk.has_results():
        assert not pause.wait(0.02)
    server.nothing_else_was_sent()


def test_a_result_file_is_sent_again_after_faults(
    server: FakeServer, start: Callable[[], Worker], monkeypatch: pytest.MonkeyPatch
) -> None:
    failing = fails(monkeypatch, FakeServer, "upload", InternalError("The server made a mistake."), MOST_FAULTS)
    start()
    report = server.result(server.put(shell("head -c 5000 /dev/zero > out", outputs=OUT)))
    assert report.outcome == "finished", report.error
    assert failing.left == 0


def test_a_result_file_that_cannot_be_read_any_more_sends_its_job_elsewhere(
    server: FakeServer, start: Callable[[], Worker], monkeypatch: pytest.MonkeyPatch
) -> None:
    fails(monkeypatch, FakeServer, "upload", OSError(errno.EIO, "Input/output error", "file"), 1000)
    start()
    report = server.result(server.put(shell("head -c 5000 /dev/zero > out", outputs=OUT)))
    assert (report.outcome, report.error) == ("retry", "A result file cannot be read any more: Input/output error (file).")
    assert server.result(server.put(shell("true"))).outcome == "finished"


def test_a_server_that_cannot_read_its_book_has_not_refused_a_result(server: FakeServer, start: Callable[[], Worker]) -> None:
    times = 3

    def refuse(request: object) -> Exception | None:
        nonlocal times
        if times and isinstance(request, ExchangeRequest) and request.reports:
            times -= 1
            return CorruptData("The book is damaged.")
        return None

    server.refuse = refuse
    start()
    assert server.result(server.put(shell("true"))).outcome == "finished"
    assert times == 0


@pytest.mark.parametrize(("number", "outcome"), [(errno.EAGAIN, "retry"), (errno.EMFILE, "retry"), (errno.ENOENT, "failed")])
def test_a_machine_without_room_is_not_the_jobs_fault(
    server: FakeServer, start: Callable[[], Worker], monkeypatch: pytest.MonkeyPatch, number: int, outcome: str
) -> None:
    fails(monkeypatch, Spawner, "spawn", OSError(number, os.strerror(number), "sh"))
    start()
    report = server.result(server.put(shell("true")))
    assert report.outcome == outcome
    assert os.strerror(number) in report.error


@pytest.mark.parametrize(("interval_s", "limit_s"), [(90.0, 30.0), (24.0, 8.0)])
def test_no_sign_of_life_waits_longer_than_leases_can(tmp_path: Path, interval_s: float, limit_s: float) -> None:
    limits: list[float] = []

    class Noting(FakeServer):
        def caller(self, timeout_s: float = 60.0) -> FakeServer:
            limits.append(timeout_s)
            return self

    server = Noting(heartbeat_s=interval_s)
    worker = Worker(server, tmp_path / "place", cores=1)
    server.wait(lambda: server.beats)
    worker.leave()
    assert limits.count(limit_s) == 1
    assert (answer_limit_s(2.0), answer_limit_s(600.0)) == (SHORTEST_LIMIT_S, LIMIT_S)
