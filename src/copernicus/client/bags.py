"""Bags of jobs from the client's side: one program run many times is one instance of `ensemble::sweep`.

spec = BagSpec(["gmx", "mdrun", "-s", "topol.tpr"], repeats=20, files=["topol.tpr"], outputs=["*.xtc"])
bag = run_bag(project, spec)
print(bag.wait(), bag.rows())
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from copernicus.errors import NotAllowed, UsageError
from copernicus.model import edits as e
from copernicus.model.values import FileRef, to_json

if TYPE_CHECKING:
    from copernicus.client.api import Client, Project
    from copernicus.wire.messages import InstanceRow

FUNCTION = "ensemble::sweep"
JOBS = "jobs"
MOST_VALUES = 100_000
POLL_S = (0.2, 2.0)
_PLACE = re.compile(r"\{\{\w+\}\}|\{([A-Za-z_]\w*)\}")


@dataclass(frozen=True)
class BagSpec:
    """What a bag does: a program with places in its arguments, and what stands in them.

    sweep    for each parameter its values; every combination is run
    repeats  how often each combination is run, with a seed of its own each time
    files    local files, staged in each work folder under their own names
    outputs  patterns of files to collect
    extract  regular expression for a number in what the program prints
    """

    command: Sequence[str]
    sweep: Mapping[str, Sequence[str]] = field(default_factory=dict)
    repeats: int = 1
    seed: int = 1
    files: Sequence[str | Path] = ()
    outputs: Sequence[str] = ()
    extract: str = ""
    cores: int = 1
    priority: int = 0

    @property
    def jobs(self) -> int:
        """How many jobs it has."""
        return self.repeats * math.prod(len(values) for values in self.sweep.values())

    def check(self) -> None:
        """Raise `UsageError` for what cannot be meant."""
        if not self.command or not self.command[0]:
            raise UsageError("There is no program to run.", "Name it, with its arguments, after --")
        if self.repeats < 1 or self.cores < 1:
            raise UsageError("The number of jobs and of cores is at least 1.")
        known = {"i", "seed", *self.sweep}
        for word in self.command:
            unknown = next((match for match in _PLACE.finditer(word) if match[1] and match[1] not in known), None)
            if unknown is not None:
                raise UsageError(
                    f"The argument {word!r} has a place {unknown[0]}, and there is no parameter of that name.",
                    f"Give it values with --sweep {unknown[1]}=A:B:STEP; for the braces themselves write {{{unknown[0]}}}",
                )
        names = [Path(file).name for file in self.files]
        for name in names:
            if names.count(name) > 1 or name in ("stdout", "stderr"):
                raise UsageError(f"The file name {name} is taken in the work folder.", "Give the file another name.")

    def edits(self, name: str, files: Sequence[FileRef]) -> list[e.Edit]:
        """Return the transaction that makes the bag under `name`; `files` are what was uploaded."""
        inputs = {
            "command": list(self.command),
            "parameters": list(self.sweep),
            "values": [list(values) for values in self.sweep.values()],
            "repeats": self.repeats,
            "seed": self.seed,
            "files": [to_json(file) for file in files],
            "outputs": list(self.outputs),
            "extract": self.extract,
            "cores": self.cores,
            "priority": self.priority,
        }
        sets: list[e.Edit] = [e.SetValue(f"{name}:in.{place}", value) for place, value in inputs.items()]
        return [e.ImportModule("ensemble"), e.MakeInstance(FUNCTION, name), *sets, e.Activate(name)]


@dataclass(frozen=True)
class Progress:
    """How far a bag is: how many of its jobs are done, have failed, are in each state."""

    jobs: int
    done: int
    failed: int
    states: Mapping[str, int]

    @property
    def is_over(self) -> bool:
        """Whether every job is done or has failed."""
        return self.done + self.failed >= self.jobs


@dataclass(frozen=True)
class Ended:
    """One job of a bag: what stood in its places, its state (`why` it is so), the number that was found in its output."""

    job: int
    values: Mapping[str, str]
    seed: int
    state: str
    why: str = ""
    number: float | None = None


class Bag:
    """A bag of jobs in a project: the instance called `name`."""

    def __init__(self, project: Project, name: str, jobs: int) -> None:
        self.project = project
        self.name = name
        self.jobs = jobs

    def progress(self) -> Progress:
        """Ask the server how far it is."""
        parts = {row.path: row for row in self.project.list(self.name).instances}
        scatter = parts.get(f"{self.name}:{JOBS}")
        states = scatter.below if scatter is not None else {}
        return Progress(self.jobs, states.get("idle", 0), states.get("error", 0), states)

    def wait(self, told: Callable[[Progress], None] = lambda progress: None) -> Progress:
        """Wait until every job is done or has failed; `told` hears of each change. The jobs do not need this to go on."""
        pause_s, before = POLL_S[0], None
        while True:
            progress = self.progress()
            if progress != before:
                told(progress)
                before = progress
            if progress.is_over:
                return progress
            time.sleep(pause_s)
            pause_s = min(pause_s * 1.2, POLL_S[1])

    def rows(self) -> list[Ended]:
        """Return all jobs in their order, whatever their state."""
        listed = {_number(row): row for row in self.project.list(f"{self.name}:{JOBS}").instances[1:]}
        plan: dict[str, Any] = self.project.get_reply(f"{self.name}:{JOBS}:in").value
        numbers = self.project.get_reply(f"{self.name}:out.numbers").value or []
        rows = []
        for job, (seed, values) in enumerate(zip(plan["seed"], plan["values"], strict=True)):
            row, number = listed.get(job), numbers[job] if job < len(numbers) else None
            state, why = (row.state, row.why) if row else ("waiting", "")
            places = dict(zip(plan.get("names", ()), values, strict=True))
            rows.append(Ended(job, places, seed, state, why, None if number is None else float(number)))
        return rows


def run_bag(project: Project, spec: BagSpec, name: str = "") -> Bag:
    """Make a bag of jobs (by default named after the program), let it run, and return it at once; raise `UsageError`."""
    spec.check()
    chosen = name or free_name(project, spec.command[0])
    project.apply(spec.edits(chosen, [project.client.upload(file) for file in spec.files]))
    return Bag(project, chosen, spec.jobs)


def free_name(project: Project, program: str) -> str:
    """Return a name for an instance, after the program, that no other instance has."""
    base = re.sub(r"\W+", "_", program.rpartition("/")[2], flags=re.ASCII).strip("_") or "bag"
    base = base if base[0].isalpha() else f"bag_{base}"
    taken = {row.path for row in project.list("").instances}
    names = (base if number == 1 else f"{base}_{number}" for number in range(1, len(taken) + 2))
    return next(name for name in names if name not in taken)


def workers_with(client: Client, program: str) -> int | None:
    """Return how many living workers offer `program`; None when the caller may not ask."""
    try:
        workers = client.workers()
    except NotAllowed:
        return None
    return sum(not row.is_lost and any(one.name == program for one in row.offer.executables) for row in workers)


def read_sweep(text: str) -> tuple[str, list[str]]:
    """Return the name and the values of `NAME=A:B:STEP` (B included when a step ends there) or `NAME=x,y,z`."""
    name, sign, given = text.partition("=")
    if not sign or not name.isidentifier() or not given:
        raise UsageError(f"{text!r} is no sweep.", "Write NAME=FIRST:LAST:STEP or NAME=VALUE,VALUE,…")
    if name in ("i", "seed"):
        raise UsageError(f"{{{name}}} stands for the job's own {'number' if name == 'i' else 'seed'}.", "Choose another name.")
    if given.count(":") != 2:
        return name, given.split(",")
    try:
        first, last, step = (Decimal(part) for part in given.split(":"))
        count = int((last - first) / step)
    except (ArithmeticError, ValueError):
        raise UsageError(f"{given!r} does not go from a number to a number in steps.", "Write it like 280:320:5.") from None
    if not 0 <= count < MOST_VALUES or (last - first) * step < 0:
        raise UsageError(f"In steps of {step} one does not come from {first} to {last}.", "Write it like 280:320:5.")
    return name, [str(first + index * step) for index in range(count + 1)]


def _number(row: InstanceRow) -> int:
    return int(row.path.rpartition("_")[2])
