"""Warm executables: jobs in forks of a process that has imported their module."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.integration.slot import Bench, a_bench, is_alive, until

from copernicus.model.jobs import JobDescription, LeasedJob
from copernicus.plugin.executables import Executable
from copernicus.plugin.registry import Found
from copernicus.worker.workload import Attempt, Tools

WARM = Found(Executable("warm", (sys.executable, "-P", "-c", "raise SystemExit(99)"), warm="warm_sample"), "1", "test")
SAMPLE = """
import os, sys
IMPORTED_IN = os.getpid()
def main(argv):
    if argv[0] == "tell":
        print(os.getpid() != IMPORTED_IN, os.getppid() == IMPORTED_IN, os.getsid(0) == os.getpid())
        print(os.listdir("."), os.environ["SEED"], argv[1:], sys.argv)
        os.write(2, b"raw")
    if argv[0] == "server":
        print(IMPORTED_IN)
    if argv[0] == "raise":
        raise ValueError("on purpose")
    if argv[0] == "exit":
        sys.exit(int(argv[1]))
    if argv[0] == "die":
        os.kill(os.getpid(), 9)
    if argv[0] == "hang":
        open(argv[1], "w").write(str(os.getpid()))
        import signal; signal.pause()
    if argv[0] == "return":
        return int(argv[1])
"""


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with a_bench(tmp_path) as bench:
        yield bench


@pytest.fixture
def warm(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Attempt]:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "warm_sample.py").write_text(SAMPLE)
    environment = {**bench.tools.environment, "PYTHONPATH": str(tmp_path / "lib")}
    monkeypatch.setattr(
        bench, "tools", Tools("tester", bench.platform, bench.tools.shelf, grace_s=0.3, environment=environment)
    )

    def attempt(*argv: str, cores: int = 1) -> Attempt:
        description = JobDescription("warm", argv, environment={"SEED": "5"})
        return Attempt(LeasedJob(7, 1, "p", "run", description, cores), WARM, cores, bench.tools)

    return attempt


def test_warm_jobs_are_like_others(bench: Bench, warm: Callable[..., Attempt]) -> None:
    told = warm("tell", "a b").run(bench.work).report
    assert told.stdout_tail == "True True True\n['stderr', 'stdout'] 5 ['a b'] ['warm_sample', 'tell', 'a b']", told
    assert told.stderr_tail == "raw"
    first, second = (warm("server").run(bench.work).report.stdout_tail for _ in range(2))
    assert first == second
    raised = warm("raise").run(bench.work).report
    assert (raised.outcome, raised.exit_status) == ("failed", 1)
    assert raised.stderr_tail.endswith("ValueError: on purpose")
    assert warm("exit", "7").run(bench.work).report.exit_status == 7
    assert warm("return", "3").run(bench.work).report.exit_status == 3
    assert warm("die").run(bench.work).report.exit_status == -9


def test_a_warm_job_can_be_stopped_and_its_server_can_die(bench: Bench, warm: Callable[..., Attempt], tmp_path: Path) -> None:
    attempt = warm("hang", str(tmp_path / "pid"))
    wait = bench.begin(attempt)
    until((tmp_path / "pid").exists)
    attempt.stop("unwanted")
    assert wait().report.outcome == "interrupted"

    server = int(warm("server").run(bench.work).report.stdout_tail)
    (tmp_path / "pid").unlink()
    wait = bench.begin(warm("hang", str(tmp_path / "pid")))
    until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text())
    os.kill(server, 9)
    report = wait().report
    assert (report.outcome, "lost" in report.error) == ("retry", True)
    until(lambda: not is_alive(tmp_path / "pid"))
    assert int(warm("server").run(bench.work).report.stdout_tail) != server  # started again


def test_without_a_warm_server_jobs_are_started_plainly(bench: Bench, warm: Callable[..., Attempt], tmp_path: Path) -> None:
    assert warm("tell", cores=2).run(bench.work).report.exit_status == 99  # other threads than it was imported with
    (tmp_path / "lib" / "warm_sample.py").write_text("raise ImportError('broken')")
    assert warm("tell").run(bench.work).report.exit_status == 99
