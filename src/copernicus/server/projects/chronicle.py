"""What happened to a project, an instance or a job, in lines for people, read from the log and the job book."""

from __future__ import annotations

from copernicus.dataflow import facts as f
from copernicus.dataflow.edits import find_instance
from copernicus.dataflow.paths import parse_path, show_path
from copernicus.server.projects.live import LiveProject
from copernicus.server.projects.ports import Jobs, find_job
from copernicus.server.projects.states import States, path_of_job
from copernicus.server.projects.wording import shorten, show_value
from copernicus.server.storage.abc import BookStore, JobRecord
from copernicus.wire import messages as m

RECORD_LIMIT = 20_000


class Chronicle:
    """Answers `log` in one project."""

    def __init__(self, project: LiveProject, jobs: Jobs, store: BookStore) -> None:
        self._project, self._jobs, self._store, self._network = project.row.id, jobs, store, project.network
        self._states = States(project.network, project.row.id, jobs)

    def log(self, target: str) -> list[m.LogEntry]:
        """What happened to a job, an instance and what is inside it, or ("") the project; oldest first."""
        job = find_job(self._jobs, self._project, target)
        if job is not None:
            return _attempts(job, path_of_job(self._network, job))
        top = find_instance(self._network, parse_path(target).names)
        ids = {one.id for one in self._network.subtree(top)}
        keys = {one.key for one in self._network.subtree(top) if one.key}
        entries: list[m.LogEntry] = []
        for _, data in self._store.records(self._project, max(0, self._network.seq - RECORD_LIMIT)):
            record = f.decode_record(data)
            for fact in record.facts:
                entry = self._entry(record, fact, ids, keys)
                if entry is not None:
                    entries.append(entry)
        ended = self._states.ended_job(top)
        current = self._states.job_of(top) if ended is None else self._jobs.record(ended)
        if current is not None:
            entries += _attempts(current, path_of_job(self._network, current))
        return entries

    def _entry(self, record: f.Record, fact: f.Fact, ids: set[int], keys: set[str]) -> m.LogEntry | None:
        def name(id: int) -> str:
            return self._network.path_of(id) if id in self._network.instances else f"(instance {id}, removed)"

        match fact:
            case f.Made() if fact.id in ids:
                return m.LogEntry(record.time, f"{name(fact.id)} made ({fact.function})")
            case f.Renamed() if fact.id in ids:
                return m.LogEntry(record.time, f"{name(fact.id)} renamed to {fact.name} by {record.actor}")
            case f.Held() if fact.id in ids:
                word = "deactivated" if fact.is_held else "activated"
                return m.LogEntry(record.time, f"{name(fact.id)} {word} by {record.actor}")
            case f.Wrote() if fact.id in ids and fact.side == "in":
                where = show_path(name(fact.id), fact.side, fact.path)
                word = "unset" if fact.value is None else "set to " + shorten(show_value(fact.value))
                return m.LogEntry(record.time, f"{where} {word} by {record.actor}")
            case f.Filed() if fact.key in keys:
                where = name(self._network.evaluations[fact.key].instance)
                job = self._network.job_now(fact.job, record.seq)
                number = f"job {job}" if job else "a job elsewhere"
                by = f" ({number}, attempt {fact.attempt}, {fact.core_s:.1f} core-s)" if fact.job else ""
                return m.LogEntry(record.time, f"{where} {'failed' if fact.outputs is None else 'done'}{by}", fact.error)
            case f.Discarded() if fact.key in keys:
                return m.LogEntry(record.time, f"{name(self._network.evaluations[fact.key].instance)}: a result is gone")
            case f.Loaded():
                return m.LogEntry(record.time, f"loaded by {record.actor} from an archive of {fact.origin}")
            case f.ErrorSet() if fact.id in ids:
                return m.LogEntry(record.time, f"{name(fact.id)} in error", fact.error)
            case f.Noted() if fact.id in ids and fact.warning:
                return m.LogEntry(record.time, f"{name(fact.id)} warns", fact.warning)
        return None


def _attempts(job: JobRecord, path: str) -> list[m.LogEntry]:
    command = " ".join([job.description.executable, *job.description.arguments])
    before = f", goes on from job {job.extends}" if job.extends else ""
    entries = [m.LogEntry(job.created_at, f"job {job.id} made for {path}{before}", command)]
    for one in job.attempts:
        where = f"attempt {one.attempt} on {one.hostname or one.worker} ({one.cores} cores)"
        entries.append(m.LogEntry(one.started_at, f"job {job.id}: {where} began"))
        if one.ended_at is not None:
            status = f", exit status {one.exit_status}" if one.exit_status is not None else ""
            tails = [("stdout", one.stdout_tail), ("stderr", one.stderr_tail)]
            text = "\n".join([one.error, *(f"--- last lines of {kind}:\n{tail}" for kind, tail in tails if tail)]).strip()
            entries.append(m.LogEntry(one.ended_at, f"job {job.id}: {where} ended: {one.outcome}{status}", text))
    return entries
