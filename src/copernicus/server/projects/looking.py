"""What people ask to see of a project: lists, values, status, reasons, history of an instance or a job."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from copernicus.dataflow import facts as f
from copernicus.dataflow import tree
from copernicus.dataflow.edits import find_instance, find_place
from copernicus.dataflow.network import ROOT, Instance, Place
from copernicus.dataflow.paths import APPEND, Path, parse_path, show_path
from copernicus.dataflow.status import is_retired, is_stale, own_error
from copernicus.dataflow.views import read, source_of
from copernicus.errors import UnknownPath, UsageError
from copernicus.model.types import Type
from copernicus.server.projects.live import LiveProject
from copernicus.server.projects.ports import Jobs
from copernicus.server.projects.states import States
from copernicus.server.storage.abc import BookStore, JobRecord
from copernicus.wire import messages as m

TEXT_LIMIT = 200
RECORD_LIMIT = 20_000
REASON_LIMIT = 5


class Looking:
    """Answers questions about one project. Nothing here changes anything."""

    def __init__(self, project: LiveProject, jobs: Jobs, store: BookStore) -> None:
        self._project, self._jobs, self._store = project, jobs, store
        self._network = project.network
        self._states = States(project.network, project.row.id, jobs)

    def listing(self, text: str) -> m.ListReply:
        """What stands at a path."""
        path = parse_path(text)
        instance = find_instance(self._network, path.names)
        if path.side:
            if path.side not in ("in", "out", "state"):
                raise UnknownPath(f"{text!r} has no side {path.side!r}.")
            return m.ListReply("place", str(path), places=self._places(instance, path))
        children = [one for one in self._network.children(instance) if not is_retired(self._network, one)]
        rows = [self._states.row(one) for one in children]
        if instance.id == ROOT:
            return m.ListReply("project", "", instances=rows)
        places = [place for side in ("in", "out", "state") for place in self._places(instance, Path(path.names, side))]
        return m.ListReply("instance", str(path), instances=[self._states.row(instance), *rows], places=places)

    def _places(self, instance: Instance, path: Path) -> list[m.PlaceRow]:
        fields = self._network.fields(instance, path.side)
        if not path.members:
            return [self._place(Place(instance.id, path.side, (name,)), kind) for name, kind in fields.items()]
        kind = tree.type_at(fields, path.members, f"{':'.join(path.names)}:{path.side}")
        place = Place(instance.id, path.side, path.members)
        value = read(self._network, place)
        if value is None:
            self._must_be_there(place)
        if kind.kind == "array" and isinstance(value, list):
            return [self._place(Place(*place[:2], (*place.path, i)), kind.element) for i in range(len(value))]
        if kind.kind == "record":
            return [self._place(Place(*place[:2], (*place.path, name)), member) for name, member in kind.fields]
        return [self._place(place, kind)]

    def _must_be_there(self, place: Place) -> None:
        """Raise unless every element on the way to `place` is one of its array's; it may be absent all the same."""
        for depth, member in enumerate(place.path):
            if not isinstance(member, int):
                continue
            where = show_path(self._network.path_of(place.instance), place.side, place.path[: depth + 1])
            if member == APPEND:
                raise UsageError(f"{where} stands for an element that is to be added.", "Use an index to look at one.")
            array = read(self._network, Place(*place[:2], place.path[:depth]))
            length = len(array) if isinstance(array, list) else 0
            if member >= length:
                count = "1 element" if length == 1 else f"{length} elements"
                raise UnknownPath(f"{where} does not exist: the array has {count}.")

    def _place(self, place: Place, kind: Type) -> m.PlaceRow:
        network = self._network
        value = read(network, place)
        source = source_of(network, place)
        return m.PlaceRow(
            path=show_path(network.path_of(place.instance), place.side, place.path),
            type=str(kind),
            text=shorten(show_value(value)) if value is not None else self._default(place),
            source=show_path(network.path_of(source.instance), source.side, source.path)
            if source and source.instance > ROOT
            else "",
            is_set=value is not None,
            is_stale=is_stale(network, place),
        )

    def _default(self, place: Place) -> str:
        """What holds at an input as long as nothing stands there, "" when that is nothing."""
        if place.side != "in" or len(place.path) != 1:
            return ""
        inputs = self._network.instances[place.instance].function.inputs
        default = next((field.default for field in inputs if field.name == place.path[0]), None)
        return f"{shorten(show_value(default))} (default)" if default is not None else ""

    def get(self, text: str) -> m.GetReply:
        """The value at a place; of a whole side the record of all that is there."""
        path = parse_path(text)
        instance = find_instance(self._network, path.names)
        if path.side and not path.members:
            fields = self._network.fields(instance, path.side)
            places = {name: Place(instance.id, path.side, (name,)) for name in fields}
            values = {name: value for name, place in places.items() if (value := read(self._network, place)) is not None}
            return m.GetReply(str(path), str(Type("record", fields=tuple(fields.items()))), values)
        place = find_place(self._network, path, text)
        kind = tree.type_at(self._network.fields(instance, path.side), path.members, f"{':'.join(path.names)}:{path.side}")
        value = read(self._network, place)
        if value is None:
            self._must_be_there(place)
        return m.GetReply(str(path), str(kind), value, is_stale(self._network, place))

    def status(self) -> m.StatusReply:
        """The project in numbers."""
        network = self._network
        root = network.instances[ROOT]
        return m.StatusReply(
            project=self._project.row.name,
            seq=network.seq,
            states=self._states.below(root),
            jobs=self._jobs.counts(self._project.row.id),
            top=[self._states.row(one) for one in network.children(root)],
            errors=self._states.in_error(),
            core_s=sum(one.core_s for one in network.children(root)),
        )

    def row(self) -> m.ProjectRow:
        """One line about the project."""
        row, network = self._project.row, self._network
        states = self._states.below(network.instances[ROOT])
        return m.ProjectRow(row.name, row.id, row.created_at, states, self._jobs.counts(row.id))

    def _job(self, target: str) -> JobRecord | None:
        if not target.isdigit():
            return None
        job = self._jobs.record(int(target))
        if job is None or job.project != self._project.row.id:
            raise UnknownPath(f"There is no job {target} in this project.", "`cpcc queue` and `cpcc running` list jobs.")
        return job

    def why(self, target: str) -> list[str]:
        """Why something is as it is, most important first."""
        job = self._job(target)
        if job is not None:
            lines = [f"job {job.id} of {job.path} is {job.state}" + (f": {job.why}" if job.why else "")]
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

    def log(self, target: str) -> list[m.LogEntry]:
        """What happened to a job, an instance and what is inside it, or ("") the project; oldest first."""
        job = self._job(target)
        if job is not None:
            return _attempts(job)
        top = find_instance(self._network, parse_path(target).names)
        ids = {one.id for one in self._network.subtree(top)}
        keys = {one.key for one in self._network.subtree(top) if one.key}
        entries: list[m.LogEntry] = []
        for _, data in self._store.records(self._project.row.id, max(0, self._network.seq - RECORD_LIMIT)):
            record = f.decode_record(data)
            for fact in record.facts:
                entry = self._entry(record, fact, ids, keys)
                if entry is not None:
                    entries.append(entry)
        ended = self._states.ended_job(top)
        current = self._states.job_of(top) if ended is None else self._jobs.record(ended)
        if current is not None:
            entries += _attempts(current)
        return entries

    def _entry(self, record: f.Record, fact: f.Fact, ids: set[int], keys: set[str]) -> m.LogEntry | None:
        def name(id: int) -> str:
            return self._network.path_of(id) if id in self._network.instances else f"(instance {id}, removed)"

        match fact:
            case f.Made() if fact.id in ids:
                return m.LogEntry(record.time, f"{name(fact.id)} made ({fact.function})")
            case f.Held() if fact.id in ids:
                word = "deactivated" if fact.is_held else "activated"
                return m.LogEntry(record.time, f"{name(fact.id)} {word} by {record.actor}")
            case f.Wrote() if fact.id in ids and fact.side == "in":
                where = show_path(name(fact.id), fact.side, fact.path)
                word = "unset" if fact.value is None else "set to " + shorten(show_value(fact.value))
                return m.LogEntry(record.time, f"{where} {word} by {record.actor}")
            case f.Filed() if fact.key in keys:
                where = name(self._network.evaluations[fact.key].instance)
                by = f" (job {fact.job}, attempt {fact.attempt}, {fact.core_s:.1f} core-s)" if fact.job else ""
                return m.LogEntry(record.time, f"{where} {'failed' if fact.outputs is None else 'done'}{by}", fact.error)
            case f.ErrorSet() if fact.id in ids:
                return m.LogEntry(record.time, f"{name(fact.id)} in error", fact.error)
            case f.Noted() if fact.id in ids and fact.warning:
                return m.LogEntry(record.time, f"{name(fact.id)} warns", fact.warning)
        return None


def _attempts(job: JobRecord) -> list[m.LogEntry]:
    command = " ".join([job.description.executable, *job.description.argv])
    entries = [m.LogEntry(job.created_at, f"job {job.id} made for {job.path}", command)]
    for one in job.attempts:
        where = f"attempt {one.attempt} on {one.hostname or one.worker} ({one.cores} cores)"
        entries.append(m.LogEntry(one.started_at, f"job {job.id}: {where} began"))
        if one.ended_at is not None:
            status = f", exit status {one.exit_status}" if one.exit_status is not None else ""
            tails = [("stdout", one.stdout_tail), ("stderr", one.stderr_tail)]
            text = "\n".join([one.error, *(f"--- last lines of {kind}:\n{tail}" for kind, tail in tails if tail)]).strip()
            entries.append(m.LogEntry(one.ended_at, f"job {job.id}: {where} ended: {one.outcome}{status}", text))
    return entries


def _last_lines(job: JobRecord) -> list[str]:
    if not job.attempts or job.state not in ("failed", "queued"):
        return []
    last = job.attempts[-1]
    tail = (last.stderr_tail or last.stdout_tail).splitlines()[-10:]
    return [f"attempt {last.attempt} on {last.hostname or last.worker}: {last.outcome} {last.error}".rstrip(), *tail]


def show_value(value: Any) -> str:
    """A value in one line; files by name and size in bytes."""
    if isinstance(value, dict) and "blob" in value and "size" in value:
        return f"{value.get('name', 'file')} ({show_size(value['size'])})"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {show_value(item)}" for name, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join("-" if item is None else show_value(item) for item in value) + "]"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else msgspec.json.encode(value).decode()


def show_size(size_bytes: int) -> str:
    """A size with three digits: 0 B, 30.0 MB."""
    size, units = float(size_bytes), ["B", "kB", "MB", "GB", "TB"]
    while size >= 999.5 and len(units) > 1:
        size, units = size / 1000, units[1:]
    return f"{size:.3g} {units[0]}" if units[0] == "B" or size >= 100 else f"{size:.1f} {units[0]}"


def shorten(text: str) -> str:
    """Cut a text for a list."""
    text = text.replace("\n", " ")
    return text if len(text) <= TEXT_LIMIT else text[: TEXT_LIMIT - 1] + "…"
