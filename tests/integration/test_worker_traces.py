"""What jobs leave behind: processes that hide, files without number or end, and what is no file."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from tests.integration.slot import PYTHON, Bench, a_bench, is_alive, until

from copernicus.model.jobs import LeasedJob, Output
from copernicus.worker.folder import WorkFolder
from copernicus.worker.workload import Attempt

MANY = 20_000
HIDDEN = """if True:
    import os, signal
    if os.fork() == 0:  # forks twice, in a session and with an environment of its own, and hears nothing
        os.setsid()
        if os.fork() == 0:
            for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
                signal.signal(number, signal.SIG_IGN)
            os.chdir("/")
            os.closerange(0, 100)
            os.execve("/bin/sh", ["sh", "-c", "echo $$ > {pid}; exec sleep 1000"], {{}})
        os._exit(0)
    os.wait()
    while not os.path.exists("{pid}") or not os.path.getsize("{pid}"):
        pass"""


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with a_bench(tmp_path) as bench:
        yield bench


def test_a_process_that_denies_its_job_ends_with_it(bench: Bench, tmp_path: Path) -> None:
    report = bench.run(HIDDEN.format(pid=tmp_path / "pid"), PYTHON).report
    assert report.outcome == "finished", report
    assert not is_alive(tmp_path / "pid")


def test_where_it_could_be_another_job_s_it_ends_with_the_last_of_them(bench: Bench, tmp_path: Path) -> None:
    long = bench.attempt(f"echo > {tmp_path}/ready; exec sleep 1000")
    other = WorkFolder(bench.root / "jobs", "other")
    wait = bench.begin(long)
    until((tmp_path / "ready").exists)
    hiding = bench.attempt(HIDDEN.format(pid=tmp_path / "pid"), PYTHON)
    lease = LeasedJob(8, 1, "p", "run", hiding.lease.description, 1)
    report = Attempt(lease, PYTHON, 1, bench.tools).run(other).report
    assert report.outcome == "finished", report
    assert is_alive(tmp_path / "pid"), "it might belong to the job that still runs"
    long.stop("unwanted", 0.0)
    wait()
    assert not is_alive(tmp_path / "pid")
    other.remove()


def test_zombies_that_a_program_leaves_are_laid_to_rest(bench: Bench) -> None:
    script = """if True:
        import os
        for _ in range(50):
            if os.fork() == 0:
                os._exit(0)
        if os.fork() == 0:
            os.setsid()
            for _ in range(50):
                if os.fork() == 0:
                    os._exit(0)"""
    assert bench.run(script, PYTHON).report.outcome == "finished"
    me = psutil.Process()
    assert [child for child in me.children(recursive=True) if child.status() == psutil.STATUS_ZOMBIE] == []


def test_files_without_number_are_looked_through_and_removed(bench: Bench) -> None:
    script = f"""if True:
        import os
        os.mkdir("d")
        for number in range({MANY}):
            open(f"d/{{number}}.tmp", "w").close()
        for number in range(3):
            open(f"part{{number}}.dat", "w").write("x")"""
    report = bench.run(script, PYTHON, outputs={"parts": Output("files", "*.dat"), "last": Output("file", "d/*.tmp")}).report
    assert report.outcome == "finished", report
    assert [part["name"] for part in report.outputs["parts"]] == ["part0.dat", "part1.dat", "part2.dat"]
    assert report.outputs["last"]["name"] == f"{MANY - 1}.tmp"
    bench.run("true")
    assert not any(folder.exists() for folder in bench.folders[:1])


def test_holes_of_50_gb_cost_neither_memory_nor_time(bench: Bench) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    script = "truncate -s 50G hole; echo begun; truncate -s 50G stdout; echo end >&2"
    outputs = {"word": Output("text", r"(end)", "stderr"), "all": Output("text", source="hole")}
    found = bench.run(script, outputs={"word": outputs["word"]}).report
    assert (found.outcome, found.outputs) == ("finished", {"word": "end"}), found
    assert len(found.stdout_tail) <= 16 * 1024
    assert found.stderr_tail == "end"
    whole = bench.run(script, outputs={"all": outputs["all"]}).report
    assert whole.outcome == "failed", "a part of it would pass for the whole"
    assert "The output all cannot be collected: hole is larger than 8388608 bytes" in whole.error
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300 * 1024, "KiB"


@pytest.mark.parametrize("make", ["mkfifo", "mkdir", "ln -s /dev/zero", "ln -s /dev/stdin"])
def test_streams_that_are_no_files_any_more_block_nothing(bench: Bench, make: str) -> None:
    attempt = bench.attempt(f"rm stdout stderr; {make} stdout; {make} stderr; exit 3")
    wait = bench.begin(attempt)
    report = wait().report
    attempt.check(attempt.started_at)
    assert (report.outcome, report.exit_status, report.stdout_tail, report.stderr_tail) == ("failed", 3, "", "")
    assert bench.run("echo on").report.stdout_tail == "on"


def test_a_fifo_in_the_place_of_a_stream_does_not_hold_the_worker_up_while_the_job_runs(bench: Bench, tmp_path: Path) -> None:
    attempt = bench.attempt(f"rm stdout stderr; mkfifo stdout stderr; echo > {tmp_path}/ready; exec sleep 1000")
    wait = bench.begin(attempt)
    until((tmp_path / "ready").exists)
    attempt.check(attempt.started_at)
    assert attempt.progress() == ""
    attempt.stop("unwanted", 0.0)
    assert wait().report.outcome == "interrupted"
    assert os.listdir(bench.root / "jobs") == []
