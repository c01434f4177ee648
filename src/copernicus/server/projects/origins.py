"""Origins: who, what call or what job made a version."""

from __future__ import annotations

from msgspec.structs import replace

from copernicus.dataflow import facts as f
from copernicus.dataflow.network import ROOT, Network, Place
from copernicus.server.projects.conflicts import BY_THE_MACHINE
from copernicus.server.projects.past import Past
from copernicus.server.projects.ports import Jobs
from copernicus.wire import messages as m


class Origins:
    """Tells origins in one project."""

    def __init__(self, past: Past, jobs: Jobs) -> None:
        self._past, self._jobs = past, jobs

    @property
    def _network(self) -> Network:
        return self._past.network

    def of(self, record: f.Record, place: Place, key: str) -> m.Origin:
        """The origin of what a record did to `place`: of the result of `key`, where one stood."""
        if key:
            return self.of_result(key, record, place.instance)
        network = self._network
        instance = network.instances[place.instance]
        around = network.instances.get(instance.parent) if instance.parent != ROOT else None
        if place.side == "in" and around is not None and around.function.kind == "network" and _is_made(record, instance.id):
            return m.Origin("constant", path=network.path_of(around.id), function=around.function.name)
        if record.cause not in BY_THE_MACHINE:
            return m.Origin("user", who=record.actor)
        for fact in record.facts:
            if isinstance(fact, f.Seen) and fact.id in network.instances:
                caller = network.instances[fact.id]
                return m.Origin("call", path=network.path_of(caller.id), function=caller.function.name)
        return m.Origin("server")

    def of_result(self, key: str, record: f.Record | None, shown_by: int) -> m.Origin:
        """The origin of an evaluation's result, as an instance shows it since `record`."""
        network = self._network
        evaluation = network.evaluations[key]
        maker = network.instances.get(evaluation.instance)
        name = network.path_of(maker.id) if maker else f"(instance {evaluation.instance}, removed)"
        is_other = evaluation.instance != shown_by
        takes = record is not None and any(isinstance(fact, f.Took) and fact.id == shown_by for fact in record.facts)
        is_back = record is not None and takes and evaluation.filed < record.seq
        filed = self._past.record(evaluation.filed) if evaluation.filed else None
        origin = m.Origin(
            "job" if evaluation.job is not None else "call",
            path=network.path_of(shown_by) if shown_by in network.instances else name,
            function=evaluation.function.name,
            key=key,
            job=evaluation.job,
            attempt=evaluation.attempt,
            worker=evaluation.worker,
            version=evaluation.version,
            core_s=evaluation.core_s,
            is_reused=is_other or is_back,
            made_for=name if is_other or is_back else "",
            filed_seq=evaluation.filed,
            filed_at=filed.time if filed is not None else None,
        )
        return self._with_job(origin)

    def _with_job(self, origin: m.Origin) -> m.Origin:
        job = self._jobs.record(origin.job) if origin.job is not None else None
        if job is None:
            return origin
        row = next((row for row in job.attempts if row.attempt == origin.attempt), None)
        hostname = row.hostname if row is not None else ""
        return replace(origin, executable=job.description.executable, hostname=hostname, extends=job.extends)


def _is_made(record: f.Record, id: int) -> bool:
    return any(isinstance(fact, f.Made) and fact.id == id for fact in record.facts)
