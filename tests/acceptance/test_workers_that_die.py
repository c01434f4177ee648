"""Jobs that kill their workers, and a node that kills its jobs: who is at fault is found, and nobody else pays for it."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from copernicus.testing.system import System, Worker
from copernicus.wire import messages as m

# It kills its worker (SIGKILL) when its number is among the poisoned ones, or the worker's node among the bad ones.
PROGRAM = """#!{python}
import os, pathlib, signal, sys, time

folder = pathlib.Path("{folder}")

def words(name):
    return (folder / name).read_text().split()

def worker():
    pid = os.getppid()
    while b"cpc-worker" not in pathlib.Path(f"/proc/{{pid}}/cmdline").read_bytes():
        pid = int(pathlib.Path(f"/proc/{{pid}}/stat").read_text().rpartition(")")[2].split()[1])
    return pid

environment = pathlib.Path(f"/proc/{{worker()}}/environ").read_text().split("\\0")
node = dict(line.partition("=")[::2] for line in environment)["CPC_NODE"]
if sys.argv[1] in words("poisoned") or node in words("bad"):
    os.kill(worker(), signal.SIGKILL)
    time.sleep(600)
print("did", sys.argv[1], "on", node)
"""


class Cluster:
    """Nodes with a worker each, which is started again whenever it has died, as a scheduler would."""

    def __init__(self, system: System, nodes: tuple[str, ...], poisoned: list[int], bad: str = "") -> None:
        self.system, self.nodes, self.deaths = system, nodes, 0
        programs = system.folder / "programs"
        programs.mkdir()
        (programs / "poisoned").write_text(" ".join(map(str, poisoned)))
        (programs / "bad").write_text(bad)
        program = programs / "dose"
        program.write_text(PROGRAM.format(python=sys.executable, folder=programs))
        program.chmod(0o755)
        self._path = f"{programs}{os.pathsep}{system.environment['PATH']}"
        self._workers: dict[str, Worker] = {}
        self._over = threading.Event()

    @contextmanager
    def up(self) -> Iterator[None]:
        """Keep the workers up as long as the block lasts."""
        for node in self.nodes:
            self._start(node)
        supervisor = threading.Thread(target=self._supervise, daemon=True)
        supervisor.start()
        try:
            yield
        finally:
            self._over.set()
            supervisor.join()

    def _supervise(self) -> None:
        while not self._over.wait(0.05):
            for node, worker in list(self._workers.items()):
                if worker.process.poll() is not None:
                    self.deaths += 1
                    self._start(node)

    def _start(self, node: str) -> None:
        environment = {"PATH": self._path, "CPC_NODE": node}
        self._workers[node] = self.system.worker("-n", "2", "--allow", "dose", environment=environment)


def run(system: System, name: str, *sweep: str, deadline_s: float = 600.0) -> list[m.JobRow]:
    """Run the program for each number; return the jobs, in the order of the numbers, when all have ended."""
    count = system.ask("run", "--name", name, *sweep, "--", "dose", "{i}" if "--n" in sweep else "{d}")["jobs"]
    with system.client() as client:
        project = client.project("first")

        def ended() -> list[m.JobRow]:
            jobs = list(project.jobs(name))
            return jobs if len(jobs) == count and all(job.state in ("done", "failed") for job in jobs) else []

        jobs = system.until(ended, deadline_s, what=f"all jobs of {name} have ended")
    return sorted(jobs, key=lambda job: int(job.path.rpartition("_")[2]))


def attempts(system: System, job: m.JobRow) -> list[tuple[str, str]]:
    """Host and outcome of each attempt."""
    with system.client() as client:
        titles = [entry.title for entry in client.project("first").log(job.job)]
    return [(title.split(" on ")[1].split(" ")[0], title.split(" ended: ")[1]) for title in titles if " ended: " in title]


def nodes_of(system: System, jobs: list[m.JobRow]) -> set[str]:
    """The nodes on which the last attempts at these jobs ran."""
    return {attempts(system, job)[-1][0] for job in jobs}


def test_ten_poisoned_jobs_among_a_hundred_end_failed_and_cost_no_worker(system: System) -> None:
    poisoned = list(range(3, 100, 10))
    cluster = Cluster(system, ("n1", "n2", "n3", "n4"), poisoned)
    system.setup(heartbeat_s=3)
    system.start()
    system.cpcc("start", "first")
    with cluster.up():
        jobs = run(system, "doses", "--n", "100")
        failed = [number for number, job in enumerate(jobs) if job.state == "failed"]
        assert failed == poisoned, "exactly the poisoned ones"
        assert cluster.deaths >= len(poisoned)
        for number in failed:
            ends = attempts(system, jobs[number])
            assert [outcome for _, outcome in ends] == ["worker lost"] * 3
            assert len({node for node, _ in ends}) == 3, "each time on another node"
        why = system.cpcc("why", str(jobs[failed[0]].job)).stdout
        assert "3 workers were lost while they ran this job" in why
        assert why.count("suspicion") == 3
        assert system.ask("quarantine", "list") == [], "no node is blamed for what the jobs did"
        assert nodes_of(system, run(system, "more", "--sweep", "d=1000:1040:1")) == set(cluster.nodes)


def test_a_node_that_kills_its_jobs_is_put_in_quarantine_and_no_job_fails(system: System, tmp_path: Path) -> None:
    cluster = Cluster(system, ("n1", "n2", "bad"), [], bad="bad")
    system.setup(heartbeat_s=3)
    system.start()
    system.cpcc("start", "first")
    with cluster.up():
        tries = 0
        while not (quarantine := system.ask("quarantine", "list")) and tries < 20:
            tries += 1
            jobs = run(system, f"doses_{tries}", "--n", "12")
            assert {job.state for job in jobs} == {"done"}
        assert [row["host"] for row in quarantine] == ["bad"]
        jobs = run(system, "after", "--n", "40")
        assert all(job.attempt == 1 for job in jobs), "it gets none of them"
        assert nodes_of(system, jobs) == {"n1", "n2"}
        (row,) = [row for row in system.ask("workers") if row["offer"]["hostname"] == "bad" and not row["is_lost"]]
        assert row["quarantine"] == quarantine[0]["why"]
        system.kill_server()
        system.start()
        system.until(lambda: system.workers_known() == 3, what="the workers have come back")
        assert [row["host"] for row in system.ask("quarantine", "list")] == ["bad"]
        (tmp_path / "programs" / "bad").write_text("")  # it is mended
        assert "get jobs again" in system.cpcc("quarantine", "release", "bad").stdout
        assert "bad" in nodes_of(system, run(system, "mended", "--n", "60"))
