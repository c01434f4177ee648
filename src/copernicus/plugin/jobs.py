"""Jobs as authors write them: the program, its arguments, what comes out; and how that becomes a job description."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Final, Generic, Literal, TypeVar, cast

import msgspec

from copernicus.errors import ModuleError, WrongType
from copernicus.model.jobs import PRIORITY_MAX, PRIORITY_MIN, JobDescription, Output, Resources, Rule, StagedFile
from copernicus.model.values import FileRef
from copernicus.plugin.files import File
from copernicus.plugin.shapes import Shape

T = TypeVar("T")
OutT = TypeVar("OutT")
Argument = str | int | float | File

Fail: Final = "fail"
FewerCores: Final = "fewer_cores"
Retry: Final = "retry"
Finish: Final = "finish"


def GiveUp(*, after: int, without: Literal["progress"] = "progress") -> Rule:
    """Return the rule that a job fails after so many attempts in a row without progress."""
    return Rule(then=Fail, attempts=after)


@dataclass(frozen=True)
class Promise:
    """Stands in an outputs dataclass for a value that the job will bring."""

    output: Output


def file(pattern: str, *, partial: bool = False) -> File:
    """Promise the file that matches the glob `pattern` when the job has ended (the last one in natural order).

    `partial`: it is shown as it is so far, with each checkpoint, while the job runs.
    """
    return cast(File, Promise(Output("file", pattern, is_partial=partial)))


def files(*patterns: str, partial: bool = False) -> list[File]:
    """Promise all files that match the glob `patterns`, pattern by pattern in natural order; each must match something.

    `partial`: they are shown as they are so far, with each checkpoint, while the job runs.
    """
    return cast("list[File]", Promise(Output("files", "\n".join(patterns), is_partial=partial)))


def number(source: str, pattern: str) -> float:
    """Promise the number in the first group of the regular expression `pattern` in `source` (stdout, stderr, a file)."""
    return cast(float, Promise(Output("number", pattern, source)))


def text(source: str = "stdout", pattern: str = "") -> str:
    """Promise the first group of `pattern` in `source` (stdout, stderr, a file), or, without pattern, all its text."""
    return cast(str, Promise(Output("text", pattern, source)))


def json_of(name: str, kind: type[T]) -> T:
    """Promise what stands in the JSON file `name`: a value of type `kind`, such as a dataclass."""
    return cast(T, Promise(Output("json", name)))


def option(flag: str, value: Argument | bool | Sequence[Argument] | None) -> list[Argument]:
    """Return `[flag, value]`, or nothing when `value` is None, empty or False; True gives the flag alone."""
    if value is None or value is False:
        return []
    if value is True:
        return [flag]
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [flag, *value] if value else []
    return [flag, value]


@dataclass(frozen=True)
class Job(Generic[OutT]):
    """What a command wants done: one run of a program.

    executable     name and, if it matters, versions: "gromacs/mdrun >=2019"
    argv           whole arguments; a File stands for the name under which it is staged
    outputs        the outputs' dataclass, of promises (`file`, `number` …), given files and plain values
    cores          a number, or (fewest, most); most None means: as many as there are
    needs          further files in the work folder, under their own names or (mapping) under those given
    until          last arguments, which say only how long the job runs
    checkpoint     globs of files from which another attempt goes on
    watch          globs of files that can be followed while the job runs
    done_when      glob: without a match the job has not finished; without `done_when` exit status 0 is finished
    rules          how an attempt is judged that did not finish; the first that matches counts
    seed           the random seed among the arguments, kept with the job so that people can cite it
    checkpoint_every_s  how often the checkpoint is worth keeping while the job runs, at least 10 (default: the worker's)
    gpus, gpu_kind how many GPUs, and if it matters which: a part of their name, in capitals or not ("A100")
    tolerances     by output: by what part its numbers may differ when `cpcc reproduce` runs the job again ({"energy": 1e-6})
    """

    executable: str
    argv: Sequence[Argument]
    outputs: OutT
    cores: int | tuple[int, int | None] = 1
    priority: int = 0
    needs: Sequence[File] | Mapping[str, File] = ()
    until: Sequence[Argument] = ()
    gpus: int = 0
    memory_bytes: int | None = None
    wall_time_s: float | None = None
    environment: Mapping[str, str] = dataclasses.field(default_factory=dict)
    checkpoint: Sequence[str] = ()
    watch: Sequence[str] = ()
    done_when: str | None = None
    rules: Sequence[Rule] = ()
    seed: int | None = None
    checkpoint_every_s: float | None = None
    tolerances: Mapping[str, float] = dataclasses.field(default_factory=dict)
    gpu_kind: str = ""

    def describe(self, out: Shape) -> JobDescription:
        """Return the job description; `out` is the shape of the outputs. Raises `ModuleError` for what cannot be."""
        executable, _, versions = self.executable.partition(" ")
        staging = _Staging()
        for name, needed in self._needed():
            staging.add(name, needed)
        argv = tuple(staging.argument(argument) for argument in self.argv)
        until = tuple(staging.argument(argument) for argument in self.until)
        least, most = self.cores if isinstance(self.cores, tuple) else (self.cores, self.cores)
        if least < 1 or (most is not None and most < least):
            raise ModuleError(f"cores={self.cores!r} is no number of cores.", "Give a number, or (fewest, most).")
        for name, tolerance in self.tolerances.items():
            if name not in out.members or not 0 <= tolerance < 1:
                hint = f"Name an output ({', '.join(out.members)}) and a part of 1."
                raise ModuleError(f"tolerances={{{name!r}: {tolerance!r}}} cannot be.", hint)
        return JobDescription(
            executable=executable,
            versions=versions.strip(),
            argv=argv,
            files=tuple(staging.files.values()),
            outputs=describe_outputs(self.outputs, out),
            environment=dict(self.environment),
            done_when=self.done_when,
            resources=Resources(least, most, self.memory_bytes, self.gpus, self.wall_time_s, self.gpu_kind),
            priority=max(PRIORITY_MIN, min(PRIORITY_MAX, self.priority)),
            checkpoint=tuple(self.checkpoint),
            watch=tuple(self.watch),
            rules=tuple(self.rules),
            until=until,
            seed=self.seed,
            checkpoint_every_s=self.checkpoint_every_s,
            tolerances=dict(self.tolerances),
        )

    def _needed(self) -> list[tuple[str, File]]:
        if isinstance(self.needs, Mapping):
            return list(self.needs.items())
        return [(PurePosixPath(needed.name).name or "file", needed) for needed in self.needs]


class _Staging:
    """The files of a work folder by name."""

    def __init__(self) -> None:
        self.files: dict[str, StagedFile] = {}

    def add(self, name: str, file: File) -> str:
        # The name it was uploaded under says nothing about what the job does, so it stays out of the job's key.
        staged = StagedFile(name, FileRef(file.blob, file.size, name))
        if self.files.setdefault(name, staged) != staged:
            raise ModuleError(
                f"Two different files of the job would both be called {name}.",
                "Give needed files other names: needs={'other_name': file}.",
            )
        return name

    def argument(self, argument: Any) -> str:
        if isinstance(argument, str):
            if "\0" in argument:
                raise ModuleError(f"argv holds {argument[:60]!r}: no program can be given a NUL.", "Put the text into a file.")
            return argument
        if isinstance(argument, File):
            return self.add(staged_name(argument), argument)
        if isinstance(argument, int | float) and not isinstance(argument, bool):
            return repr(argument)
        raise ModuleError(
            f"argv holds {argument!r}: an argument is a text, a number or a File.",
            "For an optional argument write *option('-flag', value).",
        )


_EXTENSION = re.compile(r"\.[A-Za-z0-9]{1,16}$")


def staged_name(file: File) -> str:
    """Return the name of a file in the work folder: the input it came with, and its own extension."""
    extension = _EXTENSION.search(file.name)
    return (file.place or "file") + (extension.group() if extension else "")


def describe_outputs(outputs: Any, out: Shape) -> dict[str, Output]:
    """Return how each output of a job is found; raise `ModuleError` for what no job can bring."""
    if not out.is_record(outputs):
        raise ModuleError(f"The job's outputs must be given as {out.record_name}(…), got {outputs!r}.")
    described = {}
    for name, shape in out.members.items():
        value = getattr(outputs, name)
        if isinstance(value, Promise):
            described[name] = _as_optional_as(value.output, shape)
        elif value is not None:
            try:
                described[name] = Output("value", value=shape.dump(value, name))
            except WrongType as error:
                raise ModuleError(f"The job's output {error.message}") from None
    return described


def _as_optional_as(output: Output, shape: Shape) -> Output:
    """Return `output`, optional where its place is."""
    if not shape.type.is_optional:
        return output
    return msgspec.structs.replace(output, is_optional=True)
