"""A witness with short words, for scenarios."""

from __future__ import annotations

from tests.unit.witness import Witness

from copernicus.dataflow import transaction
from copernicus.dataflow.edits import find_place
from copernicus.dataflow.paths import parse_path
from copernicus.dataflow.views import read
from copernicus.model import edits as e


class Drive(Witness):
    """A witness with short words."""

    def make(self, function: str, name: str, **inputs: object) -> None:
        sets = [e.SetValue(f"{name}:in.{field}", value) for field, value in inputs.items()]
        assert self.edit(e.MakeInstance(f"m::{function}", name), *sets, e.Activate(name))

    def set(self, path: str, value: object) -> None:
        assert self.edit(e.SetValue(path, value))

    def get(self, path: str) -> object:
        return read(self.network, find_place(self.network, parse_path(path), path))

    def answer_all(self) -> None:
        while self.todo:
            self.answer(0)

    def job(self, path: str) -> dict[str, object]:
        """The newest job of an instance."""
        return [job for job in self.jobs.values() if job["path"] == path][-1]

    def run(self, path: str, error: str = "") -> None:
        key = next(key for key, job in self.jobs.items() if job["path"] == path and job["state"] == "queued")
        self.lease(key)
        self.end_job(key, error)
        self.answer_all()

    def asks(self) -> list[str]:
        """Who is asked for a job now."""
        return [self.network.path_of(one.id) for one in self.todo if isinstance(one, transaction.DescribeJob)]

    def last(self) -> int:
        """The newest transaction of a person."""
        return max(self.deeds.done)
