"""One attempt at a job, with real processes that behave badly."""

from __future__ import annotations

import dataclasses
import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from tests.integration.slot import PYTHON, SHELL, Bench, a_bench, is_alive, until

from copernicus.blobs.hashing import hash_bytes
from copernicus.model.jobs import JobDescription, LeasedJob, Output, Resources, Rule, StagedFile
from copernicus.model.values import FileRef
from copernicus.plugin.executables import Executable
from copernicus.plugin.registry import Found
from copernicus.worker import memory, workload
from copernicus.worker.workload import Attempt


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with a_bench(tmp_path) as bench:
        yield bench


# --- how it ends ---


def test_exit_status_output_and_tails(bench: Bench) -> None:
    outputs = {
        "number": Output("number", r"E = (\S+)"),
        "infinite": Output("number", r"x = (\S+)", "stderr"),
        "whole": Output("number", r"n = (\S+)"),
        "zero": Output("number", r"z = (\S+)"),
        "text": Output("text", source="note"),
        "record": Output("json", "r.json"),
        "parts": Output("files", "part*.dat"),
        "last": Output("file", "part*.dat"),
        "kept": Output("value", value=[1, 2]),
        "maybe": Output("file", "*.none", is_optional=True),
    }
    script = """echo E = -1.5e3; echo n = 9007199254740993; echo z = -0; echo x = inf >&2
             echo hello > note; echo '{"a": NaN, "b": [1]}' > r.json
             for n in 1 2 10; do echo $n > part$n.dat; done"""
    ended = bench.run(script, outputs=outputs)
    assert ended.report.outcome == "finished", ended.report
    values = ended.report.outputs
    assert (values["number"], values["infinite"], values["text"]) == (-1500.0, "inf", "hello")
    assert values["whole"] == 9007199254740993, "a whole number keeps all its digits"
    assert (values["zero"], str(values["zero"])) == (0, "-0.0")
    assert values["record"] == {"a": "nan", "b": [1]}
    assert [part["name"] for part in values["parts"]] == ["part1.dat", "part2.dat", "part10.dat"]
    assert values["last"] == values["parts"][2]
    assert ended.parcel.inline[values["last"]["blob"]] == b"10\n"
    assert values["kept"] == [1, 2]
    assert "maybe" not in values
    assert ended.report.stdout_tail.startswith("E = -1.5e3\n")


def test_what_was_run_is_told_so_that_it_can_be_run_again(bench: Bench) -> None:
    script = bench.root / "program.sh"
    script.write_text("cat in.txt > out.txt\n")
    own = {**bench.tools.environment, "GMX_MAXBACKUP": "-1", "TERM": "dumb"}
    bench.tools = dataclasses.replace(bench.tools, environment=own)
    program = Found(Executable("copy", ("sh", str(script)), environment={"MODE": "fast"}), "1", "test")
    bench.blobs[hash_bytes(b"12345")] = b"12345"
    staged = (StagedFile("in.txt", FileRef(hash_bytes(b"12345"), 5)),)
    report = bench.run("", program, files=staged, outputs={"out": Output("file", "out.txt")}).report
    assert report.outcome == "finished", report
    execution = report.execution
    assert execution.program == (shutil.which("sh"), str(script))
    assert execution.program_hash == hash_bytes(script.read_bytes()), "the script is what may change, not the interpreter"
    assert execution.environment == {"MODE": "fast", "GMX_MAXBACKUP": "-1"}
    assert (execution.bytes_in, execution.bytes_out) == (5, 5)
    script.write_text("cat in.txt > out.txt; exit 1\n")
    assert bench.run("", program, files=staged).report.execution.program_hash == hash_bytes(script.read_bytes())


def test_a_finished_job_of_some_length_leaves_what_a_longer_one_goes_on_from(bench: Bench) -> None:
    script = "echo state > s.cpt; echo frames > a.xtc; echo end > end.gro; echo $0"
    more = {"outputs": {"xtc": Output("file", "*.xtc"), "conf": Output("file", "end.gro")}, "done_when": "end.gro"}
    ended = bench.run(script, checkpoint_files=("s.cpt",), until=("7",), **more)
    assert (ended.report.outcome, ended.report.stdout_tail) == ("finished", "7"), ended.report
    assert [staged.name for staged in ended.report.checkpoint] == ["s.cpt", "a.xtc"], "it is not to seem finished already"
    assert all(staged.file.blob in ended.parcel.inline for staged in ended.report.checkpoint)
    assert bench.run(script, checkpoint_files=("s.cpt",), **more).report.checkpoint == ()


def test_large_files_serve_several_outputs_and_the_checkpoint_as_well(bench: Bench) -> None:
    """They are taken out of the work folder, not copied."""
    script = "mkdir d; for f in s.cpt a2.xtc a10.xtc d/b.xtc end.gro; do head -c 100000 /dev/zero > $f; echo $f >> $f; done"
    outputs = {
        "last": Output("file", "*.xtc"), "all": Output("files", "*.xtc\nd/*.xtc"), "conf": Output("file", "end*"),
        "other": Output("files", "?10.xtc\nend.gro"), "state": Output("file", "s.cpt"), "none": Output("file", "*.none"),
    }  # fmt: skip
    ended = bench.run(script, checkpoint_files=("s.*",), until=("7",), outputs=outputs | {"none": Output("text")},
                      done_when="end.gro")  # fmt: skip
    found = ended.report.outputs
    assert ended.report.outcome == "finished", ended.report
    assert [file["name"] for file in found["all"]] == ["a2.xtc", "a10.xtc", "b.xtc"]
    assert found["other"] == [found["last"], found["conf"]]
    assert [staged.name for staged in ended.report.checkpoint] == ["s.cpt", "a2.xtc", "a10.xtc", "d/b.xtc"]
    assert len(ended.parcel.large) == 5
    failed = bench.run(script, checkpoint_files=("s.*",), outputs=outputs).report
    assert failed.outcome == "failed"
    assert {"s.cpt", "a2.xtc", "a10.xtc"} <= {staged.name for staged in failed.checkpoint}


def test_failures_say_what_happened(bench: Bench) -> None:
    failed = bench.run("echo Fatal error: no atoms >&2; exit 2").report
    assert (failed.outcome, failed.exit_status, failed.stderr_tail) == ("failed", 2, "Fatal error: no atoms")
    killed = bench.run("kill -9 $$").report
    assert (killed.outcome, killed.exit_status) == ("failed", -9)
    assert "SIGKILL" in killed.error
    missing = bench.run("true", outputs={"traj": Output("file", "*.xtc")}).report
    assert missing.outcome == "failed"
    assert "traj" in missing.error
    assert "'*.xtc'" in missing.error
    assert "no sh" not in missing.error
    two = {"left": Output("files", "*.xtc\n*.log")}
    found = bench.run("echo > b.log; echo > a.log; echo > z.xtc", outputs=two).report
    assert [file["name"] for file in found.outputs["left"]] == ["z.xtc", "a.log", "b.log"]
    half = bench.run("echo > a.log", outputs=two).report
    assert half.outcome == "failed"
    assert "there is no file '*.xtc'" in half.error
    unknown = bench.run("", program=None).report
    assert (unknown.outcome, unknown.error) == ("failed", "other was not started: this worker has no other.")
    broken = Found(Executable("gone", ("/nowhere/gone",)), "1", "test")
    assert "No such file" in bench.run("", program=broken).report.error
    forbidden = bench.run("true", environment={"LD_PRELOAD": "x.so"}).report
    assert "LD_PRELOAD" in forbidden.error


def test_rules_and_done_when(bench: Bench) -> None:
    rules = (Rule("fewer_cores", stderr="decomposition"), Rule("finish", exit_status=5), Rule("retry", file="again"))
    fewer = bench.run("echo domain decomposition >&2; exit 1", rules=rules, cores=2).report
    assert (fewer.outcome, fewer.cores_max) == ("retry", 1)
    assert bench.run("exit 5", rules=rules).report.outcome == "finished"
    assert bench.run("touch again; exit 1", rules=rules).report.outcome == "retry"
    assert bench.run("exit 1", rules=rules).report.outcome == "failed"
    undone = bench.run("true", done_when="confout*.gro").report
    assert (undone.outcome, "confout*.gro" in undone.error) == ("failed", True)


def test_a_checkpoint_comes_back_into_the_next_attempt(bench: Bench) -> None:
    more = {"done_when": "done", "outputs": {"edr": Output("files", "part*.edr")}}
    description = JobDescription(
        "sh",
        ("n=$(cat state.cpt || echo 0); n=$((n+1)); echo $n > state.cpt; echo $n > part$n.edr; [ $n -lt 2 ] || touch done",),
        checkpoint=("state.cpt",),
        **more,
    )  # type: ignore[arg-type]
    first = Attempt(LeasedJob(7, 1, "p", "run", description, 1), SHELL, 1, bench.tools).run(bench.work)
    assert first.report.outcome == "retry", first.report
    assert [staged.name for staged in first.report.checkpoint] == ["state.cpt", "part1.edr"]
    bench.blobs |= first.parcel.inline
    second = Attempt(LeasedJob(7, 2, "p", "run", description, 1, first.report.checkpoint), SHELL, 1, bench.tools).run(
        bench.work
    )
    assert second.report.outcome == "finished", second.report
    assert [part["name"] for part in second.report.outputs["edr"]] == ["part1.edr", "part2.edr"]


# --- stopping and limits ---


def test_a_program_that_ignores_sigterm_is_killed(bench: Bench, tmp_path: Path) -> None:
    attempt = bench.attempt(f"trap '' TERM; echo $$ > {tmp_path}/pid; while :; do sleep 0.05; done")
    wait = bench.begin(attempt)
    until((tmp_path / "pid").exists)
    attempt.stop("unwanted")
    clock = [0.0]

    def later() -> bool:
        clock[0] += 1
        attempt.check(10**9)
        return not is_alive(tmp_path / "pid")

    until(lambda: (tmp_path / "pid").read_text() and later())
    report = wait().report
    assert (report.outcome, report.exit_status) == ("interrupted", -9)


def test_wall_time_counts_only_without_progress(bench: Bench, tmp_path: Path) -> None:
    for script, outcome in (("sleep 1000", "retry"), ("echo 1 > a.cpt; sleep 1000", "interrupted")):
        description = JobDescription("sh", (f"{script}",), resources=Resources(wall_time_s=5), checkpoint=("*.cpt",))
        attempt = Attempt(LeasedJob(7, 1, "p", "run", description, 1), SHELL, 1, bench.tools)
        wait = bench.begin(attempt)
        until(lambda attempt=attempt: attempt._process is not None)
        if "cpt" in script:
            until(lambda attempt=attempt: attempt.live.path is not None and any(attempt.live.path.glob("*.cpt")))
        attempt.check(attempt.started_at + 4)
        assert attempt._reason is None
        attempt.check(attempt.started_at + 6)
        report = wait().report
        assert (report.outcome, report.is_overtime) == (outcome, outcome == "retry"), report
        assert "wall time" in report.error


def test_endless_output_is_bounded(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workload, "STREAM_LIMIT_BYTES", 1024 * 1024)
    attempt = bench.attempt("exec yes")
    wait = bench.begin(attempt)
    until(lambda: attempt.check(attempt.started_at) or attempt._reason is not None)
    attempt.check(10**9)
    report = wait().report
    assert report.outcome == "failed"
    assert "printed more than" in report.error
    assert len(report.stdout_tail) <= 16 * 1024
    assert len(report.stdout_tail.splitlines()) == 50


def test_out_of_memory_ends_the_job_only(bench: Bench) -> None:
    report = bench.run("x = bytearray(2 * 1024**3)", PYTHON, resources=Resources(memory_bytes=256 * 1024**2)).report
    assert report.outcome == "failed"
    assert "MemoryError" in report.stderr_tail
    assert "It was refused memory, it seems: the job asks for 0.268 GB." in report.error


FILL = """if True:
    import os, time
    x = bytearray(os.urandom(1024)) * (50 * 1024)
    time.sleep(1000)"""


def test_a_job_that_uses_too_much_memory_in_all_is_ended_with_all_its_processes(bench: Bench, tmp_path: Path) -> None:
    """Each process is within the limit; together they are not, orphans included."""
    script = f"""
    (setsid {sys.executable} -c '{FILL}' & echo $! > {tmp_path}/orphan) &
    {sys.executable} -c '{FILL}' & echo $! > {tmp_path}/child
    wait"""
    attempt = bench.attempt(script, resources=Resources(memory_bytes=110_000_000))
    wait = bench.begin(attempt)
    until(lambda: attempt.check(attempt.started_at) or attempt._reason is not None)
    report = wait().report
    assert (report.outcome, report.exit_status) == ("failed", -9)
    assert re.search(r"it used 0.1[12]\d? GB of memory, 0.11 GB were asked for", report.error), report.error
    assert not is_alive(tmp_path / "orphan")
    assert not is_alive(tmp_path / "child")
    assert bench.run("echo on").report.outcome == "finished"


def test_memory_that_processes_share_counts_once_and_files_that_they_map_do_not(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(b"x" * 100_000_000)
    script = f"""if True:
        import mmap, os, time
        shared = bytearray(os.urandom(1024)) * (50 * 1024)
        mapped = mmap.mmap(os.open("{tmp_path}/large", os.O_RDONLY), 0, prot=mmap.PROT_READ)
        total = sum(mapped[at] for at in range(0, len(mapped), 4096))
        for _ in range(3):
            if os.fork() == 0:
                break
        else:
            open("{tmp_path}/ready", "w").close()
        time.sleep(1000)"""
    attempt = bench.attempt(script, PYTHON, resources=Resources(memory_bytes=110_000_000))
    wait = bench.begin(attempt)
    until((tmp_path / "ready").exists)
    process = attempt._process
    assert process is not None
    used = bench.platform.used_bytes(process.pid, attempt._tag, 110_000_000)
    simple = bench.platform.used_bytes(process.pid, attempt._tag, 10**12)
    assert 50_000_000 < used < 100_000_000 < 200_000_000 < simple
    attempt.check(attempt.started_at)
    assert attempt._reason is None
    attempt.stop("unwanted", 0.0)
    attempt.check(10**9)
    assert wait().report.outcome == "interrupted"


def test_when_memory_is_short_jobs_go_before_the_worker(bench: Bench) -> None:
    own = int(Path("/proc/self/oom_score_adj").read_text())
    script = f"for n in $(seq 1000); do grep -qx {own} /proc/self/oom_score_adj || break; sleep 0.01; done"
    report = bench.run(f"{script}; cat /proc/self/oom_score_adj").report
    assert int(report.stdout_tail) == min(1000, own + memory.OOM_SCORE)


def test_a_wall_time_that_is_over_is_told_apart_from_a_failure(bench: Bench) -> None:
    rules = (Rule("fail", attempts=2),)
    for failures, outcome in ((0, "retry"), (1, "failed"), (None, "failed")):
        description = JobDescription("sh", ("exit 1",), rules=rules)
        lease = LeasedJob(7, 9, "p", "run", description, 1, failures=failures)
        report = Attempt(lease, SHELL, 1, bench.tools).run(bench.work).report
        assert (report.outcome, report.is_overtime) == (outcome, False)


# --- what is left behind ---


def test_daemons_and_background_processes_are_ended(bench: Bench, tmp_path: Path) -> None:
    script = f"""
    (sleep 1000 & echo $! > {tmp_path}/background)
    (setsid sh -c 'sleep 1000 & echo $! > {tmp_path}/daemon; sleep 1000' &)
    while [ ! -s {tmp_path}/daemon ] || [ ! -s {tmp_path}/background ]; do sleep 0.01; done"""
    assert bench.run(script).report.outcome == "finished"
    assert not is_alive(tmp_path / "background")
    assert not is_alive(tmp_path / "daemon")
    me = psutil.Process()
    assert [child for child in me.children(recursive=True) if child.status() == psutil.STATUS_ZOMBIE] == []


def test_the_folder_is_used_again_only_when_nothing_is_in_it(bench: Bench) -> None:
    bench.run("echo one")
    bench.run("echo two; pwd")
    assert bench.folders[0] == bench.folders[1]
    bench.run("touch trace")
    assert bench.run("cat stdout; ls").report.stdout_tail == "stderr\nstdout"
    bench.run("rm stdout; ln -s /etc/passwd stdout")
    assert bench.run("true").report.outcome == "finished"
    bench.run("mkdir -p a/b; chmod 000 a")
    assert len(set(bench.folders)) == 3  # new after the trace, and after the link
    assert [folder for folder in bench.folders if folder.exists()] == []


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        ("ln -s /etc/passwd out", "a symbolic link"),
        ("mkfifo out", "a FIFO"),
        ("mkdir out", "a folder"),
        ("ln -s /etc d; mv d out", "a symbolic link"),
    ],
)
def test_only_regular_files_are_collected(bench: Bench, make: str, kind: str) -> None:
    report = bench.run(make, outputs={"out": Output("file", "out")}).report
    assert report.outcome == "failed"
    assert f"out is {kind}" in report.error


def test_nothing_outside_of_the_folder_is_collected(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    through_link = bench.run(f"ln -s {tmp_path} d", outputs={"out": Output("file", "d/secret")}).report
    assert through_link.outcome == "failed"
    for pattern in ("../../secret", "/etc/passwd", "a//b"):
        report = bench.run("true", outputs={"out": Output("file", pattern)}).report
        assert (report.outcome, "inside the work folder" in report.error) == ("failed", True), report
    assert bench.run("true", outputs={"out": Output("text", source="/etc/passwd")}).report.outcome == "failed"
    staged = bench.run("true", files=(StagedFile("../x", FileRef(hash_bytes(b""), 0)),)).report
    assert "inside the work folder" in staged.error


def test_files_are_staged_checked_and_cannot_be_changed_for_others(bench: Bench) -> None:
    large, small = b"large" * 1000, b"small"
    bench.blobs[hash_bytes(large)] = large
    bench.tools.shelf.remember(hash_bytes(small), small)
    files = (
        StagedFile("sub/large", FileRef(hash_bytes(large), len(large))),
        StagedFile("small", FileRef(hash_bytes(small), 5)),
    )
    script = "wc -c < sub/large; cat small; echo tampered >> sub/large; echo tampered >> small"
    for _ in range(2):
        assert bench.run(script, files=files).report.stdout_tail == "5000\nsmall"
    bench.blobs[hash_bytes(b"other")] = b"wrong"
    wrong = bench.run("true", files=(StagedFile("x", FileRef(hash_bytes(b"other"), 5)),)).report
    assert wrong.outcome == "retry"
    assert "wrong content" in wrong.error


def test_large_outputs_are_moved_aside_and_pinned(bench: Bench) -> None:
    ended = bench.run(
        "head -c 100000 /dev/zero > out; cp out copy", outputs={"a": Output("file", "out"), "b": Output("files", "*")}
    )
    assert ended.report.outcome == "finished"
    assert {file.name for file in ended.parcel.large} == {"out", "copy"}
    assert bench.tools.shelf.blobs.size(ended.report.outputs["a"]["blob"]) == 100_000


# --- environment and cores ---


def test_environment_and_cores(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    script = """if True:
        import os
        own, threads, seed = (os.environ.get(name) for name in ("AWS_SECRET_ACCESS_KEY", "OMP_NUM_THREADS", "SEED"))
        print(own, threads, seed, len(os.sched_getaffinity(0)), os.getsid(0) == os.getpid())"""
    for cores in (1, 2):
        cpus = min(cores, os.cpu_count() or 1)
        report = bench.run(script, PYTHON, cores=cores, environment={"SEED": "5"}).report
        assert report.stdout_tail == f"None {cores} 5 {cpus} True", report


def test_a_thread_without_a_folder_of_its_own_starts_programs_all_the_same(bench: Bench) -> None:
    where = Path.cwd()
    ended = bench.attempt("pwd; echo $OMP_NUM_THREADS; echo e >&2").run(bench.work)  # in the main thread
    assert ended.report.stdout_tail == f"{bench.work.path}\n1"
    assert ended.report.stderr_tail == "e"
    assert (
        "No such file" in bench.attempt("", Found(Executable("gone", ("/nowhere",)), "1", "test")).run(bench.work).report.error
    )
    assert bench.run("pwd").report.stdout_tail == str(bench.work.path)
    assert Path.cwd() == where  # whatever folder the other threads are in
