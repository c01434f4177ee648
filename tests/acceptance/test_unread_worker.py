"""A worker whose terminal was closed, or whose reader has gone, works on, and leaves in good order."""

from __future__ import annotations

import subprocess
import sys

from copernicus.testing.system import System


def test_a_worker_that_nobody_reads_works_on(system: System) -> None:
    system.setup()
    system.start()
    place = system.folder / "unread"
    place.mkdir()
    worker = subprocess.Popen(
        [sys.executable, "-c", "from copernicus.worker.cli import main; main()", "-n", "1", "smp"],
        cwd=place, env=system.environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        assert worker.stdout is not None
        assert worker.stdout.readline().startswith(b"Worker ID:")
        worker.stdout.close()
        for line in ("start first", "import benchmark", "instance benchmark::sleep s", "set s:in.sleep_time 0", "activate"):
            system.cpcc(*line.split())
        system.until(lambda: system.ask("status")["jobs"] == {"done": 1}, what="the job is done")
        worker.terminate()
        assert worker.wait(60) == 0
        assert list(place.iterdir()) == []
    finally:
        worker.kill()
        worker.wait()
