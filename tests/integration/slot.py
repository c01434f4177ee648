"""A slot of a worker in which tests try one job after the other."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from copernicus.errors import UnknownPath
from copernicus.model.jobs import JobDescription, LeasedJob, StagedFile
from copernicus.model.values import FileRef
from copernicus.plugin.executables import Executable
from copernicus.plugin.registry import Found
from copernicus.worker.folder import WorkFolder
from copernicus.worker.platforms.smp import Smp
from copernicus.worker.shelf import Shelf
from copernicus.worker.workload import Attempt, Ended, Tools

SHELL = Found(Executable("sh", ("/bin/sh", "-c")), "1", "test")
PYTHON = Found(Executable("python", (sys.executable, "-P", "-c")), "3", "test")
DEADLINE_S = 60.0


class Bench:
    """A slot in which one job after the other is tried."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.platform = Smp(2)
        self.blobs: dict[str, bytes] = {}
        self.tools = Tools("tester", self.platform, Shelf(root / "blobs", self._fetch), grace_s=0.3)
        self.work = WorkFolder(root / "jobs", "slot")
        self.folders: list[Path] = []

    def _fetch(self, file: FileRef, path: Path) -> None:
        if file.blob not in self.blobs:
            raise UnknownPath(f"There is no blob {file.blob}.")
        path.write_bytes(self.blobs[file.blob])

    def attempt(
        self,
        script: str,
        program: Found | None = SHELL,
        cores: int = 1,
        checkpoint: tuple[StagedFile, ...] = (),
        checkpoint_files: tuple[str, ...] = (),
        **more: object,
    ) -> Attempt:
        argv = (script,) if script else ()
        more = {**more, "checkpoint": checkpoint_files}
        description = JobDescription(program.executable.name if program else "other", argv, **more)  # type: ignore[arg-type]
        return Attempt(LeasedJob(7, 1, "p", "run", description, cores, checkpoint), program, cores, self.tools)

    def run(self, script: str, program: Found | None = SHELL, **more: object) -> Ended:
        ended = self.begin(self.attempt(script, program, **more))()  # type: ignore[arg-type]
        self.folders.append(self.work.path)
        return ended

    def begin(self, attempt: Attempt) -> Callable[[], Ended]:
        """Run in a thread; the result is waited for by what is returned."""
        results: list[Ended] = []
        thread = threading.Thread(target=lambda: results.append(attempt.run(self.work)))
        thread.start()

        def wait() -> Ended:
            thread.join(DEADLINE_S)
            return results[0]

        return wait


@contextmanager
def a_bench(root: Path) -> Iterator[Bench]:
    """Nothing of any job may be left at the end."""
    bench = Bench(root)
    try:
        yield bench
    finally:
        bench.platform.close()
        bench.work.remove()
    assert not (root / "jobs").exists() or list((root / "jobs").iterdir()) == []


def is_alive(pid_file: Path) -> bool:
    try:
        return psutil.Process(int(pid_file.read_text())).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def until(condition: Callable[[], object]) -> None:
    waited = 0.0
    while not condition():
        threading.Event().wait(0.02)
        waited += 0.02
        assert waited < DEADLINE_S, "it did not happen"
