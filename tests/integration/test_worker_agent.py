"""The worker as a whole, with real programs, against a fake server."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from tests.integration.fake_server import FakeServer

from copernicus.errors import TooLarge
from copernicus.model.jobs import JobDescription, Output, Resources, StagedFile
from copernicus.plugin.executables import Executable
from copernicus.plugin.registry import Found
from copernicus.wire.messages import ExchangeRequest
from copernicus.worker.agent import Agent, Options
from copernicus.worker.place import Place
from copernicus.worker.platforms.smp import Smp
from copernicus.worker.spool import Spool

SHELL = Found(Executable("sh", ("/bin/sh", "-c")), "1", "test")
PYTHON = Found(Executable("python", (sys.executable, "-c")), "3", "test")


def shell(script: str, **more: object) -> JobDescription:
    return JobDescription("sh", (script,), **more)  # type: ignore[arg-type]


def runs(pid: int) -> bool:
    """A zombie does not: the test's own process may have inherited it."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


class Worker:
    """An agent in a thread."""

    def __init__(self, server: FakeServer, folder: Path, cores: int = 2, **options: object) -> None:
        self.lines: list[str] = []
        self.place = Place(folder)
        settings = Options(**{"grace_s": 2.0, **options})  # type: ignore[arg-type]
        self.agent = Agent(settings, Smp(cores), [SHELL, PYTHON], server, self.place, self.lines.append)
        self.thread = threading.Thread(target=self.agent.run)
        self.thread.start()

    def leave(self) -> None:
        self.agent.stop()
        self.thread.join(60)
        assert not self.thread.is_alive()


@pytest.fixture
def server() -> FakeServer:
    return FakeServer()


@pytest.fixture
def start(server: FakeServer, tmp_path: Path) -> Iterator[Callable[..., Worker]]:
    workers: list[Worker] = []

    def begin(**options: object) -> Worker:
        workers.append(Worker(server, tmp_path / "place", **options))  # type: ignore[arg-type]
        return workers[-1]

    yield begin
    server.come_back()
    for worker in workers:
        if worker.thread.is_alive():
            worker.leave()


def test_jobs_go_round_and_nothing_is_left(server: FakeServer, start: Callable[..., Worker], tmp_path: Path) -> None:
    conf = server.file(b"17\n", "conf.gro")
    outputs = {"double": Output("number", r"(\d+)"), "copy": Output("file", "*.out")}
    jobs = [
        server.put(
            shell(f"echo $(($(cat in.gro) + {n})); cp in.gro a.out", files=(StagedFile("in.gro", conf),), outputs=outputs)
        )
        for n in range(100)
    ]
    worker = start()
    for n, job in enumerate(jobs):
        report = server.result(job)
        assert report.outcome == "finished", report
        assert report.outputs["double"] == 17 + n
        assert server.content(report.outputs["copy"]) == b"17\n"
    worker.leave()
    assert [farewell.worker for farewell in server.farewells] == [worker.agent.worker]
    assert list((tmp_path / "place").iterdir()) == []
    server.nothing_else_was_sent()


def test_an_idle_worker_is_told_at_once_and_waits_again(server: FakeServer, start: Callable[..., Worker]) -> None:
    worker = start()
    server.wait(lambda: any(request.wait_s > 0 for request in server.exchanges))
    assert server.result(server.put(shell("exit 3"))).error == "sh ended with exit status 3."
    assert "Have free resources. Waiting for jobs." in worker.lines
    assert "Got 1 job." in worker.lines
    worker.leave()
    server.nothing_else_was_sent()


def test_a_server_that_is_away_gets_every_result_once(server: FakeServer, start: Callable[..., Worker], tmp_path: Path) -> None:
    go = tmp_path / "go"
    worker = start()
    jobs = [
        server.put(shell(f"while [ ! -e {go} ]; do sleep 0.01; done; echo {n}", outputs={"n": Output("number", r"(\d+)")}))
        for n in range(2)
    ]
    server.wait(lambda: server.leased() == 2)
    server.go_away()
    go.touch()
    spool = Spool(worker.place.spool, "")
    waiter = threading.Event()
    while len(list(spool.results())) < 2:  # both are on disk while the server is away
        assert not waiter.wait(0.02)
    server.come_back()
    assert [server.result(job).outputs["n"] for job in jobs] == [0, 1]
    while not spool.is_empty():
        assert not waiter.wait(0.02)
    worker.leave()
    server.nothing_else_was_sent()


def test_a_lost_answer_is_asked_for_again_with_the_same_words(server: FakeServer, start: Callable[..., Worker]) -> None:
    worker = start()
    server.lose_answers = 2
    first, second = server.put(shell("true")), server.put(shell("true"))
    assert {server.result(first).outcome, server.result(second).outcome} == {"finished"}
    server.wait(lambda: server.lose_answers == 0)
    worker.leave()
    reported = [(report.job, report.attempt) for request in server.exchanges for report in request.reports]
    assert sorted(reported) == [(first, 1), (second, 1)]  # repeats were answered from memory: nothing went out twice
    server.nothing_else_was_sent()


def test_a_stop_returns_what_runs_with_its_checkpoint(server: FakeServer, start: Callable[..., Worker]) -> None:
    script = "trap 'echo step 7 > state.cpt; exit 0' TERM; echo ready; while :; do sleep 0.01; done"
    job = server.put(shell(script, checkpoint=("*.cpt",), done_when="*"))
    worker = start(cores=1)
    other = server.put(shell("sleep 1000"))
    server.wait(lambda: server.leased() == 1)
    server.heartbeat_s = 0.3
    while not any(beat.progress == "ready" for beat in worker.agent._desk.beats()):
        assert not threading.Event().wait(0.02)
    worker.leave()
    report = server.result(job)
    assert report.outcome == "interrupted"
    [checkpoint] = report.checkpoint
    assert checkpoint.name == "state.cpt"
    assert server.blobs[checkpoint.file.blob] == b"step 7\n"
    assert other not in server._results
    server.nothing_else_was_sent()


def test_a_job_that_nobody_wants_is_stopped(server: FakeServer, start: Callable[..., Worker]) -> None:
    server.heartbeat_s = 0.3
    worker = start()
    job = server.put(shell("sleep 1000"))
    server.wait(lambda: any(beat.job == job for request in server.beats for beat in request.beats))
    server.unwanted.add(job)
    assert server.result(job).outcome == "interrupted"
    worker.leave()
    server.nothing_else_was_sent()


def test_a_server_that_forgot_the_worker_is_told_again(
    server: FakeServer, start: Callable[..., Worker], tmp_path: Path
) -> None:
    worker = start(cores=1)
    job = server.put(shell(f"while [ ! -e {tmp_path}/go ]; do sleep 0.01; done"))
    server.wait(lambda: server.leased() == 1)
    server.knows_nobody = True
    (tmp_path / "go").touch()
    assert server.result(job).outcome == "finished"  # what was reported in vain is reported again
    assert len(server.offers) >= 2  # the waiting request may hear of it as well
    worker.leave()
    server.nothing_else_was_sent()


def test_large_files_are_there_before_the_report(server: FakeServer, start: Callable[..., Worker], tmp_path: Path) -> None:
    server.inline_limit_bytes = 1000
    big = server.file(b"x" * 100_000, "in")
    worker = start()
    job = server.put(shell("cat in in > out", files=(StagedFile("in", big),), outputs={"out": Output("file", "out")}))
    assert server.content(server.result(job).outputs["out"]) == b"x" * 200_000
    worker.leave()
    assert list((tmp_path / "place").iterdir()) == []
    server.nothing_else_was_sent()


def test_a_result_that_the_server_cannot_take_fails_its_job_only(server: FakeServer, start: Callable[..., Worker]) -> None:
    def refuse(request: object) -> Exception | None:
        is_long = isinstance(request, ExchangeRequest) and any(
            len(report.stdout_tail) > 10 and report.outputs for report in request.reports
        )
        return TooLarge("That is too much.") if is_long else None

    server.refuse = refuse
    outputs = {"n": Output("text", r"(\S+)")}
    bad = server.put(shell("echo 12345678901234567890", outputs=outputs))
    good = [server.put(shell("echo 1", outputs=outputs)) for _ in range(20)]
    worker = start()
    assert "too much" in server.result(bad).error
    assert {server.result(job).outcome for job in good} == {"finished"}
    worker.leave()
    server.nothing_else_was_sent()


def test_what_a_killed_worker_left_is_delivered_by_the_next(
    server: FakeServer, start: Callable[..., Worker], tmp_path: Path
) -> None:
    worker = start()
    job = server.put(shell("sleep 1; echo 4", outputs={"n": Output("number", r"(\d+)")}))
    server.wait(lambda: server.leased() == 1)
    server.go_away()
    while Spool(worker.place.spool, "").is_empty():
        assert not threading.Event().wait(0.02)
    worker.agent.stop()
    worker.agent.stop()  # hurry
    worker.thread.join(60)
    assert any("stay in" in line for line in worker.lines)
    server.come_back()
    second = start()
    assert server.result(job).outputs == {"n": 4.0}
    second.leave()
    assert list((tmp_path / "place").iterdir()) == []
    server.nothing_else_was_sent()


def test_an_idle_worker_leaves_when_it_was_told_to(server: FakeServer, start: Callable[..., Worker]) -> None:
    worker = start(quit_after_s=0.5)
    worker.thread.join(60)
    assert not worker.thread.is_alive()
    assert server.farewells[0].why.startswith("there was nothing to do")
    server.nothing_else_was_sent()


def test_cores_are_split_and_capped(server: FakeServer, start: Callable[..., Worker]) -> None:
    worker = start(cores=4, cores_per_job=3)
    wide = server.put(shell("echo $OMP_NUM_THREADS", resources=Resources(1, None), outputs={"n": Output("number", r"(\d+)")}))
    assert server.result(wide).outputs["n"] == 3
    worker.leave()
    server.nothing_else_was_sent()


def test_no_program_outlives_a_killed_worker(server: FakeServer, tmp_path: Path) -> None:
    """The worker runs in a process of its own here, whose connection leads nowhere but to jobs that never end."""
    script = f"""if True:
        import sys
        from pathlib import Path
        from tests.integration.test_worker_agent import FakeServer, Worker, shell
        server = FakeServer()
        server.put(shell("echo $$ > {tmp_path}/first; exec sleep 1000"))
        server.put(shell("setsid sh -c 'echo $$ > {tmp_path}/second; exec sleep 1000' & exec sleep 1000"))
        Worker(server, Path("{tmp_path}/place"))"""
    process = subprocess.Popen([sys.executable, "-c", script], cwd=Path(__file__).parents[2])
    waiter = threading.Event()
    while not all((tmp_path / name).exists() and (tmp_path / name).read_text() for name in ("first", "second")):
        assert not waiter.wait(0.02)
    pids = [int((tmp_path / name).read_text()) for name in ("first", "second")]
    assert all(runs(pid) for pid in pids)
    process.kill()
    process.wait()
    [place] = (tmp_path / "place").iterdir()
    while any(runs(pid) for pid in pids) or (place / "jobs").exists():
        assert not waiter.wait(0.02)


def test_a_job_over_its_memory_or_time_ends_alone(server: FakeServer, start: Callable[..., Worker], tmp_path: Path) -> None:
    """Seen by the worker itself, while another job goes on beside it."""
    script = f"while [ ! -e {tmp_path}/over ]; do sleep 0.05; done; echo 42"
    steady = server.put(shell(script, outputs={"n": Output("number", "(.*)")}))
    fat = server.put(
        JobDescription(
            "python", ("import os, time; x = bytearray(os.urandom(1024)) * 150_000; time.sleep(1000)",),
            resources=Resources(memory_bytes=100_000_000),
        )
    )  # fmt: skip
    worker = start()
    report = server.result(fat)
    assert report.outcome == "failed", report
    assert "of memory, 0.1 GB were asked for" in report.error
    slow = server.put(shell("sleep 1000", resources=Resources(wall_time_s=0.5)))
    late = server.result(slow)
    assert (late.outcome, late.is_overtime) == ("retry", True), late
    (tmp_path / "over").touch()
    assert server.result(steady).outputs == {"n": 42}
    worker.leave()
