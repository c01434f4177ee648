"""What the tests of running jobs share: a program that counts as it is told, with checkpoints, and its module."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

from copernicus.testing.system import System, Worker

PROGRAM = """
import os, pathlib, sys, time

folder, state = pathlib.Path(sys.argv[1]), pathlib.Path("state.txt")
begun = count = int(state.read_text()) if state.exists() else 0
print("begins at", begun, flush=True)
while count < 1000:
    while (goal := int((folder / "goal").read_text() or 0)) <= count:
        time.sleep(0.02)
    count += 1
    print("counted", count, flush=True)
    with open("count.log", "a") as log:
        print("logged", count, file=log)
    with open("numbers.txt", "a") as numbers:
        print(count, file=numbers)
    pathlib.Path("new").write_text(str(count))
    os.replace("new", "state.txt")
    if (folder / "end").exists() and count == goal:
        break
print("ends at", count, flush=True)
"""
FUNCTIONS = """
[count]
help = "Counts to the goal that stands in a file."
run = "counting/count"
argv = ["{folder}"]
in = { folder = "string" }
out = { numbers = "file: numbers.txt" }
checkpoint = ["state.txt"]
watch = ["count*.log"]
"""
EXECUTABLES = """
[[executable]]
name = "counting/count"
version = "1"
argv = ["{python}", "{folder}/count.py"]
"""


class Counting:
    """A system with one instance, `c`, whose job counts as far as `count` says; heartbeats are short."""

    def __init__(self, system: System, functions: str = FUNCTIONS, heartbeat_s: float = 6.0) -> None:
        self.system = system
        module = system.home / "modules" / "counting"
        module.mkdir(parents=True, mode=0o700)
        for name, text in (("functions.toml", functions), ("executables.toml", EXECUTABLES), ("count.py", PROGRAM)):
            (module / name).write_text(text)
        self.count(0)
        system.setup(heartbeat_s=heartbeat_s)
        system.start()
        with system.client() as client, client.start_project("first").transaction() as change:
            change.import_module("counting")
            change.instance("counting::count", "c")
            change.set("c:in.folder", str(system.folder))
            change.activate()
        system.cpcc("cd", "first")

    def count(self, goal: int, is_end: bool = False) -> None:
        """Let the program count to `goal`, and end there if that is said."""
        (self.system.folder / "new-goal").write_text(str(goal))
        (self.system.folder / "new-goal").replace(self.system.folder / "goal")
        if is_end:
            (self.system.folder / "end").touch()

    def worker(self, *flags: str) -> Worker:
        """Start a worker and return when it has the job."""
        worker = self.system.worker("-n", "1", *flags)
        self.system.until(lambda: any(row["worker"] in worker.log for row in self.running()), what="the worker has the job")
        return worker

    def running(self) -> Any:
        """The jobs that workers have."""
        return self.system.ask("running")


class Follower:
    """A running `cpcc log -f`."""

    def __init__(self, system: System, *words: str) -> None:
        self._out, self._err = system.folder / "followed", system.folder / "told"
        with self._out.open("wb") as out, self._err.open("wb") as err:
            argv = [system._program("cpcc"), "log", "-f", *words]
            self.process = subprocess.Popen(argv, cwd=system.folder, env=system.environment, stdout=out, stderr=err)

    def end(self) -> int:
        """Return the exit status, once it has ended by itself."""
        try:
            return self.process.wait(120)
        except subprocess.TimeoutExpired as error:
            error.add_note(f"{self.lines}\n{self.told}")
            raise

    @property
    def lines(self) -> list[str]:
        """What it has printed."""
        return self._out.read_text().splitlines()

    @property
    def told(self) -> str:
        """What it has said on stderr."""
        return self._err.read_text()


def of_file(lines: list[str], name: str) -> list[str]:
    """Return the lines below the headings of one file; those before any heading are of stdout."""
    found, current = [], "stdout"
    for line in lines:
        if line.startswith("==> "):
            current = line[4:-4]
        elif line and current == name:
            found.append(line)
    return found


def lines_of(path: Path) -> list[str]:
    """Return the lines of a file."""
    return path.read_text().splitlines()
