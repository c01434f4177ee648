"""Bags of jobs: one program run many times, over parameters and seeds, its outputs side by side."""

from __future__ import annotations

import csv
import io
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from copernicus.errors import ModuleError
from copernicus.modules.ensemble.arguments import fill, seed_of
from copernicus.plugin.functions import File, Job, Module, file, files, number

module = Module("ensemble", "Bags of jobs, parameter sweeps, and statistics until an error is small enough, for any program")

MOST_JOBS = 100_000
Command = Annotated[Sequence[str], "the program, by the name under which workers offer it, and its arguments"]


@dataclass(frozen=True)
class Ran:
    """What one run of a program leaves.

    Attributes:
        stdout: what it printed
        files: the files that `outputs` asks for
        number: what `extract` found
    """

    stdout: File
    files: list[File]
    number: float | None = None


@module.command
def run(
    command: Command,
    index: int = 0,
    seed: int = 0,
    names: Sequence[str] = (),
    values: Sequence[str] = (),
    files: Sequence[File] = (),
    outputs: Sequence[str] = (),
    extract: str = "",
    cores: int = 1,
    priority: int = 0,
) -> Job[Ran]:
    """Runs a program once.

    Args:
        index: stands where an argument says {i}
        seed: stands where an argument says {seed}
        names: of parameters; {T} in an argument is the place of the parameter T
        values: of the parameters, in the same order
        files: staged in the work folder under their own names
        outputs: patterns of files to collect, such as *.xvg; each must match something
        extract: regular expression; the first group of its first match in stdout is the number
    """
    if not command:
        raise ModuleError("The command is empty.", "Give the program and its arguments.")
    if len(names) != len(values):
        raise ModuleError(f"There are {len(names)} parameters and {len(values)} values for them.")
    filled = fill(command, {"i": str(index), "seed": str(seed), **dict(zip(names, values, strict=True))})
    if " " in filled[0]:
        raise ModuleError(f"{filled[0]!r} is no name of a program.", "Give each argument as an element of its own.")
    return Job(filled[0], filled[1:], _collected(outputs, extract), cores=cores, priority=priority, needs=files)


map = module.scatter("map", run, whole=["command", "names", "files", "outputs", "extract", "cores", "priority"])


@module.command
def reduce(
    command: Command,
    stdouts: Sequence[File] = (),
    files: Sequence[Sequence[File]] = (),
    outputs: Sequence[str] = (),
    extract: str = "",
    cores: int = 1,
    priority: int = 0,
) -> Job[Ran]:
    """Runs a program once over what all the jobs of a bag left, when all are there.

    Args:
        stdouts: staged as 0.stdout, 1.stdout …; the argument {stdouts...} stands for all these names
        files: staged as 0.NAME, 1.NAME …; the argument {files...} stands for all these names
        outputs: as in `run`
        extract: as in `run`
    """
    printed = {f"{index}.stdout": one for index, one in enumerate(stdouts)}
    left = {f"{index}.{one.name.rpartition('/')[2]}": one for index, many in enumerate(files) for one in many}
    if len(left) != sum(len(many) for many in files):
        raise ModuleError("A job left two files of the same name, in different folders: they cannot be staged side by side.")
    spread = {"{stdouts...}": list(printed), "{files...}": list(left)}
    words = [name for word in command for name in spread.get(word, [word])]
    if not words:
        raise ModuleError("The command is empty.", "Give the program and its arguments.")
    return Job(
        words[0], words[1:], _collected(outputs, extract), cores=cores, priority=priority, needs={**printed, **left}
    )  # fmt: skip


def _collected(outputs: Sequence[str], extract: str) -> Ran:
    return Ran(
        stdout=file("stdout"),
        files=files(*outputs) if outputs else [],
        number=number("stdout", extract) if extract else None,
    )


@dataclass(frozen=True)
class Plan:
    """The jobs of a sweep: what stands in the places of each.

    Attributes:
        index: numbers from 0
        seed: different ones
        values: of the parameters, for each job
    """

    index: list[int]
    seed: list[int]
    values: list[list[str]]


@module.pure(version=1)
def lay_out(
    parameters: Sequence[str] = (), values: Sequence[Sequence[str]] = (), repeats: int = 1, seed: int = 1
) -> Plan:  # fmt: skip
    """Every combination of the parameters' values, the first parameter changing slowest; the whole of it `repeats` times."""
    if len(parameters) != len(values):
        raise ModuleError(
            f"There are {len(parameters)} parameters and {len(values)} lists of values.", "Each parameter needs its values."
        )
    wrong = [name for name in parameters if not name.isidentifier() or name in ("i", "seed")]
    if wrong or len(set(parameters)) < len(parameters):
        raise ModuleError(
            f"{(wrong or list(parameters))[0]!r} is no name for a parameter here.",
            "Names are different words of letters, digits and _; {i} is the job's number and {seed} its seed.",
        )
    jobs = repeats * math.prod(len(one) for one in values)
    if repeats < 0 or jobs > MOST_JOBS:
        raise ModuleError(f"That would be {jobs} jobs; a sweep has at most {MOST_JOBS}.")
    combinations = [list(one) for one in itertools.product(*values)] * repeats
    return Plan(list(range(jobs)), [seed_of(seed, index) for index in range(jobs)], combinations)


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        table: comma-separated values, one line for each job, the first line with names
    """

    table: str


@module.pure(version=1)
def tabulate(
    seeds: Sequence[int],
    values: Sequence[Sequence[str]],
    stdouts: Sequence[File],
    parameters: Sequence[str] = (),
    numbers: Sequence[float | None] = (),
) -> Table:
    """What went in and what came out, job by job.

    `stdouts` is there only to be waited for: a table for each job that ends would be written as often as there are jobs.
    """
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(["job", *parameters, "seed", "number"])
    for index, (seed, row, _) in enumerate(zip(seeds, values, stdouts, strict=True)):
        found = numbers[index] if index < len(numbers) else None
        lines.writerow([index, *row, seed, "" if found is None else repr(found)])
    return Table(text.getvalue())


@dataclass(frozen=True)
class Swept:
    """What a sweep brings, in the order of its jobs, with gaps until they are done.

    Attributes:
        table: comma-separated values: parameters, seed, number of each job; there when all jobs are done
        numbers: what `extract` found
        stdout: what the jobs printed
        files: what `outputs` asks for
    """

    table: str
    numbers: list[float | None]
    stdout: list[File]
    files: list[list[File]]


@module.network
def sweep(
    command: Command,
    parameters: Sequence[str] = (),
    values: Sequence[Sequence[str]] = (),
    repeats: int = 1,
    seed: int = 1,
    files: Sequence[File] = (),
    outputs: Sequence[str] = (),
    extract: str = "",
    cores: int = 1,
    priority: int = 0,
) -> Swept:
    """Runs a program for every combination of parameters, and as often as is wanted.

    Args:
        parameters: names; {T} in an argument is the place of the parameter T, {i} of the job's number, {seed} of its seed
        values: for each parameter the values that it takes
        repeats: how often each combination is run, each time with another seed
        seed: from which those of the jobs are made
        files: staged in every work folder under their own names
        outputs: patterns of files to collect, such as *.xvg; each must match something
        extract: regular expression; the first group of its first match in stdout is the job's number in the table
    """
    plan = lay_out(parameters, values, repeats, seed)
    jobs = map.named("jobs")(
        command=command, index=plan.index, seed=plan.seed, names=parameters, values=plan.values, files=files,
        outputs=outputs, extract=extract, cores=cores, priority=priority,
    )  # fmt: skip
    listed = tabulate(plan.seed, plan.values, jobs.stdout, parameters, jobs.number)
    return Swept(listed.table, jobs.number, jobs.stdout, jobs.files)
