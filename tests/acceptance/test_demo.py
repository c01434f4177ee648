"""The demo as a newcomer runs it: results with error bars and pictures, and nothing left behind however it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

pytest.importorskip("openmm", reason="needs the package openmm (an extra)")
pytest.importorskip("deeptime", reason="needs the package deeptime (an extra)")
pytest.importorskip("matplotlib", reason="needs the package matplotlib (an extra)")

pytestmark = pytest.mark.openmm

DEADLINE_S = 240.0


def start(folder: Path, *flags: str) -> subprocess.Popen[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CPC_")}
    return subprocess.Popen(
        [sys.executable, "-m", "copernicus.demo", "--quick", "--folder", "results", *flags],
        cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def end(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Wait for the end; return exit status, stdout and stderr."""
    try:
        out, err = process.communicate(timeout=DEADLINE_S)
    except subprocess.TimeoutExpired:
        process.terminate()
        out, err = process.communicate()
        pytest.fail(f"the demo did not end:\n{out}\n{err}")
    return process.returncode, out, err


def processes_below(folder: Path) -> list[psutil.Process]:
    """The living processes that name something below `folder` in their command line, environment or folder."""
    found = []
    for process in psutil.process_iter():
        try:
            traces = [process.cwd(), *process.cmdline(), process.environ().get("CPC_CONF_HOME", "")]
        except (psutil.Error, OSError):
            continue
        if process.pid != os.getpid() and any(str(folder) in trace for trace in traces):
            found.append(process)
    return found


def until(condition: Callable[[], object], process: subprocess.Popen[str]) -> None:
    ends_at = time.monotonic() + DEADLINE_S
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < ends_at
        time.sleep(0.02)


def test_the_quick_demo_ends_with_error_bars_and_pictures(tmp_path: Path) -> None:
    status, out, err = end(start(tmp_path))
    assert (status, err) == (0, "")
    results = json.loads((tmp_path / "results" / "summary.json").read_text(encoding="utf-8"))
    assert results["generation"] == 4
    assert results["simulated_ns"] == pytest.approx(0.8)
    assert len(results["macrostates"]) >= 2
    for one in results["macrostates"]:
        assert one["population"]["low"] <= one["population"]["high"]
        assert one["population"]["error"] > 0
    assert results["timescales_ns"][0]["error"] > 0
    for name in ("free_energy", "timescales", "convergence", "chapman_kolmogorov"):
        assert (tmp_path / "results" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert f"{name}.png" in out
    assert "In the folder results" in out
    assert not (tmp_path / "results" / "system").exists()
    assert processes_below(tmp_path) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("moment", ["settings", "worker-2.log", "projects/book.sqlite"])
def test_a_signal_at_any_time_leaves_nothing_behind(number: signal.Signals, moment: str, tmp_path: Path) -> None:
    process = start(tmp_path)
    until((tmp_path / "results" / "system" / moment).exists, process)
    process.send_signal(number)
    status, _, err = end(process)
    assert status == 128 + number
    assert "Interrupted" in err
    assert list(tmp_path.iterdir()) == []
    assert processes_below(tmp_path) == []


def test_a_dead_worker_is_the_reason_why_it_fails(tmp_path: Path) -> None:
    process = start(tmp_path)
    until((tmp_path / "results" / "system" / "projects" / "book.sqlite").exists, process)
    worker = next(one for one in psutil.Process(process.pid).children() if "worker-1" in " ".join(one.cmdline()))
    worker.kill()
    status, _, err = end(process)
    assert status == 1
    assert "Worker 1 has ended with status -9" in err
    assert processes_below(tmp_path) == []


def test_a_folder_with_something_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "thesis.txt").write_text("mine")
    status, _, err = end(start(tmp_path))
    assert status == 1
    assert "not empty" in err
    assert [path.name for path in (tmp_path / "results").iterdir()] == ["thesis.txt"]
