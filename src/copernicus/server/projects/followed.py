"""The one job that somebody means who wants to see what comes out of it."""

from __future__ import annotations

from copernicus.dataflow.edits import find_instance
from copernicus.dataflow.paths import parse_path
from copernicus.errors import UnknownPath, UsageError
from copernicus.server.projects.live import LiveProject
from copernicus.server.projects.ports import Jobs, find_job
from copernicus.server.projects.states import States
from copernicus.server.storage.abc import JobRecord

MOST_NAMED = 5


def job_at(project: LiveProject, jobs: Jobs, target: str) -> JobRecord:
    """The job with a number, of an instance, or the only one that runs inside of it.

    Raise `UnknownPath` when there is none, `UsageError` when there are several.
    """
    if (numbered := find_job(jobs, project.row.id, target)) is not None:
        return numbered
    path = parse_path(target)
    if path.side:
        raise UsageError(f"{target} is a value; only jobs can be followed.", f"Name the instance: {':'.join(path.names)}")
    network, states = project.network, States(project.network, project.row.id, jobs)
    top = find_instance(network, path.names)
    if (ended := states.ended_job(top)) is not None and (job := jobs.record(ended)) is not None:
        return job
    found = [job for one in network.subtree(top) if (job := states.job_of(one)) is not None]
    running = [job for job in found if job.state == "leased"] or found
    if len(running) == 1:
        return running[0]
    what = target or "the project"
    if not running:
        raise UnknownPath(f"There is no job of {what} to follow.", f"See: cpcc why {target}" if target else "See: cpcc status")
    names = [f"{job.id} ({job.path})" for job in running[:MOST_NAMED]]
    more = f" and {len(running) - MOST_NAMED} more" if len(running) > MOST_NAMED else ""
    raise UsageError(f"{len(running)} jobs of {what} run: {', '.join(names)}{more}.", "Name one of them.")
