"""The whole of Copernicus for one `with`: a server, workers and a client, for tests of modules and for trying things out."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from copernicus.client import Client
from copernicus.testing.system import System

T = TypeVar("T")


class CopernicusInABox:
    """A server with workers, made in `folder` (without one, in a folder that goes at the end) and ended with the block.

        with CopernicusInABox(modules=[Path("spring")]) as box:
            project = box.client.start_project("first")
            project.instance("spring::relax", "relax")
            project.set("relax:in.stiffness", 2.0)
            project.activate()
            assert box.wait(lambda: project.get("relax:out.energy")) == 1.5

    modules  folders of modules, beside the installed ones
    workers  how many workers, with `cores` cores each
    """

    def __init__(self, folder: Path | None = None, *, modules: Sequence[Path] = (), workers: int = 1, cores: int = 1) -> None:
        self._folder = folder
        self._modules = [Path(module).absolute() for module in modules]
        self._workers, self._cores = workers, cores
        self._stack = ExitStack()
        self.system: System
        self.client: Client

    def __enter__(self) -> CopernicusInABox:
        with ExitStack() as stack:
            folder = self._folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="copernicus-")))
            folder.mkdir(parents=True, exist_ok=True)
            self.system = stack.enter_context(System(folder.absolute()))
            self.system.setup()
            for module in self._modules:
                link = self.system.home / "modules" / module.name
                link.parent.mkdir(exist_ok=True)
                link.symlink_to(module)
            self.system.start()
            for _ in range(self._workers):
                self.system.worker("-n", str(self._cores))
            self.wait(lambda: self.system.workers_known() == self._workers, what="all workers have announced themselves")
            self.client = stack.enter_context(self.system.client())
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stack.__exit__(kind, error, trace)

    def cpcc(self, *arguments: str) -> str:
        """Run one `cpcc` command and return what it prints; raise `ProgramFailed` when it fails."""
        return self.system.cpcc(*arguments).stdout

    def ask(self, *arguments: str) -> Any:
        """Run `cpcc --json` and return its answer as data."""
        return self.system.ask(*arguments)

    def wait(self, condition: Callable[[], T], deadline_s: float = 60.0, what: str = "") -> T:
        """Ask `condition` until it answers something true, and return that; raise `ProgramFailed` with the programs' output."""
        return self.system.until(condition, deadline_s, what)
