"""Jobs in containers: `env` in the place of an engine whose programs are the worker's own, a daemon in that of Docker."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.slot import Bench, a_bench, is_alive, until

from copernicus.plugin.containers import Berth, Container, filled
from copernicus.plugin.executables import Executable
from copernicus.plugin.registry import Found

# Like Docker: a daemon, of which no job knows, runs what its client is asked to run; the client only waits.
DAEMON = """if True:
    import os, subprocess, sys
    wire, running = sys.argv[1], {}
    while True:
        with open(wire) as line:
            verb, name, folder, command = line.read().split(" ", 3)
        if verb == "run":
            running[name] = subprocess.Popen(["sh", "-c", command], cwd=folder, start_new_session=True)
            with open(f"{wire}.{name}", "w") as pid:
                pid.write(str(running[name].pid))
        else:
            running[name].kill()
            running[name].wait()"""


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with a_bench(tmp_path) as bench:
        yield bench


# Takes `--env NAME=VALUE` as engines do.
ENGINE = 'while [ "$1" = --env ]; do export "$2"; shift 2; done; exec "$@"'


def test_a_job_is_started_behind_its_container(bench: Bench) -> None:
    clean = ("env", "-i", "-C", "{work}", "NAME={name}", "N={cores}", "USER={user}", "GPUS=[{gpus}]")
    container = Container((*clean, "sh", "-c", ENGINE, "engine", "{environment...}"))
    program = Found(Executable("boxed", ("sh", "-c"), environment={"MODE": "fast"}, container=container), "1", "test")
    report = bench.run(
        'echo "$NAME $N $USER $GPUS $MODE $SEED $OMP_NUM_THREADS"; pwd', program, cores=2, environment={"SEED": "5"}
    ).report
    assert report.outcome == "finished", report
    who = f"{os.getuid()}:{os.getgid()}"
    assert report.stdout_tail == f"cpc-tester-7.1 2 {who} [] fast 5 2\n{bench.work.path}"
    assert report.execution.program[1:4] == ("-i", "-C", "{work}"), "what is recorded can be run again elsewhere"


def test_a_container_that_is_not_the_worker_s_own_process_is_ended_too(bench: Bench, tmp_path: Path) -> None:
    wire = tmp_path / "wire"
    os.mkfifo(wire)
    daemon = subprocess.Popen([sys.executable, "-c", DAEMON, str(wire)])
    try:
        client = ("sh", "-c", f'echo "run $0 $1 $3" > {wire}; while :; do sleep 0.05; done', "{name}", "{work}")
        container = Container(client, end=("sh", "-c", f'echo "rm $0 - -" > {wire}', "{name}"))
        program = Found(Executable("boxed", ("tool",), container=container), "1", "test")
        attempt = bench.attempt("exec sleep 1000", program)
        wait = bench.begin(attempt)
        pid = Path(f"{wire}.cpc-tester-7.1")
        until(lambda: pid.exists() and pid.read_text() and is_alive(pid))
        attempt.stop("unwanted", 0.0)
        assert wait().report.outcome == "interrupted"
        until(lambda: not is_alive(pid))
    finally:
        daemon.kill()
        daemon.wait()


def test_only_whole_words_are_filled_and_once() -> None:
    berth = Berth("/w{cores}", "n", 4, "GPU-1", {"A": "b c"})
    assert filled(("{work}:{cores}", "{environment...}", "{other}"), berth) == ("/w{cores}:4", "--env", "A=b c", "{other}")
