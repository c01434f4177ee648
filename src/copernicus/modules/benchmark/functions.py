"""Jobs that do nothing, or wait: for measuring what everything around them costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from copernicus.plugin.functions import File, Job, Module, file, text

module = Module("benchmark", "Jobs that do nothing, or wait, for measuring the rest")


@dataclass(frozen=True)
class Nothing:
    """What a job leaves that does nothing.

    Attributes:
        index: the input
        said: what the program printed: nothing
    """

    index: int
    said: str


@dataclass(frozen=True)
class Next:
    """What a link of a chain leaves.

    Attributes:
        next: one more than the input
    """

    next: int


@dataclass(frozen=True)
class Slept:
    """What a job leaves that waits.

    Attributes:
        stdout: what the program printed: nothing
    """

    stdout: File


@dataclass(frozen=True)
class Sum:
    """A sum.

    Attributes:
        sum: of all terms
    """

    sum: float


@module.command
def noop(index: int, files: Sequence[File] = ()) -> Job[Nothing]:
    """Runs `true` in a job of its own.

    Args:
        index: any number
        files: files to be staged
    """
    return Job("benchmark/true", [], Nothing(index=index, said=text("stdout")), needs=_named(files))


@module.command
def link(index: int) -> Job[Next]:
    """Runs `true` in a job of its own, and gives the next number: for chains.

    Args:
        index: any number
    """
    return Job("benchmark/true", [], Next(next=index + 1))


@module.command
def sleep(sleep_time: Annotated[float, "s"]) -> Job[Slept]:
    """Waits in a job of its own."""
    return Job("benchmark/sleep", [sleep_time], Slept(stdout=file("stdout")))


@module.pure(version=1)
def multi_add(terms: Sequence[float]) -> Sum:
    """The sum of all terms."""
    return Sum(sum(terms))


noops = module.scatter("noops", noop, whole=["files"])
sleeps = module.scatter("sleeps", sleep)


def _named(files: Sequence[File]) -> dict[str, File]:
    return {f"file_{number}": given for number, given in enumerate(files)}
