"""What happened to a project, an instance or a job, in lines for people, read from the log and the job book."""

from __future__ import annotations

from collections.abc import Iterator

from copernicus.dataflow import facts as f
from copernicus.dataflow.edits import find_instance
from copernicus.dataflow.network import ROOT, Instance
from copernicus.dataflow.paths import parse_path, show_path
from copernicus.errors import UsageError
from copernicus.model.counts import counted
from copernicus.server.projects.origins import Origins
from copernicus.server.projects.past import Past
from copernicus.server.projects.ports import Jobs, find_job
from copernicus.server.projects.states import States, path_of_job
from copernicus.server.projects.wording import shorten, show_value
from copernicus.server.storage.abc import JobRecord
from copernicus.wire import messages as m

ENTRIES, MOST_ENTRIES = 1_000, 10_000


class Chronicle:
    """Answers `log` in one project."""

    def __init__(self, past: Past, jobs: Jobs) -> None:
        self._past, self._jobs, self._network = past, jobs, past.network
        self._origins = Origins(past, jobs)

    async def log(self, request: m.LogRequest) -> m.LogReply:
        """What happened to a job, an instance and what is inside it, or the project; `UnknownPath` when there is no such."""
        if not 0 <= request.limit <= MOST_ENTRIES or request.before < 0:
            raise UsageError(f"The limit is {request.limit}.", f"It goes from 1 to {MOST_ENTRIES}; 0 stands for {ENTRIES}.")
        job = find_job(self._jobs, self._past.project.row.id, request.target)
        if job is not None:
            return m.LogReply(_attempts(job, path_of_job(self._network, job)))
        top = find_instance(self._network, parse_path(request.target).names)
        ids = {one.id for one in self._network.subtree(top)}
        keys = self._keys(ids)
        wanted = None if top.id == ROOT else ids | keys
        found: list[m.LogEntry] = []
        older = 0
        newest = request.before - 1 if request.before else self._network.seq
        async for record in self._past.records(0, lambda: wanted, newest=lambda: newest):
            if len(found) >= (request.limit or ENTRIES):
                older = record.seq + 1
                break
            found += reversed(list(self._entries(record, ids, keys)))
        if not request.before:
            found += reversed(self._work(top))
            found.sort(key=lambda entry: entry.time, reverse=True)
        return m.LogReply(found[::-1], older)

    def _keys(self, ids: set[int]) -> set[str]:
        """The keys of all evaluations that instances began, or have."""
        network = self._network
        keys = {evaluation.key for evaluation in network.evaluations.values() if evaluation.instance in ids}
        return keys | {network.instances[id].key for id in ids if network.instances[id].key}

    def _work(self, top: Instance) -> list[m.LogEntry]:
        """The attempts at the job of an instance."""
        states = States(self._network, self._past.project.row.id, self._jobs)
        ended = states.ended_job(top)
        job = states.job_of(top) if ended is None else self._jobs.record(ended)
        return _attempts(job, path_of_job(self._network, job)) if job is not None else []

    def _entries(self, record: f.Record, ids: set[int], keys: set[str]) -> Iterator[m.LogEntry]:
        filed = {fact.key for fact in record.facts if isinstance(fact, f.Filed)}
        took = {fact.id for fact in record.facts if isinstance(fact, f.Took)}
        begun = {fact.key for fact in record.facts if isinstance(fact, f.Begun)}
        for fact in record.facts:
            words = self._of_instance(record, fact, ids) or self._of_evaluation(record, fact, keys)
            match fact:
                case f.Stood() if fact.id in ids & took and fact.key not in filed:
                    words = f"{self._name(fact.id)} has its result at once{self._whose(fact)}", ""
                case f.Took() if fact.id in ids and fact.key not in begun and self._is_anothers(fact):
                    words = f"{self._name(fact.id)} waits for the same work{self._whose(fact)}", ""
                case f.Loaded():
                    words = f"loaded by {record.actor} from an archive of {fact.origin}", ""
            if words:
                yield m.LogEntry(record.time, *words, seq=record.seq)

    def _of_instance(self, record: f.Record, fact: f.Fact, ids: set[int]) -> tuple[str, str] | None:
        if getattr(fact, "id", None) not in ids:
            return None
        who, error = f" by {self._origins.actor(record)}", ""
        match fact:
            case f.Made():
                words = f"{self._name(fact.id)} made ({fact.function})"
            case f.Renamed():
                now = self._name(fact.id)  # what it was called before is not in the fact
                words = f"{now} got {'this name' if now.rpartition(':')[2] == fact.name else f'the name {fact.name}'}{who}"
            case f.Held():
                words = f"{self._name(fact.id)} {'deactivated' if fact.is_held else 'activated'}{who}"
            case f.HeldByController():
                words = f"{self._name(fact.id)} {'held: ' + fact.why if fact.why else 'goes on'}"
            case f.Wrote() if fact.side == "in":
                value = "unset" if fact.value is None else "set to " + shorten(show_value(fact.value))
                words = f"{show_path(self._name(fact.id), fact.side, fact.path)} {value}{who}"
            case f.Shortened() if fact.side == "in":
                length = counted(fact.length, "element")
                words = f"{show_path(self._name(fact.id), fact.side, fact.path)} shortened to {length}{who}"
            case f.Connected():
                source = show_path(self._name(fact.source), fact.source_side, fact.source_path)
                words = f"{show_path(self._name(fact.id), fact.side, fact.path)} connected to {source}{who}"
            case f.Disconnected():
                words = f"{show_path(self._name(fact.id), fact.side, fact.path)} disconnected{who}"
            case f.ErrorSet():
                words, error = f"{self._name(fact.id)} in error", fact.error
            case f.ErrorCleared():
                words = f"{self._name(fact.id)}: error cleared{who}"
            case f.Reset():
                words = f"{self._name(fact.id)} begins anew{who}"
            case f.Noted() if fact.warning:
                words, error = f"{self._name(fact.id)} warns", fact.warning
            case _:
                return None
        return words, error

    def _of_evaluation(self, record: f.Record, fact: f.Fact, keys: set[str]) -> tuple[str, str] | None:
        match fact:
            case f.Filed() if fact.key in keys:
                job = self._network.job_now(fact.job, record.seq)
                number = f"job {job}" if job else "a job elsewhere"
                by = f" ({number}, attempt {fact.attempt}, {fact.core_s:.1f} core-s)" if fact.job else ""
                words = f"{self._maker(fact.key)} {'failed' if fact.outputs is None else 'done'}{by}"
                return words, fact.error
            case f.Discarded() if fact.key in keys:
                return f"{self._maker(fact.key)}: a result is gone", ""
            case f.Reopened() if fact.key in keys:
                return f"{self._maker(fact.key)} is tried again", ""
        return None

    def _is_anothers(self, fact: f.Took) -> bool:
        evaluation = self._network.evaluations.get(fact.key)
        return evaluation is not None and evaluation.instance != fact.id and evaluation.state == "open"

    def _whose(self, fact: f.Stood | f.Took) -> str:
        evaluation = self._network.evaluations[fact.key]
        maker = "" if evaluation.instance == fact.id else f" of {self._name(evaluation.instance)}"
        return f"{maker} (job {evaluation.job})" if evaluation.job is not None else maker

    def _maker(self, key: str) -> str:
        return self._name(self._network.evaluations[key].instance)

    def _name(self, id: int) -> str:
        return self._network.path_of(id) if id in self._network.instances else f"(instance {id}, removed)"


def _attempts(job: JobRecord, path: str) -> list[m.LogEntry]:
    command = " ".join([job.description.executable, *job.description.arguments])
    before = f", goes on from job {job.extends}" if job.extends else ""
    entries = [m.LogEntry(job.created_at, f"job {job.id} made for {path}{before}", command)]
    for one in job.attempts:
        where = f"attempt {one.attempt} on {one.hostname or one.worker} ({counted(one.cores, 'core')})"
        entries.append(m.LogEntry(one.started_at, f"job {job.id}: {where} began"))
        if one.ended_at is not None:
            status = f", exit status {one.exit_status}" if one.exit_status is not None else ""
            tails = [("stdout", one.stdout_tail), ("stderr", one.stderr_tail)]
            text = "\n".join([one.error, *(f"--- last lines of {kind}:\n{tail}" for kind, tail in tails if tail)]).strip()
            entries.append(m.LogEntry(one.ended_at, f"job {job.id}: {where} ended: {one.outcome}{status}", text))
    return entries
