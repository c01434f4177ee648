"""P13: what was done can be done again: on the workers, to compare; anywhere, from one folder; and a changed byte is found."""

from __future__ import annotations

import os
import subprocess

import pytest

from copernicus.blobs.folder import BlobFolder
from copernicus.blobs.hashing import hash_bytes
from copernicus.testing.system import System

PROGRAM = '''#!/usr/bin/env python3
"""Counts letters and measures something that is never quite the same."""
import json, os, random, sys

text = open(sys.argv[1]).read()
counts = {letter: text.count(letter) for letter in sorted(set(text) - {chr(10)})}
open("counts.txt", "w").write("".join(f"{letter} {count}\\n" for letter, count in counts.items()))
noise = random.gauss(0, 1)
json.dump({"value": 10 + 0.01 * noise, "error": 0.1}, open("measured.json", "w"))
open("energy.txt", "w").write(f"energy: {-1.5 + 1e-9 * noise:.15f} kJ\\n")
open("clock.txt", "w").write(f"first line\\n{noise if len(sys.argv) > 2 else 0}\\n")
print(os.environ["GREETING"])
'''
FUNCTIONS = '''"""Counting letters."""

from __future__ import annotations

from dataclasses import dataclass

from copernicus.plugin.functions import Call, File, Job, Module, file, json_of, text

module = Module("letters", "Counting letters")


@dataclass(frozen=True)
class Measured:
    value: float
    error: float


@dataclass(frozen=True)
class Counts:
    counts: File
    measured: Measured
    energy: File
    clock: File
    greeting: str


@dataclass
class Made:
    total: int = 0


@dataclass
class Memory:
    calls: int = 0


@module.command
def count(text_file: File, mode: str = "") -> Job[Counts]:
    """Counts the letters of a file."""
    return Job(
        "letters/count",
        [text_file, *([mode] if mode else [])],
        Counts(
            file("counts.txt"), json_of("measured.json", Measured), file("energy.txt"), file("clock.txt"), text("stdout")
        ),
        environment={"GREETING": "hello 'you' $HOME"},
        tolerances={"energy": 1e-6},
        seed=7,
    )


@module.controller
def twice(call: Call[Made, Memory], *, text_file: File) -> None:
    """Counts twice."""
    for index in range(2):
        call.start(f"count_{index}", count, text_file=text_file)
'''


@pytest.fixture
def counted(system: System) -> System:
    """A project in which the letters of a file have been counted."""
    program = system.folder / "count"
    program.write_text(PROGRAM)
    program.chmod(0o755)
    module = system.home / "modules" / "letters"
    module.mkdir(parents=True)
    (module / "functions.py").write_text(FUNCTIONS)
    (module / "executables.toml").write_text(f'[[executable]]\nname = "letters/count"\nargv = ["{program}"]\nversion = "1.0"\n')
    (system.folder / "words.txt").write_text("to be or not to be\n")
    system.setup()
    system.start()
    system.worker("-n", "1")
    for line in (
        ["start", "first"],
        ["instance", "letters::count", "c"],
        ["setf", "c:in.text_file", "words.txt"],
        ["instance", "math::add", "sum"],
        ["set", "sum:in.a", "0.1"],
        ["set", "sum:in.b", "0.2"],
        ["instance", "letters::twice", "t"],
        ["activate", "c"],
        ["activate", "sum"],
        ["instance", "math::double", "d"],
        ["set", "d:in.integer_inputs", "21"],
        ["activate", "d"],
    ):
        system.cpcc(*line)
    system.until(lambda: system.ask("get", "c:out.counts"), what="the letters are counted")
    system.until(lambda: system.ask("get", "d:out.integer_outputs") == 42)
    return system


def job_of(system: System, path: str) -> int:
    return int(system.ask("ls", path)["instances"][0]["job"])


def test_a_job_is_run_again_and_compared(counted: System) -> None:
    system = counted
    before = system.ask("status")["seq"], system.ask("get", "c:out")
    first = job_of(system, "c")
    done = system.cpcc("reproduce", "c")
    lines = done.stdout.splitlines()
    assert lines[0] == f"job {first} of c: within error"
    assert "  counts: identical" in lines
    assert "  measured: within error" in lines
    assert "  energy: within error" in lines
    assert "  clock: identical" in lines
    assert "  greeting: identical" in lines
    then, now = (next(line for line in lines if line.startswith(word)) for word in ("then: ", "now: "))
    assert "version 1.0, program " in then
    assert then.split("program ")[1][:16] == now.split("program ")[1][:16]
    assert (system.ask("status")["seq"], system.ask("get", "c:out")) == before, "nothing of it is part of the project"
    assert job_of(system, "c") == first

    # By its number, in JSON, and looked at later.
    begun = system.ask("reproduce", str(first), "--no-wait")
    assert begun["state"] in ("waiting", "running")
    found = system.until(
        lambda: (one := system.ask("reproduce", str(begun["job"])))["state"] == "done" and one, what="it has been run again"
    )  # fmt: skip
    assert found["verdict"] == "within error"
    assert found["reproduces"] == first

    # The project goes on as if nothing had been: undone and done again, the job of before stands.
    system.cpcc("set", "c:in.mode", "x")
    system.until(lambda: job_of(system, "c") != first and system.ask("ls", "c")["instances"][0]["state"] == "idle")
    differs = system.cpcc("reproduce", "c", is_checked=False)
    assert differs.returncode == 1
    assert "c: differs" in differs.stdout
    assert "  clock: differs (clock: line 2 is '" in differs.stdout
    system.cpcc("unset", "c:in.mode")
    system.until(lambda: job_of(system, "c") == first, what="the first result stands again")


def test_what_does_no_job_is_evaluated_or_says_what_is_inside(counted: System) -> None:
    system = counted
    assert system.cpcc("reproduce", "sum").stdout == "sum: identical\n  c: identical\n"
    system.cpcc("setf", "t:in.text_file", "words.txt")
    system.cpcc("activate", "t")
    system.until(lambda: system.ask("ls", "t:count_1")["instances"][0]["state"] == "idle", what="both children have ended")
    refused = system.cpcc("reproduce", "t", is_checked=False)
    assert refused.returncode == 1
    assert "Reproduce what is inside: t:count_0, t:count_1." in refused.stderr
    assert "within error" in system.cpcc("reproduce", "t:count_1").stdout


def test_one_changed_input_byte_is_found(counted: System) -> None:
    system = counted
    path = BlobFolder(system.projects / "blobs").path(hash_bytes(b"to be or not to be\n"))
    path.chmod(0o600)
    data = bytearray(path.read_bytes())
    data[3] ^= 1
    path.write_bytes(bytes(data))
    refused = system.cpcc("reproduce", "c", is_checked=False)
    assert refused.returncode == 1
    assert "text_file.txt of job" in refused.stderr
    assert "is not what it was" in refused.stderr
    refused = system.cpcc("fetch", str(job_of(system, "c")), "there", is_checked=False)
    assert refused.returncode == 1


def test_fetched_into_a_folder_it_runs_without_a_server(counted: System) -> None:
    system = counted
    job = str(job_of(system, "c"))
    written = system.cpcc("fetch", job, "there").stdout.splitlines()
    assert written == ["there/text_file.txt", "there/run.sh"]
    script = (system.folder / "there" / "run.sh").read_text()
    assert f"# Job {job} of c, project first" in script
    assert "# Executable: letters/count" in script
    assert "# Output counts: the last file counts.txt" in script
    assert "# Random seed: 7" in script
    system.stop()
    alone = {"PATH": os.environ["PATH"]}
    done = subprocess.run(["./there/run.sh"], cwd=system.folder, env=alone, capture_output=True, text=True, check=True)
    assert done.stdout == "hello 'you' $HOME\n"
    assert (system.folder / "there" / "counts.txt").read_text() == "  5\nb 2\ne 2\nn 1\no 4\nr 1\nt 3\n"
    (system.folder / "count").rename(system.folder / "moved")
    lost = subprocess.run(["./there/run.sh"], cwd=system.folder, env=alone, capture_output=True, text=True, check=False)
    assert lost.returncode == 127
    assert "PROGRAM=" in lost.stderr
    elsewhere = alone | {"PROGRAM": str(system.folder / "moved")}
    subprocess.run(["./there/run.sh"], cwd=system.folder, env=elsewhere, capture_output=True, check=True)


def test_a_project_is_reproduced_on_another_server(counted: System, tmp_path_factory: pytest.TempPathFactory) -> None:
    system = counted
    system.cpcc("save", "first")
    with System(tmp_path_factory.mktemp("other")) as other:
        module = other.home / "modules" / "letters"
        module.mkdir(parents=True)
        for name in ("functions.py", "executables.toml"):
            (module / name).write_text((system.home / "modules" / "letters" / name).read_text())
        other.setup()
        other.start()
        other.worker("-n", "1")
        (system.folder / "first.tar.gz").rename(other.folder / "first.tar.gz")
        loaded = other.cpcc("load", "first.tar.gz", "first").stdout
        assert "Loaded project first of root@" in loaded
        assert other.ask("get", "c:out.counts") == system.ask("get", "c:out.counts")
        assert set(other.ask("status")["states"]) == {"held"}
        done = other.cpcc("reproduce", "c").stdout
        assert "  counts: identical" in done
        other.cpcc("activate")
        other.until(lambda: other.ask("ls", "c")["instances"][0]["state"] == "idle")
        jobs = other.ask("status")["jobs"]
        assert jobs == {"done": 3}, "those that came along, and the one that was run again; nothing else"
        again = other.cpcc("reproduce", "d")
        assert again.stdout.splitlines()[0].endswith(" of d: identical")
