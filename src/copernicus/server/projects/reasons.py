"""Why something is as it is: the state of an instance or a job, with what lies behind it, in lines for people."""

from __future__ import annotations

from copernicus.dataflow.edits import find_instance
from copernicus.dataflow.network import ROOT, Instance
from copernicus.dataflow.paths import parse_path
from copernicus.dataflow.status import is_retired, own_error
from copernicus.errors import UnknownPath
from copernicus.server.projects.live import LiveProject
from copernicus.server.projects.ports import Jobs, find_job
from copernicus.server.projects.states import States, path_of_job
from copernicus.server.storage.abc import JobRecord

REASON_LIMIT = 5


class Reasons:
    """Answers `why` in one project."""

    def __init__(self, project: LiveProject, jobs: Jobs) -> None:
        self._project, self._jobs, self._network = project.row.id, jobs, project.network
        self._slow_call_s = project.slow_call_s
        self._states = States(project.network, project.row.id, jobs)

    def why(self, target: str) -> list[str]:
        """Why something is as it is, most important first."""
        job = find_job(self._jobs, self._project, target)
        if job is not None:
            why = f": {job.why_blocked}" if job.why_blocked else ""
            lines = [f"job {job.id} of {path_of_job(self._network, job)} is {job.state}{why}"]
            if job.state != "failed":
                lines += self._jobs.explain(job.id)
            last = _last_lines(job)
            return lines if set(last[1:]) <= set(job.why.splitlines()) else lines + last
        path = parse_path(target)
        instance = find_instance(self._network, path.names)
        if instance.id == ROOT:
            raise UnknownPath("`why` needs the path of an instance, or a job's number.")
        state, why = self._states.state_of(instance)
        lines = [f"{self._network.path_of(instance.id)} is {state}" + (f": {why}" if why not in ("", state) else "")]
        if state == "held" and instance.is_held:
            lines.append(f"Let it run with: cpcc activate {self._network.path_of(instance.id)}")
        if instance.warning:
            lines.append(f"warning: {instance.warning}")
        slow_s = self._slow_call_s(instance.id) if instance.function.kind == "controller" else 0.0
        if slow_s:
            lines.append(
                f"warning: its last call took {slow_s:.1f} s; work that takes longer than a second belongs into a command"
            )
        lines += self._waits(instance)
        return lines + self._errors_inside(instance)

    def _errors_inside(self, instance: Instance) -> list[str]:
        """The errors of instances inside: the first as it is, of some more their first lines, of the rest the number."""
        network = self._network
        inside = (one for one in network.subtree(instance) if one is not instance and not is_retired(network, one))
        found = [(network.path_of(one.id), error) for one in inside if (error := own_error(network, one))]
        lines = [f"{path} is in error: {error}" for path, error in found[:1]]
        lines += [f"{path} is in error: {error.splitlines()[0]}" for path, error in found[1:REASON_LIMIT]]
        if len(found) > REASON_LIMIT:
            lines.append(f"{len(found) - REASON_LIMIT} more are in error.")
        return lines

    def _waits(self, instance: Instance) -> list[str]:
        """What the open jobs at and below an instance wait for; each reason once, with how many wait for it."""
        found: dict[tuple[str, ...], list[str]] = {}
        for one in self._network.subtree(instance):
            job = self._states.job_of(one)
            if job is not None and job.state in ("queued", "blocked", "leased"):
                found.setdefault(tuple(self._jobs.explain(job.id)), []).append(f"job {job.id} of {job.path}")
            if len(found) > REASON_LIMIT:
                break
        lines = []
        for reasons, jobs in found.items():
            if instance.children:
                more = f" and {len(jobs) - 1} more" if len(jobs) > 1 else ""
                lines.append(f"{jobs[0]}{more}:")
            lines += reasons
        return lines


def _last_lines(job: JobRecord) -> list[str]:
    if not job.attempts or job.state not in ("failed", "queued"):
        return []
    last = job.attempts[-1]
    tail = (last.stderr_tail or last.stdout_tail).splitlines()[-10:]
    return [f"attempt {last.attempt} on {last.hostname or last.worker}: {last.outcome} {last.error}".rstrip(), *tail]
