"""Which files a project holds, and why: what a person gave, what stands now, what is superseded. Plain functions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

import msgspec

from copernicus.dataflow import facts as f
from copernicus.dataflow.discarding import is_superseded, shown_keys
from copernicus.dataflow.network import ROOT, Network
from copernicus.dataflow.paths import Member
from copernicus.model.jobs import OPEN_STATES
from copernicus.model.values import FileRef, files_in
from copernicus.server.storage.abc import JobRecord

Class = Literal["inputs", "current", "superseded", "checkpoints", "uploads"]
CLASSES: tuple[Class, ...] = ("inputs", "current", "superseded", "checkpoints", "uploads")


class Held(NamedTuple):
    """One file that something refers to. `is_kept`: it is not to be deleted. `instance` is whose it is, `key` whose result."""

    file: FileRef
    kind: Class
    is_kept: bool
    instance: int = ROOT
    key: str = ""


class Given(NamedTuple):
    """A file that a user put at an input, with record `seq`."""

    instance: int
    path: tuple[Member, ...]
    seq: int
    file: FileRef


class LogIndex:
    """What the log alone knows: files that users gave in any version, and those that were written and replaced since.

    Users write the inputs of instances at the top, and nobody else does. Take the records in order.
    """

    def __init__(self) -> None:
        self.seq = 0
        self.given: list[Given] = []
        self.declared: dict[str, FileRef] = {}
        self.written: dict[str, FileRef] = {}
        self._tops: set[int] = set()

    def take(self, data: bytes) -> None:
        """Read one record."""
        record = f.decode_record(data)
        self.seq = record.seq
        for fact in record.facts:
            match fact:
                case f.Made(id=id, parent=parent) if parent == ROOT:
                    self._tops.add(id)
                case f.Wrote(id=id, side="in", path=path, value=value) if id in self._tops:
                    self.given += [Given(id, path, record.seq, file) for file in files_in(value)]
                case f.Wrote(value=value):
                    self.written.update((file.blob, file) for file in files_in(value))
                case f.Declared(schema=schema):
                    self.declared.update((file.blob, file) for file in files_in(msgspec.to_builtins(schema)))
                case f.Purged(side="in"):
                    self.given = [one for one in self.given if not _is_given_up(one, fact)]

    def holds(self) -> Iterator[Held]:
        """All that it knows of."""
        yield from (Held(one.file, "inputs", True, one.instance) for one in self.given)
        yield from (Held(file, "inputs", True) for file in self.declared.values())
        yield from (Held(file, "superseded", False) for file in self.written.values())


def _is_given_up(one: Given, fact: f.Purged) -> bool:
    is_there = one.instance == fact.id and one.path[: len(fact.path)] == fact.path
    return is_there and one.seq <= fact.seq and one.file.blob not in fact.keeps


def network_holds(network: Network) -> Iterator[Held]:
    """The files that a network refers to now: values that stand, and results of keys, present ones and others."""
    for instance in network.instances.values():
        for side, values in instance.values.items():
            if values:
                kind: Class = "inputs" if side == "in" else "current"
                yield from (Held(file, kind, True, instance.id) for file in files_in(values))
    shown = shown_keys(network)
    for evaluation in network.evaluations.values():
        if evaluation.outputs:
            is_old = is_superseded(evaluation, shown)
            kind = "superseded" if is_old else "current"
            key = evaluation.key if is_old else ""
            yield from (Held(file, kind, not is_old, evaluation.instance, key) for file in files_in(evaluation.outputs))
    for schema in network.functions.values():
        yield from (Held(file, "inputs", True) for file in files_in(msgspec.to_builtins(schema)))


def job_holds(network: Network, jobs: Iterable[JobRecord]) -> Iterator[Held]:
    """The files of jobs: all of open ones; of ended ones the checkpoints, kept as long as somebody wants their key."""
    for job in jobs:
        evaluation = network.evaluations.get(job.key)
        is_wanted = evaluation is not None and bool(evaluation.wanted)
        is_open = job.state in OPEN_STATES
        if is_open:
            yield from (Held(one.file, "current", True, job.instance) for one in job.description.files)
        yield from (Held(one.file, "checkpoints", is_open or is_wanted, job.instance) for one in job.checkpoint)
        if job.provisional is not None:
            yield from (Held(file, "checkpoints", is_open, job.instance) for file in files_in(job.provisional.outputs))
