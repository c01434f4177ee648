"""The state of an instance in words, read off the facts: held, error, running, waiting, idle - each with its reason."""

from __future__ import annotations

from collections import Counter

from copernicus.dataflow.network import ROOT, Instance, Network, Place
from copernicus.dataflow.status import is_pending, is_retired, own_error, why_held
from copernicus.dataflow.views import NOWHERE, inputs_of, read, source_of
from copernicus.server.projects.ports import Jobs
from copernicus.server.storage.abc import JobRecord
from copernicus.wire.messages import InstanceRow

_JOB_WORDS = {"queued": "its job waits for a worker", "leased": "its job runs", "blocked": "its job is blocked"}


def path_of_job(network: Network, job: JobRecord) -> str:
    """The path that the instance of a job has now, or had when it was removed."""
    return network.path_of(job.instance) if job.instance in network.instances else job.path


class States:
    """Reads states of one project; it remembers what it has found, so make one for each answer."""

    def __init__(self, network: Network, project: str, jobs: Jobs) -> None:
        self._network, self._project, self._jobs = network, project, jobs
        self._below: dict[int, Counter[str]] = {}
        self._held: dict[int, str] = {}
        self._asked: set[int] = set()

    def job_of(self, instance: Instance) -> JobRecord | None:
        """The job of an instance's present key while it has not ended, or None."""
        if not instance.key or instance.function.kind != "command":
            return None
        # Ended jobs are on disk only, and what people want to know of them stands in the evaluation.
        is_open = self._network.evaluations[instance.key].state == "open"
        return self._jobs.find(self._project, instance.key) if is_open else None

    def ended_job(self, instance: Instance) -> int | None:
        """The number of the job that ended the evaluation of an instance's present key, or None."""
        evaluation = self._network.evaluations.get(instance.key)
        return evaluation.job if evaluation is not None and evaluation.state != "open" else None

    def state_of(self, instance: Instance) -> tuple[str, str]:
        """Return (state, why)."""
        network = self._network
        held = self._why_held(instance)
        if held:
            return "held", "" if held == "held" else held
        error = own_error(network, instance)
        if error:
            return "error", error
        if instance.function.kind in ("network", "scatter"):
            return self._composite(instance)
        if instance.is_evaluated and instance.key and network.evaluations[instance.key].state == "open":
            job = self.job_of(instance)
            if job is None:
                return "running", "being evaluated"
            words = _JOB_WORDS.get(job.state, f"its job is {job.state}")
            return "running", f"{words}: {job.why_blocked}" if job.why_blocked else words
        if instance.in_flight:
            return "running", "called" if instance.function.kind == "controller" else "its job is being described"
        if instance.is_evaluated and instance.key and not is_pending(network, instance):
            return "idle", ""  # its inputs were there when its key was taken, and have not changed since
        absent = self.absent_input(instance)
        if absent:
            return "waiting", absent
        if instance.function.kind == "controller" and instance.is_busy:
            return "running", "instances inside are running"
        return "idle", ""

    def _why_held(self, instance: Instance) -> str:
        """As `why_held`, which walks up to the top, but once for all that stand beside each other."""
        if instance.is_held or instance.held_why or instance.index is not None or instance.parent == ROOT:
            return why_held(self._network, instance)
        if instance.parent not in self._held:
            self._held[instance.parent] = why_held(self._network, self._network.instances[instance.parent])
        held = self._held[instance.parent]
        return f"{self._network.path_of(instance.parent)} is held" if held == "held" else held

    def _composite(self, instance: Instance) -> tuple[str, str]:
        if instance.is_busy:
            return "running", "instances inside are running"
        counts = self._count(instance)
        if counts["error"] and counts["error"] == counts.total():
            return "error", self._first_error(instance, counts["error"])
        has_begun = any(one.key or one.seen for one in self._network.subtree(instance))
        absent = "" if has_begun else self.absent_input(instance)
        if not absent and counts["waiting"]:
            # Something inside cannot go on: that is not the rest of who has done all there was.
            absent = self._first_waiting(instance)
        return ("waiting", absent) if absent else ("idle", "")

    def _first_error(self, instance: Instance, count: int) -> str:
        """What to say of an instance in which everything has failed."""
        for one in self._network.subtree(instance):
            error = own_error(self._network, one)
            if error and not is_retired(self._network, one):
                others = f"all {count} inside failed, the first " if count > 1 else ""
                return f"{others}{self._network.path_of(one.id)}: {error.splitlines()[0]}"
        return ""

    def _first_waiting(self, instance: Instance) -> str:
        for one in self._network.subtree(instance):
            if one.function.kind not in ("network", "scatter") and not is_retired(self._network, one):
                state, why = self.state_of(one)
                if state == "waiting":
                    return f"{self._network.path_of(one.id)}: {why}"
        return ""

    def absent_inputs(self, instance: Instance, most: int) -> list[str]:
        """All required inputs that are absent, the first `most` of them, with where each is to come from."""
        network, found = self._network, []
        for field in instance.function.inputs:
            place = Place(instance.id, "in", (field.name,))
            if field.is_required and field.default is None and read(network, place) is None:
                source = self._origin(place)
                found.append(f"in.{field.name} is absent" + (f" ({source})" if source else ""))
        return found[:most]

    def absent_input(self, instance: Instance) -> str:
        """Return which required input is absent, and where it is to come from ("": all are there)."""
        _, missing = inputs_of(self._network, instance)
        if not missing:
            return ""
        field = missing.partition("[")[0].partition(".")[0]
        place = Place(instance.id, "in", (field,))
        index = missing.partition("[")[2].partition("]")[0]
        if index.isdigit():
            place = Place(instance.id, "in", (field, int(index)))
        source = self._origin(place)
        return f"in.{missing} is absent" + (f" ({source})" if source else "")

    def _origin(self, place: Place) -> str:
        network, steps = self._network, 0
        while (source := source_of(network, place)) is not None and source is not NOWHERE and steps < 100:
            place, steps = source, steps + 1
        if not steps or place.side != "out":
            return ""
        instance = network.instances[place.instance]
        if instance.id in self._asked:
            return ""  # a circle through a controller: each waits for the other
        self._asked.add(instance.id)
        state, why = self.state_of(instance)
        self._asked.discard(instance.id)
        return f"{network.path_of(place.instance)}: {state}" + (f", {why.splitlines()[0]}" if why else "")

    def below(self, instance: Instance) -> dict[str, int]:
        """Count the states of the instances inside that do work themselves; retired indices are left out."""
        return dict(sorted(self._count(instance).items()))

    def _count(self, instance: Instance) -> Counter[str]:
        counts = self._below.get(instance.id)
        if counts is None:
            counts = self._below[instance.id] = Counter()
            for child in self._network.children(instance):
                if is_retired(self._network, child):
                    continue
                if child.function.kind not in ("network", "scatter"):
                    counts[self.state_of(child)[0]] += 1
                if child.children:
                    counts.update(self._count(child))
        return counts

    def row(self, instance: Instance) -> InstanceRow:
        """One instance for people."""
        state, why = self.state_of(instance)
        job, ended = self.job_of(instance), self.ended_job(instance)
        return InstanceRow(
            path=self._network.path_of(instance.id),
            function=instance.function.name,
            state=state,
            why=why,
            since=instance.since or None,
            below=self.below(instance) if instance.children else {},
            note=instance.note,
            warning=instance.warning,
            job=job.id if job else ended,
            job_state=job.state if job else None if ended is None else "failed" if state == "error" else "done",
        )

    def in_error(self) -> list[InstanceRow]:
        """All instances that are in error themselves."""
        network = self._network
        return [
            self.row(one)
            for one in network.subtree(network.instances[ROOT])
            if one.id != ROOT and own_error(network, one) and not is_retired(network, one)
        ]
