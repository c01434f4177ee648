"""Outputs of jobs that have not ended, as they were with the last checkpoint; and where a place's output comes from."""

from __future__ import annotations

from typing import Any

from copernicus.dataflow.edits import find_place
from copernicus.dataflow.network import Network, Place
from copernicus.dataflow.paths import parse_path
from copernicus.dataflow.views import source_of
from copernicus.errors import UnknownPath, UsageError
from copernicus.server.projects.followed import job_at
from copernicus.server.projects.live import LiveProject
from copernicus.server.projects.ports import Jobs
from copernicus.server.projects.states import States
from copernicus.server.storage.abc import JobRecord
from copernicus.wire import messages as m


def producer_of(network: Network, place: Place) -> Place | None:
    """Return the output of a command that an output shows, None when it shows none."""
    source: Place | None = place
    while source is not None:
        place, source = source, source_of(network, source)
    instance = network.instances.get(place.instance)
    is_found = instance is not None and place.side == "out" and instance.function.kind == "command" and place.path
    return place if is_found else None


def provisional_at(network: Network, states: States, place: Place) -> m.ProvisionalValue | None:
    """Return what an output was with the last checkpoint of the job that makes it, None when there is no such thing."""
    producer = producer_of(network, place) if place.side == "out" else None
    job = states.job_of(network.instances[producer.instance]) if producer is not None else None
    if producer is None or job is None or job.provisional is None:
        return None
    found = job.provisional
    value: Any = found.outputs
    for member in producer.path:
        if isinstance(value, list) and isinstance(member, int) and 0 <= member < len(value):
            value = value[member]
        elif isinstance(value, dict) and isinstance(member, str):
            value = value.get(member)
        else:
            return None
    return m.ProvisionalValue(value, job.id, found.attempt, found.at, found.progress) if value is not None else None


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
