"""Doom: a real program kills itself with SIGKILL at a chosen point, when it passes there for the n-th time.

The product knows nothing of this. A program is started with `tests/proof/child` on its PYTHONPATH, where Python finds a
`sitecustomize`; that reads the plan of this program and puts itself around one of the program's own functions.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

ROOT = Path(__file__).resolve().parents[2]
Program = Literal["server", "worker"]


@dataclass(frozen=True)
class Point:
    """Just before or after a function of one of the two programs, or `inside`, when the database that is its first argument has
    executed something; `most`: at which pass at the latest. `is_seldom`: only programs with something special pass there, so
    that nobody draws it."""

    program: Program
    function: str
    when: Literal["before", "after", "inside"]
    most: int = 6
    is_seldom: bool = False


POINTS = {
    # --- the server comes up
    "recovery: before the job book is read": Point("server", "server.dispatch.dispatch:Dispatch.load", "before", 1),
    "recovery: the job book is read": Point("server", "server.dispatch.dispatch:Dispatch.load", "after", 1),
    "recovery: a log is folded": Point("server", "server.projects.live:LiveProject._read", "after", 1),
    "recovery: a project goes on": Point("server", "server.projects.live:LiveProject.resume", "after", 1),
    "recovery: before it listens": Point("server", "server.http.server:HttpServer.listen", "before", 2),
    "recovery: inside the first transaction": Point("server", "server.storage.sqlite.book:SqliteBook._write", "after", 1),
    "migration: before a copy is kept": Point("server", "server.storage.sqlite.database:copy_database", "before", 1, True),
    "migration: a copy is kept": Point("server", "server.storage.sqlite.database:copy_database", "after", 1, True),
    "migration: inside a transaction": Point("server", "server.storage.sqlite.database:_migrate", "inside", 9, True),
    # --- the server commits
    "a step is decided, not stored": Point("server", "server.projects.live:LiveProject.step", "after", 15),
    "before a commit": Point("server", "server.storage.sqlite.book:SqliteBook._commit", "before", 20),
    "inside a transaction": Point("server", "server.storage.sqlite.book:SqliteBook._write", "after", 30),
    "between commit and answer": Point("server", "server.storage.sqlite.book:SqliteBook._commit", "after", 20),
    "told in memory, answer not sent": Point("server", "server.storage.groups:GroupWriter._settle_group", "after", 20),
    # --- the server and jobs
    "module code has answered": Point("server", "server.projects.pool:Pool.call", "after", 10),
    "a job is leased, not stored": Point("server", "server.dispatch.dispatch:Dispatch._give", "after", 8),
    "a report is taken, not stored": Point("server", "server.dispatch.dispatch:Dispatch._accept", "after", 5),
    "a worker introduces itself": Point("server", "server.dispatch.dispatch:Dispatch.announce", "after", 2),
    "looking for silent workers": Point("server", "server.dispatch.dispatch:Dispatch.tick", "after", 8),
    "during an upload": Point("server", "blobs.upload:Upload.write", "after", 5),
    "a blob is whole, not named": Point("server", "blobs.folder:BlobFolder.commit", "before", 3),
    "a blob is named, not answered": Point("server", "blobs.upload:Upload.finish", "after", 3),
    # --- the worker
    "worker: announced": Point("worker", "worker.agent:Agent.announce", "after", 1),
    "worker: jobs have come": Point("worker", "worker.desk:Desk.settle", "after", 4),
    "worker: before staging": Point("worker", "worker.workload:Attempt._stage", "before", 6),
    "worker: a file has been fetched": Point("worker", "worker.shelf:Shelf._bring", "after", 1),
    "worker: staged": Point("worker", "worker.workload:Attempt._stage", "after", 6),
    "worker: a program runs": Point("worker", "worker.platforms.smp:Smp.start", "after", 6),
    "worker: a program has ended": Point("worker", "worker.workload:Attempt._conclude", "before", 6),
    "worker: a result is collected": Point("worker", "worker.workload:Attempt._conclude", "after", 6),
    "worker: before spooling": Point("worker", "worker.spool:Spool.write", "before", 1),
    "worker: between spool and send": Point("worker", "worker.spool:Spool.write", "after", 1),
    "worker: during an upload": Point("worker", "net.transfer:_send_piece", "after", 1),
    "worker: uploaded, not reported": Point("worker", "worker.desk:Desk.uploaded", "before", 1),
    "worker: reported, verdict not heard": Point("worker", "worker.exchange:Exchange._take_in", "before", 6),
    "worker: verdict heard, spool not cleared": Point("worker", "worker.spool:Spool.remove", "before", 5),
    "worker: spool cleared": Point("worker", "worker.spool:Spool.remove", "after", 5),
    "worker: a sign of life is sent": Point("worker", "worker.heartbeat:Heartbeat.beat", "after", 4),
    "worker: a dead worker's result is delivered": Point("worker", "worker.leftovers:_deliver", "after", 1),
    "worker: a dead worker's folder is cleared": Point("worker", "worker.place:Place.clear", "after", 1),
}
"""By name. The functions are those of `copernicus`; a test finds each of them."""


@dataclass(frozen=True)
class Doom:
    """What a program is to do to itself: die at the `passes`-th pass of a point ("": nowhere), and have these bugs."""

    point: str = ""
    passes: int = 1
    bugs: list[str] = field(default_factory=list)

    def write(self, path: Path) -> None:
        """Tell the next program that is started with this plan, and forget how the last one ended."""
        _mark(path).unlink(missing_ok=True)
        path.write_text(json.dumps(asdict(self)))


def was_met(path: Path) -> str:
    """The point at which the program of this plan has killed itself, "" while it has not."""
    try:
        return _mark(path).read_text()
    except OSError:
        return ""


def environment(path: Path) -> dict[str, str]:
    """What a program must have in its environment to read the plan at `path`."""
    return {"PYTHONPATH": f"{ROOT / 'tests' / 'proof' / 'child'}{os.pathsep}{ROOT}", "PROOF_DOOM": str(path)}


def _mark(path: Path) -> Path:
    return path.with_suffix(".died")


# --- in the program itself


def obey(plan: str) -> None:
    """Read the plan, if this process is one of the two programs, and prepare what it says."""
    program, path = _program(sys.orig_argv), Path(plan)
    if program is None or not path.exists():
        return
    doom = Doom(**json.loads(path.read_text()))
    if doom.bugs:
        from tests.proof.crash_bugs import IN_PROGRAMS

        for bug in doom.bugs:
            IN_PROGRAMS[bug]()
    if doom.point and POINTS[doom.point].program == program:
        arm(doom, _mark(path))


def _program(argv: list[str]) -> Program | None:
    if argv[1:3] == ["-m", "copernicus.server"]:
        return "server"
    return "worker" if len(argv) > 1 and os.path.basename(argv[1]) == "cpc-worker" else None


def found(point: Point) -> tuple[Any, str, Callable[..., Any]]:
    """Where the function of a point lies, under which name, and the function."""
    module, _, path = point.function.partition(":")
    *outer, name = path.split(".")
    owner = functools.reduce(getattr, outer, importlib.import_module(f"copernicus.{module}"))
    return owner, name, inspect.getattr_static(owner, name)


def arm(doom: Doom, mark: Path) -> None:
    """Put the end of this process around the function of its point."""
    point = POINTS[doom.point]
    owner, name, real = found(point)
    lock, process = threading.Lock(), os.getpid()
    left = doom.passes

    def passed() -> None:
        nonlocal left
        with lock:
            left -= 1
            if left == 0 and os.getpid() == process:
                mark.write_text(doom.point)
                os.kill(process, signal.SIGKILL)

    if inspect.iscoroutinefunction(real):

        @functools.wraps(real)
        async def doomed(*arguments: Any, **named: Any) -> Any:
            if point.when == "before":
                passed()
            answer = await real(*arguments, **named)
            if point.when == "after":
                passed()
            return answer
    else:

        @functools.wraps(real)
        def doomed(*arguments: Any, **named: Any) -> Any:
            if point.when == "before":
                passed()
            answer = real(*arguments, **named)
            if point.when == "after":
                passed()
            return answer

    if point.when == "inside":

        @functools.wraps(real)
        def doomed(*arguments: Any, **named: Any) -> Any:
            return real(_Watched(arguments[0], passed), *arguments[1:], **named)

    setattr(owner, name, doomed)


class _Watched:
    """A connection to a database that tells when it has executed something."""

    def __init__(self, connection: Any, executed: Callable[[], None]) -> None:
        self._connection, self._executed = connection, executed

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def __enter__(self) -> Any:
        return self._connection.__enter__()

    def __exit__(self, *error: Any) -> Any:
        return self._connection.__exit__(*error)

    def execute(self, *words: Any) -> Any:
        """Execute, and tell."""
        cursor = self._connection.execute(*words)
        self._executed()
        return cursor
