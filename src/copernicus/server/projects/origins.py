"""Origins: who, what call or what job made a version."""

from __future__ import annotations

from msgspec.structs import replace

from copernicus.dataflow import facts as f
from copernicus.dataflow.network import ROOT, Network
from copernicus.server.projects.conflicts import BY_THE_MACHINE
from copernicus.server.projects.happenings import Happening
from copernicus.server.projects.past import Past, Result
from copernicus.server.projects.ports import Jobs
from copernicus.wire import messages as m


class Origins:
    """Tells origins in one project."""

    def __init__(self, past: Past, jobs: Jobs) -> None:
        self._past, self._jobs = past, jobs

    @property
    def _network(self) -> Network:
        return self._past.network

    def of(self, record: f.Record, happening: Happening) -> m.Origin:
        """The origin of what a record did to a place."""
        network, place = self._network, happening.place
        if happening.result is not None:
            return self.of_result(happening.result, record, place.instance)
        instance = network.instances[place.instance]
        around = network.instances.get(instance.parent) if instance.parent != ROOT else None
        if place.side == "in" and around is not None and around.function.kind == "network" and _is_made(record, instance.id):
            return m.Origin("constant", path=network.path_of(around.id), function=around.function.name)
        if record.cause not in BY_THE_MACHINE:
            return m.Origin("user", who=self.actor(record))
        for fact in record.facts:
            if isinstance(fact, f.Seen) and fact.id in network.instances:
                caller = network.instances[fact.id]
                return m.Origin("call", path=network.path_of(caller.id), function=caller.function.name)
        return m.Origin("server")

    def actor(self, record: f.Record) -> str:
        """Who caused a record: `user@server` when the project was on another server then."""
        elsewhere = next((seq for seq in self._network.moves if seq > record.seq), None)
        loaded = self._past.record(elsewhere) if elsewhere is not None else None
        origins = [fact.origin for fact in loaded.facts if isinstance(fact, f.Loaded)] if loaded is not None else []
        servers = [origin.rpartition("@")[2] for origin in origins[:1]]  # who saved it there is another matter
        return "@".join([record.actor, *servers])

    def of_result(self, result: Result, record: f.Record, shown_by: int) -> m.Origin:
        """The origin of an evaluation's result, as an instance shows it since `record`."""
        network, fact = self._network, result.fact
        evaluation = network.evaluations[fact.key]
        name = self._name(evaluation.instance)
        takes = any(isinstance(one, f.Took) and one.id == shown_by for one in record.facts)
        is_reused = evaluation.instance != shown_by or (takes and result.seq < record.seq)
        job = network.job_now(fact.job, result.seq)
        origin = m.Origin(
            "call" if fact.job is None else "job",
            path=self._name(shown_by),
            function=evaluation.function.name,
            key=fact.key,
            job=job,
            attempt=fact.attempt,
            worker=fact.worker,
            version=fact.version,
            core_s=fact.core_s,
            is_reused=is_reused,
            made_for=name if is_reused else "",
            filed_seq=result.seq,
            filed_at=result.time,
        )
        return self._with_job(origin)

    def _name(self, id: int) -> str:
        network = self._network
        return network.path_of(id) if id in network.instances else f"(instance {id}, removed)"

    def _with_job(self, origin: m.Origin) -> m.Origin:
        job = self._jobs.record(origin.job) if origin.job is not None else None
        if job is None:
            return origin
        row = next((row for row in job.attempts if row.attempt == origin.attempt), None)
        hostname = row.hostname if row is not None else ""
        return replace(origin, executable=job.description.executable, hostname=hostname, extends=job.extends)


def _is_made(record: f.Record, id: int) -> bool:
    return any(isinstance(fact, f.Made) and fact.id == id for fact in record.facts)
