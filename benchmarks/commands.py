"""B9: how long a `cpcc` command takes, warm: the interpreter's own start is the limit, measured in turn with it."""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.row import Row, percentile
from copernicus.testing.system import System

GOAL_MS = 150.0
COMMANDS = {"--help": ["--help"], "ls": ["ls"], "set": ["set", "sum:in.a", "1.5"]}
BARE = [sys.executable, "-c", "pass"]


def measure(tries: int = 20) -> list[Row]:
    """Return the median time of each command over `tries` calls, each beside a bare interpreter's; bytecode is cached."""
    with tempfile.TemporaryDirectory(prefix="cpc-bench-") as folder, System(Path(folder)) as system:
        system.environment["PYTHONPYCACHEPREFIX"] = str(Path(folder) / "bytecode")
        system.environment.pop("PYTHONDONTWRITEBYTECODE", None)
        system.setup()
        system.start()
        system.cpcc("start", "first")
        system.cpcc("instance", "math::add", "sum")
        return [_row(system, name, words, tries) for name, words in COMMANDS.items()]


def _row(system: System, name: str, words: list[str], tries: int) -> Row:
    program = str(Path(sys.executable).with_name("cpcc"))
    calls = [(*_ms(system, [program, *words]), *_ms(system, BARE)) for _ in range(tries + 1)][1:]
    whole, cpu, bare, bare_cpu = (list(column) for column in zip(*calls, strict=True))
    median, least = percentile(whole, 50), percentile(bare, 50)
    details = {"ratio": median / least, "min": min(whole), "p90": percentile(whole, 90), "bare": least,
               "cpu": percentile(cpu, 50), "bare_cpu": percentile(bare_cpu, 50)}  # fmt: skip
    what = f"cpcc {name}, warm, from its start to its end"
    return Row(f"B9 {name}", what, median, "ms", f"python -c pass: {least:.0f} ms", GOAL_MS, details=details)


def _ms(system: System, argv: list[str]) -> tuple[float, float]:
    """Time from start to end, and processor time (which other programs on the machine disturb less), in milliseconds."""
    began_at, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(argv, cwd=system.folder, env=system.environment, stdout=subprocess.DEVNULL, check=True)
    took_s, after = time.perf_counter() - began_at, resource.getrusage(resource.RUSAGE_CHILDREN)
    return 1000 * took_s, 1000 * (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
