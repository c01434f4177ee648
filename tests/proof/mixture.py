"""A workload in which everything happens at once, small and without end: appends, a chain of jobs, files in and out.

numbers --db (one job each: twice)--> --again (one job each: twice again)-->
files   --swell (one job each: the content two times, larger than what fits in a message)-->
"""

from __future__ import annotations

import itertools
import random
import threading
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.proof.checker import Finding, judge_book, judge_losses, judge_seen, judge_sequence, judge_values
from tests.proof.evidence import read_book
from tests.proof.journal import Journal
from tests.proof.workload import persist

from copernicus.blobs.hashing import hash_bytes
from copernicus.client import Client
from copernicus.errors import Unavailable
from copernicus.model.edits import Edit, SetFile, SetValue
from copernicus.model.values import FileRef
from copernicus.testing.system import System

FUNCTIONS = """
[swell]
run = "proof/swell"
argv = ["{content}"]
in = { content = "file" }
out = { twice = "file: twice" }
scatter = "swells"

[doom]
run = "proof/wait"
argv = ["0.2"]
in = { number = "int" }
out = { done = "int = {number}" }
"""
EXECUTABLES = """
[[executable]]
name = "proof/swell"
version = "1.0"
argv = ["sh", "-c", "cat \\"$1\\" \\"$1\\" > twice", "swell"]

[[executable]]
name = "proof/wait"
version = "1.0"
argv = ["sleep"]
"""
PAUSE_S, RETRY_S = 0.2, 0.3


def install_module(system: System) -> None:
    """Put the module `proof` where server and workers of this system look for modules."""
    folder = system.home / "modules" / "proof"
    folder.mkdir(parents=True)
    (folder / "functions.toml").write_text(FUNCTIONS)
    (folder / "executables.toml").write_text(EXECUTABLES)


def content(number: int) -> bytes:
    """What file `number` holds: 100 kB that no other file holds."""
    return (f"file {number} " * 12_500)[:100_000].encode()


class Mixture:
    """The project, three clients that feed it, and the verdict. `is_forgetful`: a client that asks again does so under another
    id."""

    project = "mixture"

    def __init__(self, system: System, chance: random.Random, *, is_forgetful: bool = False) -> None:
        self.system = system
        self._is_forgetful = is_forgetful
        self._values = itertools.count(1001, 2)  # odd: twice one is never another, whose job it would share
        self.numbers, self.files = Journal(), Journal()
        self.error: BaseException | None = None
        self._over = threading.Event()
        self._threads = [
            threading.Thread(target=self._feed, args=(give, random.Random(chance.random())), daemon=True)
            for give in (self._give_number, self._give_number, self._give_file)
        ]
        self._place = system.folder / "given"
        self._place.mkdir()
        with system.client() as client:
            project = client.start_project(self.project)
            with project.transaction() as change:
                for module in ("math", "proof"):
                    change.import_module(module)
                change.instance("math::double_value", "db")
                change.instance("math::double_value", "again")
                change.connect("db:out.integer_outputs", "again:in.integer_inputs")
                change.instance("proof::swells", "swell")
                change.activate()

    # --- the client

    def start(self) -> None:
        """Begin to feed."""
        for thread in self._threads:
            thread.start()

    def finish(self, limit_s: float = 150.0) -> None:
        """Stop feeding, when what was asked for last is answered; raise what went wrong."""
        self._over.set()
        for thread in self._threads:
            thread.join(limit_s)
        if self.error is not None:
            raise self.error

    def _feed(self, give: Callable[[Client, int, random.Random], None], chance: random.Random) -> None:
        try:
            with self.system.client() as client:
                while not self._over.is_set():
                    give(client, next(self._values), chance)
                    self._over.wait(chance.uniform(0.0, PAUSE_S))
        except BaseException as error:
            self.error = error

    def _give_number(self, client: Client, value: int, chance: random.Random) -> None:
        self._apply(client, self.numbers, value, SetValue("db:in.integer_inputs[+]", value), chance)

    def _give_file(self, client: Client, number: int, chance: random.Random) -> None:
        path = self._place / f"{number}.txt"
        path.write_bytes(content(number))
        while True:
            try:
                file = client.upload(path)
                break
            except Unavailable:
                client.close()
        path.unlink()
        self._apply(client, self.files, number, SetFile("swell:in.content[+]", file), chance)

    def _apply(self, client: Client, journal: Journal, value: int, edit: Edit, chance: random.Random) -> None:
        operation = journal.intend(uuid.uuid4().hex, value)
        pause_s = chance.uniform(0.02, RETRY_S)
        operation.seq = persist(client, self.project, [edit], operation.request, pause_s, is_forgetful=self._is_forgetful)

    # --- looking

    def look(self) -> tuple[list[Any], list[Any], list[Any]] | None:
        """Read what there is and journal it: what could be read may never change. None from a server that is away."""
        with self.system.client() as client:
            project = client.project(self.project)
            try:
                places = ("db:out.integer_outputs", "again:out.integer_outputs", "swell:out.twice")
                found = [project.get(place) or [] for place in places]
            except Unavailable:
                return None
        for journal, place, values in zip((self.numbers, self.numbers, self.files), places, found, strict=True):
            for index, value in enumerate(values):
                journal.see(f"{place}[{index}]", value.blob if isinstance(value, FileRef) else value)
        return found[0], found[1], found[2]

    def is_complete(self) -> bool:
        """Whether all that was asked for is there."""
        found = self.look()
        counts = (len(self.numbers.operations), len(self.numbers.operations), len(self.files.operations))
        return found is not None and all(
            len(values) == count and None not in values for values, count in zip(found, counts, strict=True)
        )

    # --- the verdict

    def judge(self) -> list[Finding]:
        """Read what the server has, stop it in good order, and judge both, offline."""
        with self.system.client() as client:
            project = client.project(self.project)
            given = project.get("db:in.integer_inputs") or []
            files = project.get("swell:in.content") or []
        found = self.look()
        assert found is not None
        self.system.stop()
        book = read_book(self.system.projects / "book.sqlite", self.project)
        wanted = 2 * len(self.numbers.operations) + len(self.files.operations)
        names = {hash_bytes(content(operation.value)): operation.value for operation in self.files.operations}
        twice = {hash_bytes(2 * content(number)): number for number in names.values()}
        return [
            *judge_values(self.numbers, given, found[0]),
            *judge_values(self.numbers, given, found[1], times=4),
            *judge_values(
                self.files,
                [names.get(file.blob, -1) for file in files],
                [None if file is None else twice.get(file.blob, -1) for file in found[2]],
                times=1,
            ),
            *judge_sequence(self.numbers, book),
            *judge_sequence(self.files, book),
            *judge_seen(self.numbers),
            *judge_seen(self.files),
            *judge_book(book, jobs_wanted=wanted),
            *judge_losses(book),
        ]


def left_behind(work: Path) -> list[str]:
    """What workers have left in their folder."""
    return sorted(str(path.relative_to(work)) for path in work.rglob("*"))
