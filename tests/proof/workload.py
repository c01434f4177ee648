"""Workloads whose right result is known, and clients that journal what is acknowledged to them."""

from __future__ import annotations

import threading
import time
import uuid
from typing import Any

from tests.proof.checker import Finding, judge_book, judge_seen, judge_sequence, judge_values
from tests.proof.evidence import read_book
from tests.proof.journal import Journal

from copernicus.client import Client
from copernicus.errors import Unavailable
from copernicus.model.edits import Edit, SetValue
from copernicus.testing.system import System

PATIENCE_S = 120.0


def persist(
    client: Client, project: str, edits: list[Edit], request: str = "", pause_s: float = 0.05, *, is_forgetful: bool = False
) -> int | None:
    """Apply edits under one request id until the server answers, however often it is not there; return the sequence number.

    `is_forgetful` plants a bug: each try goes under an id of its own.
    """
    request = request or uuid.uuid4().hex
    ends_at = time.monotonic() + PATIENCE_S
    while True:
        try:
            return client.project(project).apply(edits, request_id=request).seq
        except Unavailable:
            client.close()
            if time.monotonic() > ends_at:
                raise
            time.sleep(pause_s)
            request = uuid.uuid4().hex if is_forgetful else request


class Doubling:
    """A scatter of `math::double_value`, one job for each appended number, fed by a client in a thread of its own."""

    project = "doubling"

    def __init__(self, system: System) -> None:
        self.system = system
        self.journal = Journal()
        self.error: BaseException | None = None
        with system.client() as client:
            project = client.start_project(self.project)
            with project.transaction() as change:
                change.import_module("math")
                change.instance("math::double_value", "db")
                change.activate()

    def feed(self, count: int, pause_s: float = 0.02) -> threading.Thread:
        """Start to append `count` numbers, one transaction each; an error of the thread stands in `error`."""
        thread = threading.Thread(target=self._feed, args=(count, pause_s), daemon=True)
        thread.start()
        return thread

    def _feed(self, count: int, pause_s: float) -> None:
        try:
            with self.system.client() as client:
                for value in range(1000, 1000 + count):
                    operation = self.journal.intend(uuid.uuid4().hex, value)
                    edit = SetValue("db:in.integer_inputs[+]", value)
                    operation.seq = persist(client, self.project, [edit], operation.request)
                    time.sleep(pause_s)
        except BaseException as error:
            self.error = error

    def look(self) -> list[Any]:
        """Read the outputs and journal them: what could be read may never change. A server that is away: no outputs."""
        with self.system.client() as client:
            try:
                outputs = client.project(self.project).get("db:out.integer_outputs")
            except Unavailable:
                return []
        found = outputs if isinstance(outputs, list) else []
        for index, value in enumerate(found):
            self.journal.see(f"db:out.integer_outputs[{index}]", value)
        return found

    def is_complete(self) -> bool:
        """Say whether every number that was set has its result."""
        found = self.look()
        return len(found) == len(self.journal.operations) and None not in found

    def judge(self, deadline_s: float = PATIENCE_S) -> list[Finding]:
        """Wait for the end (or the deadline: what is missing then is stuck), stop the server, and judge what it left."""
        ends_at = time.monotonic() + deadline_s
        while not self.is_complete() and time.monotonic() < ends_at:
            time.sleep(0.1)
        with self.system.client() as client:
            inputs = client.project(self.project).get("db:in.integer_inputs")
        outputs = self.look()
        self.system.stop()
        evidence = read_book(self.system.projects / "book.sqlite", self.project)
        self.journal.save(self.system.folder / "journal.json")
        assert isinstance(inputs, list)
        return [
            *judge_values(self.journal, inputs, outputs),
            *judge_sequence(self.journal, evidence),
            *judge_book(evidence, jobs_wanted=len(self.journal.operations)),
            *judge_seen(self.journal),
        ]


class Sleeping:
    """A scatter of `benchmark::sleeps`: jobs that last so many seconds each."""

    project = "sleeping"

    def __init__(self, system: System, durations_s: list[float]) -> None:
        self.system = system
        self.count = len(durations_s)
        with system.client() as client:
            project = client.start_project(self.project)
            with project.transaction() as change:
                change.import_module("benchmark")
                change.instance("benchmark::sleeps", "sleep")
                change.set("sleep:in.sleep_time", durations_s)
                change.activate()

    def running(self) -> list[tuple[int, str]]:
        """Return (job, worker) of all running jobs; none from a server that is away."""
        with self.system.client() as client:
            try:
                return [(row.job, row.worker) for row in client.running(self.project) if row.worker]
            except Unavailable:
                return []

    def is_complete(self) -> bool:
        """Say whether every job is done."""
        with self.system.client() as client:
            try:
                return client.project(self.project).status().jobs.get("done", 0) == self.count
            except Unavailable:
                return False

    def judge(self, deadline_s: float = PATIENCE_S) -> tuple[list[Finding], list[list[tuple[int, str]]]]:
        """Wait for the end, stop the server, judge its book; return the findings and every job's attempts."""
        ends_at = time.monotonic() + deadline_s
        while not self.is_complete() and time.monotonic() < ends_at:
            time.sleep(0.1)
        self.system.stop()
        evidence = read_book(self.system.projects / "book.sqlite", self.project)
        return judge_book(evidence, jobs_wanted=self.count), [job.attempts for job in evidence.jobs]
