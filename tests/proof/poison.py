"""One job that costs every worker its life, and a server that is killed after each: the third death is the last."""

from __future__ import annotations

import json
import random
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.proof import doom
from tests.proof.checker import MOST_LOST_WORKERS, Finding, judge_book, judge_losses
from tests.proof.doom import Doom
from tests.proof.evidence import read_book
from tests.proof.lives import HEARTBEAT_S, Deck, Servers
from tests.proof.mixture import install_module

from copernicus.model.edits import Activate, ImportModule, MakeInstance, SetValue
from copernicus.testing.system import ProgramFailed, System

STEP_LIMIT_S = 60.0


class Poison:
    """A world of one server, one job, and one worker after the other. `kills` counts servers and workers."""

    project = "poison"

    def __init__(self, folder: Path, bugs: list[str]) -> None:
        self.system = System(folder)
        self.system.setup(heartbeat_s=HEARTBEAT_S)
        install_module(self.system)
        self.servers = Servers(self.system, Deck([], random.Random(1), bugs))
        self.plan = folder / "worker.json"
        self.kills = 0
        self._start()
        edits = [ImportModule("proof"), MakeInstance("proof::doom", "doom"), SetValue("doom:in.number", 7), Activate("")]
        with self.system.client() as client:
            client.start_project(self.project).apply(edits)

    def _start(self) -> None:
        process = self.servers.start(self.servers.deck.peace())
        if process is None:
            raise ProgramFailed("The server ended at once.", self.system.server_log())
        self._process = process

    def judge(self) -> list[Finding]:
        """Go on until the job has failed, or has cost one worker too many; then judge the book."""
        while self._job()["state"] != "failed" and self._losses() <= MOST_LOST_WORKERS:
            before = self._losses()
            Doom("worker: a program runs").write(self.plan)
            worker = self.system.worker("-n", "1", environment=doom.environment(self.plan))
            self._wait(lambda: worker.process.poll() is not None, "the worker dies of its job")  # noqa: B023 - used at once
            self._wait(lambda: self._losses() > before, "the server sees that")  # noqa: B023 - used at once
            self._process.kill()
            self._start()
            self.kills += 2
        job, losses = self._job(), self._losses()
        self.system.stop()
        book = read_book(self.system.projects / "book.sqlite", self.project)
        found = [*judge_losses(book), *judge_book(book, jobs_wanted=1)]
        if not found and (job["state"] != "failed" or losses != MOST_LOST_WORKERS):
            found.append(Finding("unexpected", f"a job that cost {losses} workers is {job['state']}"))
        return found

    def _wait(self, condition: Callable[[], bool], what: str) -> None:
        ends_at = time.monotonic() + STEP_LIMIT_S
        while not condition():
            if time.monotonic() > ends_at:
                raise ProgramFailed(f"Waited in vain: {what}.", self.system.evidence())
            time.sleep(0.05)

    def _job(self) -> dict[str, Any]:
        with closing(sqlite3.connect(f"file:{self.system.projects / 'book.sqlite'}?mode=ro", uri=True, timeout=30)) as book:
            row = book.execute("SELECT data FROM jobs").fetchone()
        return json.loads(row[0]) if row is not None else {"state": "queued"}

    def _losses(self) -> int:
        return sum(row.get("outcome") == "worker lost" for row in self._job().get("attempts", []))
