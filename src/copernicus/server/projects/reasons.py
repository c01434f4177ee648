"""Why something is as it is: the state of an instance or a job, since when, and what lies behind it, in lines for people."""

from __future__ import annotations

from copernicus.dataflow import facts as f
from copernicus.dataflow.edits import find_instance
from copernicus.dataflow.network import ROOT, Instance, Place
from copernicus.dataflow.paths import Path, parse_path, show_path
from copernicus.dataflow.status import is_remade_itself, is_retired, own_error, stale_input, stale_source
from copernicus.dataflow.views import read, source_of
from copernicus.errors import UnknownPath
from copernicus.model.counts import counted
from copernicus.server.projects.looking import Looking
from copernicus.server.projects.origins import Origins
from copernicus.server.projects.past import Past
from copernicus.server.projects.ports import Jobs, find_job
from copernicus.server.projects.reuse import joined, of_instance
from copernicus.server.projects.states import States, path_of_job
from copernicus.server.projects.wording import ago, span
from copernicus.server.storage.abc import JobRecord

REASON_LIMIT = 5


class Reasons:
    """Answers `why` in one project. `now` is the wall clock's time."""

    def __init__(self, past: Past, jobs: Jobs, now: float) -> None:
        self._past, self._jobs, self._now, self._network = past, jobs, now, past.network
        self._project, self._slow_call_s = past.project.row.id, past.project.slow_call_s
        self._states = States(past.network, self._project, jobs)
        self._origins = Origins(past, jobs)

    async def why(self, target: str) -> list[str]:
        """Why something is as it is, most important first."""
        job = find_job(self._jobs, self._project, target)
        if job is not None:
            return await self._of_job(job)
        path = parse_path(target)
        instance = find_instance(self._network, path.names)
        if instance.id == ROOT:
            raise UnknownPath("`why` needs the path of an instance, a place, or a job's number.")
        if path.members:
            return self._of_place(path, instance, target)
        state, why = self._states.state_of(instance)
        reason = f": {why}" if why not in ("", state) else ""
        lines = [f"{self._name(instance)} is {state}{self._since(instance, state)}{reason}"]
        if state == "held":
            lines += await self._holder(instance)
        if state == "waiting":
            absent = self._states.absent_inputs(instance, REASON_LIMIT)
            lines += absent if len(absent) > 1 else []
        if "does not settle" in instance.error:
            lines.append(f"When it is mended, it is called again after: cpcc clear-error {self._name(instance)}")
        lines += [f"{title}: {words}" for title, words in (("note", instance.note), ("warning", instance.warning)) if words]
        slow_s = self._slow_call_s(instance.id) if instance.function.kind == "controller" else 0.0
        if slow_s:
            lines.append(
                f"warning: its last call took {slow_s:.1f} s; work that takes longer than a second belongs into a command"
            )
        lines += self._staleness(instance)
        if instance.is_evaluated and state != "error":
            whose = joined(self._network, instance)
            if instance.stood == instance.key and not self._is_first(instance):
                whose = of_instance(self._past, instance, self._now)
            lines += [f"{whose[0].upper()}{whose[1:]}."] if whose else []
        lines += self._waits(instance)
        return lines + self._errors_inside(instance)

    def _name(self, instance: Instance) -> str:
        return self._network.path_of(instance.id)

    def _since(self, instance: Instance, state: str) -> str:
        """Since when an instance is in its state, as far as that is one moment."""
        if instance.function.kind in ("network", "scatter") and state != "held":
            return ""
        since = instance.since
        if state == "waiting" and (record := self._past.record(instance.touched)) is not None:
            since = record.time
        return f" (for {span(self._now - since)})" if since else ""

    def _is_first(self, instance: Instance) -> bool:
        """Whether the result that stands was made for this very instance, and has stood since."""
        evaluation = self._network.evaluations.get(instance.stood)
        if evaluation is None or evaluation.instance != instance.id:
            return False
        return evaluation.state != "done" or instance.stood_at <= evaluation.filed

    async def _holder(self, instance: Instance) -> list[str]:
        """Who holds an instance, or what is around it, and since when."""
        for one in self._network.ancestors(instance):
            if not (one.is_held or one.held_why or is_retired(self._network, one)):
                continue
            parent = self._network.instances[one.parent]
            ids = {one.id, one.parent} if is_retired(self._network, one) else {one.id}
            async for record in self._past.records(0, lambda ids=ids: ids):  # type: ignore[misc]
                for fact in record.facts:
                    when = f"{ago(self._now - record.time)} (transaction {record.seq})"
                    match fact:
                        case f.Held() if fact.id == one.id and one.is_held:
                            who = self._origins.actor(record)
                            return [f"{self._name(one)} was deactivated by {who} {when}.", self._activate(one)]
                        case f.Made() if fact.id == one.id and one.is_held:
                            who = self._origins.actor(record)
                            return [f"It has been held since it was made by {who} {when}.", self._activate(one)]
                        case f.HeldByController() if fact.id == one.id and one.held_why and not one.is_held:
                            return [f"The controller {self._name(parent)} has held it since {when}: {one.held_why}"]
                        case f.Widened() if fact.id == one.parent and not one.is_held and not one.held_why:
                            width = counted(fact.width, "index", "indices")
                            return [f"Since {when} {self._name(parent)} has {width}; it waits for more."]
        return []

    def _activate(self, instance: Instance) -> str:
        return f"Let it run with: cpcc activate {self._name(instance)}"

    def _staleness(self, instance: Instance) -> list[str]:
        """Whether what an evaluated instance shows is stale, and why."""
        if not instance.is_evaluated or not instance.is_remade:
            return []
        maker = self._network.evaluations.get(instance.stood)
        came = f"came from job {maker.job}" if maker is not None and maker.job is not None else "is an earlier one"
        source = stale_input(self._network, instance)
        if instance.error or own_error(self._network, instance):
            why = "what is to replace it failed"
        elif is_remade_itself(instance):
            why = "its inputs have changed since"
        else:
            why = f"an input is being made anew by {self._name(source)}" if source else "it is being made anew"
        return [f"Its output is stale: it {came}, and {why}."]

    def _of_place(self, path: Path, instance: Instance, target: str) -> list[str]:
        """Why a place shows what it shows. (From whom that came is told as its origin.)"""
        Looking(self._past.project, self._jobs).get(target)  # raises what is wrong with it
        place = Place(instance.id, path.side, path.members)
        source, stale = source_of(self._network, place), stale_source(self._network, place)
        lines = []
        if source is not None and source.instance in self._network.instances:
            shown = show_path(self._network.path_of(source.instance), source.side, source.path)
            lines.append(f"{path} shows {shown}.")
        if stale is not None:
            state, why = self._states.state_of(stale)
            reason = f", {why.splitlines()[0]}" if why else ""
            lines.append(f"It is stale: {self._name(stale)} makes it anew ({state}{self._since(stale, state)}{reason}).")
        if read(self._network, place) is None:
            lines.append(f"{path} is absent.")
            while source is not None and source.instance in self._network.instances:
                instance = self._network.instances[source.instance]
                place, source = source, source_of(self._network, source)
            if place.side == "out":
                state, why = self._states.state_of(instance)
                reason = f": {why.splitlines()[0]}" if why else ""
                lines.append(f"{self._name(instance)} is {state}{self._since(instance, state)}{reason}")
        return lines

    async def _of_job(self, job: JobRecord) -> list[str]:
        why = f": {job.why_blocked}" if job.why_blocked else ""
        lines = [f"job {job.id} of {path_of_job(self._network, job)} is {job.state}{why}"]
        if job.state != "failed":
            lines += self._jobs.explain(job.id)
        if job.state == "cancelled" or job.is_superseded:
            lines += await self._superseding(job)
        if job.state == "blocked":
            instance = self._network.instances.get(job.instance)
            source = stale_input(self._network, instance) if instance is not None else None
            if source is not None:
                state, reason = self._states.state_of(source)
                lines.append(f"{self._name(source)} is {state}{self._since(source, state)}" + (f": {reason}" if reason else ""))
        if (evaluation := self._network.evaluations.get(job.key)) is not None and len(evaluation.wanted) > 1:
            names = [self._network.path_of(id) for id in sorted(evaluation.wanted)][: REASON_LIMIT + 1]
            lines.append(f"It serves {len(evaluation.wanted)} instances: {', '.join(names[:REASON_LIMIT])}.")
        last = _last_lines(job)
        return lines if set(last[1:]) <= set(job.why.splitlines()) else lines + last

    async def _superseding(self, job: JobRecord) -> list[str]:
        """What took the place of a job that nobody wants any more, and when."""
        instance = self._network.instances.get(job.instance)
        if instance is None:
            return [f"{job.path} was removed."]
        newer: f.Record | None = None
        async for record in self._past.records(0, lambda: {instance.id}):
            took = [fact.key for fact in record.facts if isinstance(fact, f.Took) and fact.id == instance.id]
            if job.key in took:
                break
            left = any(isinstance(fact, f.Left) and fact.id == instance.id for fact in record.facts)
            newer = record if took or left else newer
        if newer is None:
            return []
        present = self._jobs.find(self._project, instance.key) if instance.key else None
        now = f" Now it is job {present.id}." if present is not None else ""
        return [f"Superseded {ago(self._now - newer.time)} (transaction {newer.seq}): its inputs mean other work.{now}"]

    def _errors_inside(self, instance: Instance) -> list[str]:
        """The errors of instances inside: the first as it is, of some more their first lines, of the rest the number."""
        network = self._network
        inside = (one for one in network.subtree(instance) if one is not instance and not is_retired(network, one))
        found = [(one, error) for one in inside if (error := own_error(network, one))]
        lines = [f"{self._name(one)} is in error{self._since(one, 'error')}: {error}" for one, error in found[:1]]
        lines += [f"{self._name(one)} is in error: {error.splitlines()[0]}" for one, error in found[1:REASON_LIMIT]]
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
