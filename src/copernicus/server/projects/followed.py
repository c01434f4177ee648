"""The one job, or file of it, that somebody means who wants to see what comes out of a job while it runs."""

from __future__ import annotations

from copernicus.dataflow.edits import find_instance, find_place
from copernicus.dataflow.paths import parse_path
from copernicus.errors import UnknownPath, UsageError
from copernicus.server.projects.live import LiveProject
from copernicus.server.projects.ports import Jobs, find_job
from copernicus.server.projects.provisional import producer_of, provisional_at
from copernicus.server.projects.states import States
from copernicus.server.storage.abc import JobRecord
from copernicus.wire import messages as m

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


def file_meant(project: LiveProject, jobs: Jobs, target: str) -> tuple[JobRecord, str, int, m.ProvisionalValue | None]:
    """The job, the globs, which of the matches (-1: the last), and the provisional value, of a file of a job that runs.

    `target` is the path of an output, or an instance or a job's number, a slash, and the name of a file in its folder that
    may be watched. Raise `UnknownPath`, `UsageError`.
    """
    whose, slash, name = target.partition("/")
    if slash:
        job = job_at(project, jobs, whose)
        if not name:
            raise UsageError(f"{target} names no file.", f"Write: {whose}/stdout")
        return job, name, -1, None
    network = project.network
    place = find_place(network, parse_path(target), target)
    producer = producer_of(network, place) if place.side == "out" else None
    if producer is None:
        raise UsageError(f"{target} is no output of a command.", "Name one, or a file of a job: 17/stdout")
    states = States(network, project.row.id, jobs)
    found = states.job_of(network.instances[producer.instance])
    if found is None:
        raise UnknownPath(f"There is no job under way that makes {target}.", f"See: cpcc why {target.rpartition(':')[0]}")
    output = found.description.outputs.get(str(producer.path[0]))
    index = producer.path[1] if len(producer.path) == 2 else -1
    is_file = output is not None and output.kind == ("files" if len(producer.path) == 2 else "file")
    if output is None or not is_file or not isinstance(index, int):
        raise UsageError(f"{target} is not one file.", "Name a file, or an element of an array of files.")
    return found, output.pattern, index, provisional_at(network, states, place)
