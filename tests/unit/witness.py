"""A witness: drives the engine as a server would, and compares all that it does with the reference model, step by step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from copy import deepcopy
from typing import Any

from tests.unit import functions
from tests.unit.comparison import compare, derived, differ, earlier, observe
from tests.unit.deeds import Deed, Deeds
from tests.unit.reference_history import rename, renamed
from tests.unit.reference_model import Reference
from tests.unit.reference_tree import get
from tests.unit.told import Told
from tests.unit.written_down import WrittenDown

from copernicus.dataflow import engine, transaction
from copernicus.dataflow.calls import ControllerAnswer, ControllerCall
from copernicus.dataflow.edits import find_instance
from copernicus.dataflow.instances import ROOT, Instance, Place
from copernicus.dataflow.network import Network
from copernicus.dataflow.tree import type_at
from copernicus.dataflow.views import read
from copernicus.errors import CopernicusError
from copernicus.model import edits as e
from copernicus.model.types import Type


class Witness:
    """Questions to module code wait in `todo`, jobs in `jobs`; a test chooses what happens next."""

    def __init__(self, every: int = 1) -> None:
        self.every = every
        """After how many steps everything is compared; what the engine did in a step is compared always."""
        self.catalog = transaction.Catalog([functions.MODULE])
        self.network, self.shadow = Network(), Network()
        self.log: list[bytes] = []
        self.todo: list[transaction.Effect] = []
        self.jobs: dict[str, dict[str, Any]] = {}
        self.asked: dict[str, tuple[str, dict[str, Any]]] = {}
        """Function and inputs that each key stands for."""
        self.keys: dict[tuple[str, str, str], str] = {}
        """The newest key for a function, an instance and inputs."""
        self.reference = Reference({schema.name: schema for schema in functions.FUNCTIONS})
        self.clock = 0
        self.happened: Counter[str] = self.reference.happened
        self.deeds = Deeds(self)
        self.written_down = WrittenDown()
        self.is_sound = True
        """No comparison has failed."""
        self.told = Told()
        """What whoever answers the controllers' calls keeps."""
        self.seen_at: dict[str, tuple[int, dict[str, Any]]] = {}
        """When each call under way was made, and what it saw."""

    # --- what happens ------------------------------------------------------------------------------------------------

    def step(self, event: engine.Event, follow: Callable[[], None] = lambda: None) -> engine.Outcome:
        """Let the engine do a step and the reference `follow`; compare."""
        self.clock += 1
        self.is_sound = False
        try:
            outcome = engine.step(self.network, self.catalog, event, float(self.clock))
        except CopernicusError:
            self.is_sound = True
            raise
        assert self.network.journal is None
        if outcome.data is not None:
            self.log.append(outcome.data)
        follow()
        self.reference.widen()
        for effect in outcome.effects:
            self.happened[f"effect {type(effect).__name__}"] += 1
            self._perform(effect)
        observe(self)
        for effect in outcome.effects:
            if isinstance(effect, transaction.StartCall):
                self.reference.await_children(self.network.path_of(effect.call.instance))
            if isinstance(effect, transaction.StartCall) and self.told.has(effect.call):
                # It is heard when it is answered; what it means is looked at now.
                self._check_call(self.told.twin(effect.call.instance).hear(effect.call))
        if self.clock % self.every == 0:
            self.compare()
        self.is_sound = True
        return outcome

    def compare(self) -> None:
        """Compare everything."""
        self.compare_with_log()
        compare(self)

    def compare_with_log(self) -> None:
        """What is there must be what was logged, byte for byte."""
        for data in self.log[self.shadow.seq :]:
            engine.fold(self.shadow, data)
        difference = differ(self.shadow, self.network)
        assert not difference, f"what was logged is not what is there: {difference}"

    def edit(self, *edits: e.Edit, is_check: bool = False) -> bool:
        """Ask for edits; say whether they were accepted. Those that are refused, or only checked, leave no trace."""
        before, asks = derived(self.network), len(self.todo)
        stood = self.deeds.stand(is_whole=any(isinstance(edit, e.RemoveInstance) for edit in edits))

        def follow() -> None:
            for edit in edits if not is_check else ():
                self._follow(edit)

        try:
            outcome = self.step(engine.EditsRequested(list(edits), "ada", is_check), follow)
        except CopernicusError:
            is_check, is_accepted = True, False
        else:
            is_accepted = True
            if outcome.seq is not None:
                self.deeds.done[outcome.seq] = Deed(stood, self.deeds.stand(is_whole=False))
        if is_check:
            self.compare_with_log()
            assert derived(self.network) == before, "a refused transaction left something behind"
            assert len(self.todo) == asks
        return is_accepted

    def answer(self, position: int, answer: ControllerAnswer | None = None) -> None:
        """Answer a question that waits; a controller's answer can be given."""
        effect = self.todo.pop(position)
        match effect:
            case transaction.DescribeJob():
                description = functions.describe(effect.function, effect.inputs)
                event = engine.JobDescribed(effect.id, effect.seen, description, "" if description else "unlucky")
                self.step(event, lambda: self._was_asked(effect.id, effect.seen))
            case transaction.EvaluatePure():
                outputs = functions.evaluate(effect.function, effect.inputs)
                self.step(engine.PureEvaluated(effect.key, outputs), lambda: self._file(effect.key, ("done", outputs)))
            case transaction.StartCall():
                told = self._whoever_answers(effect.call)
                if not told.has(effect.call):
                    self.forgotten(effect.call)
                else:
                    call = told.hear(effect.call)
                    self._end_call(call, told.said(call, answer or functions.control(call)))

    def _whoever_answers(self, call: ControllerCall) -> Told:
        """What is said to a call that nobody waits for any more is forgotten."""
        instance = self.network.instances.get(call.instance)
        is_waited_for = instance is not None and instance.in_flight == call.seen
        return self.told if is_waited_for else self.told.twin(call.instance)

    def forgotten(self, call: ControllerCall) -> None:
        """Whoever is called has lost what the difference is to: the call is made again, with everything."""
        event = engine.CallForgotten(call.instance, call.seen)
        self.step(event, lambda: self._was_asked(call.instance, call.seen))

    def lease(self, key: str) -> None:
        """A worker begins a job."""
        assert self.jobs[key]["state"] == "queued"
        self.jobs[key]["state"] = "leased"

    def end_job(self, key: str, error: str = "") -> None:
        """A job that a worker has ends; that it ended is told twice."""
        job, (function, inputs) = self.jobs[key], self.asked[key]
        assert job["state"] == "leased"
        assert key not in self.reference.results, "a job ran for an evaluation that has ended"
        self.happened["a superseded job finished"] += job["is_superseded"]
        job.update(state="failed" if error else "done", is_superseded=False)
        outputs = None if error else functions.evaluate(function, inputs)
        result = ("failed", error) if error else ("done", outputs)
        self.step(engine.JobEnded(key, outputs, error, core_s=1.0), lambda: self._file(key, result))
        assert self.step(engine.JobEnded(key, {"z": 666})).data is None, "a result was used twice"

    def drop_job(self, key: str) -> None:
        """A superseded job stops when its worker hears of it."""
        self.jobs[key].update(state="cancelled", is_superseded=False)

    def crash(self) -> None:
        """Lose everything but the log and the job book; go on from there."""
        self.compare_with_log()
        self.network, self.shadow, self.todo = self.shadow, Network(), []
        if self.clock % 2:
            self.network = self.written_down.again(self.network, self.log, self.happened)
        for one in self.reference.made.values():
            self.happened["a call was lost in a crash"] += one.asked is not None and one.function.kind == "controller"
            one.asked = None
        self.step(engine.Resumed())

    def restart(self, *, is_grown: bool, is_whole: bool) -> None:
        """A crash, after which the server has another version of the module."""
        module = functions.installed(is_grown=is_grown, is_whole=is_whole)
        if any(self.reference.functions[one.name] != one for one in module.functions):
            self.deeds.grown_at = self.network.seq
        self.catalog = transaction.Catalog([module])
        self.reference.outdated = set() if is_whole else set(functions.MISSING)
        for schema in module.functions:
            self.reference.functions[schema.name] = schema
        for one in (*self.reference.made.values(), *self.deeds.removed()):
            one.function = self.reference.functions[one.function.name]
        self.crash()

    def fork(self) -> Witness:
        """Another server that comes up with the same log and job book."""
        other = Witness(self.every)
        other.written_down = self.written_down.copy()
        other.log, other.asked, other.keys, other.clock = list(self.log), dict(self.asked), dict(self.keys), self.clock
        other.jobs, other.reference, other.seen_at = deepcopy(self.jobs), self.reference.copy(), dict(self.seen_at)
        other.deeds.done, other.catalog = dict(self.deeds.done), self.catalog
        for data in other.log:
            engine.fold(other.network, data)
        other.crash()
        return other

    def finish(self, steps: int = 400) -> bool:
        """Let everything run to its end; say whether it came to it (controllers may go round for ever)."""
        self.edit(e.Activate())
        is_at_rest = self._run_to_rest(steps)
        self.compare()
        return is_at_rest

    def _run_to_rest(self, steps: int) -> bool:
        for _ in range(steps):
            running = [key for key, job in self.jobs.items() if job["state"] in ("queued", "leased")]
            if self.todo:
                self.answer(0)
            elif not running:
                return True
            elif self.jobs[running[0]]["is_superseded"]:
                self.drop_job(running[0])
            else:
                self.jobs[running[0]]["state"] = "leased"
                self.end_job(running[0])
        return False

    def values(self) -> dict[str, Any]:
        """What all places show."""
        return {
            f"{path}:{side}.{members[0]}": self._read(path, side, members) for path, side, members in self.reference.places()
        }

    # --- effects -----------------------------------------------------------------------------------------------------

    def _perform(self, effect: transaction.Effect) -> None:
        match effect:
            case transaction.WantJob():
                self.asked[effect.key] = (effect.description.executable.replace("/", "::"), functions.asked(effect.description))
                assert list(effect.extends) == earlier(self, effect.path, effect.key), "goes on from something else"
                self.happened["a longer job went on from a shorter one"] += bool(effect.extends)
                job = self.jobs.setdefault(effect.key, {"state": "cancelled"})
                assert job["state"] not in ("done", "failed"), f"a job that is {job['state']} is wanted again"
                if job["state"] != "leased":
                    job["state"] = "blocked" if effect.why_blocked else "queued"
                job.update(path=effect.path, is_superseded=False)
            case transaction.RenameJob():
                self.jobs[effect.key]["path"] = effect.path
            case transaction.BlockJob():
                self.happened["a job had to wait"] += bool(effect.why)
                if self.jobs[effect.key]["state"] in ("queued", "blocked"):
                    self.jobs[effect.key]["state"] = "blocked" if effect.why else "queued"
            case transaction.StopJob():
                assert all(self.reference.is_held(path) for path in self.reference.wanting(effect.key)), "stops who may work"
            case transaction.SupersedeJob():
                job = self.jobs[effect.key]
                if job["state"] == "leased":
                    self.happened["a running job was superseded"] += 1
                    job["is_superseded"] = True
                elif job["state"] in ("queued", "blocked"):
                    job["state"] = "cancelled"
            case transaction.ClearJob():
                assert self.jobs[effect.key]["state"] == "failed"
                self.jobs[effect.key]["state"] = "queued"
            case transaction.EvaluatePure():
                assert effect.function in self.catalog.functions, "a function is asked that is not installed"
                self.asked[effect.key] = (effect.function, deepcopy(effect.inputs))
                self.todo.append(effect)
            case transaction.DescribeJob():
                assert effect.function in self.catalog.functions, "a function is asked that is not installed"
                self.reference.made[self.network.path_of(effect.id)].asked = effect.seen
                self.todo.append(effect)
            case transaction.StartCall():
                path = self.network.path_of(effect.call.instance)
                assert effect.call.function in self.catalog.functions, "a function is asked that is not installed"
                assert self.reference.made[path].asked is None, f"{path} is called while it is being called"
                self.reference.made[path].asked = effect.call.seen
                self.todo.append(effect)

    def _was_asked(self, id: int, seen: int) -> None:
        if id in self.network.instances:
            one = self.reference.made[self.network.path_of(id)]
            one.asked = None if one.asked == seen else one.asked

    def _file(self, key: str, result: tuple[str, Any]) -> None:
        if key not in self.reference.results:
            self.reference.results[key] = result
            for path, one in self.reference.made.items():
                if one.present == key:
                    self.reference.tell_around(path)

    # --- controllers -------------------------------------------------------------------------------------------------

    def _check_call(self, call: ControllerCall) -> None:
        reference = self.reference
        path = self.network.path_of(call.instance)
        one = reference.made[path]
        inputs, is_complete = reference.inputs(path)
        assert is_complete
        assert not reference.is_held(path)
        assert not one.error
        assert call.inputs == inputs
        assert call.state == one.values["state"]
        assert call.outputs == one.values["out"]
        seen = reference.sight(path)
        assert {child.name: child.outputs for child in call.children} == {
            k: v for k, v in seen.items() if k not in ("in", "at work")
        }
        changed = {name for name in inputs if get(one.knew.get("in"), (name,)) != inputs[name]}
        assert changed <= set(call.changed), f"{path} is not told of {changed - set(call.changed)}"
        for child in call.children:
            ref = reference.made[f"{path}:{child.name}"]
            news = (ref.ended > one.told and not ref.ended_error, ref.ended > one.told and ref.ended_error)
            assert (child.has_ended, child.has_failed) == news, f"{path} is told wrongly of the end of {child.name}"
            self.happened["a failure was told"] += child.has_failed
            self.happened["a child was held"] += bool(ref.held_why)
            assert child.runs == ref.runs
            assert child.is_running == reference.is_busy(f"{path}:{child.name}")
            if child.name in one.knew and one.knew[child.name] != child.outputs:
                assert child.was_updated, f"{path} is not told of new outputs of {child.name}"
        self.seen_at[path] = (self.clock, deepcopy(seen))

    def _end_call(self, call: ControllerCall, answer: ControllerAnswer) -> None:
        instance = self.network.instances.get(call.instance)
        path = self.network.path_of(call.instance) if instance is not None else ""
        event = engine.CallEnded(call.instance, call.seen, answer)
        if instance is None or self.reference.made[path].asked != call.seen:
            assert self.step(event).data is None, "an answer that nobody waits for changed something"
            self.happened["an answer came too late"] += 1
            return

        def follow() -> None:
            one, should_fail = self.reference.made[path], answer.error or any(s.function == "m::none" for s in answer.starts)
            assert bool(instance.error) == bool(should_fail), (path, instance.error, should_fail)
            one.asked = None
            if should_fail:
                one.error = instance.error
            else:
                one.told, one.knew = self.seen_at[path]
                self.reference.apply_answer(path, answer, self._kind)
            self.reference.tell_around(path)

        self.step(event, follow)

    # --- following and observing -------------------------------------------------------------------------------------

    def _follow(self, edit: e.Edit) -> None:
        reference = self.reference
        match edit:
            case e.MakeInstance():
                reference.make(edit.name, edit.function, is_held=True)
            case e.RemoveInstance():
                reference.remove(edit.path, self._kind)
            case e.RenameInstance():
                rename(reference, edit.path, edit.name)
                self.seen_at = {renamed(one, edit.path, edit.name): saw for one, saw in self.seen_at.items()}
            case e.Connect():
                destination = reference.place(edit.destination)
                reference.connect(reference.place(edit.source), destination)
            case e.Disconnect():
                at = reference.place(edit.destination)
                reference.disconnect(at, self._kind(at))
            case e.SetValue():
                at = reference.place(edit.path)
                reference.write(at, deepcopy(edit.value))
            case e.Unset():
                reference.unset(reference.place(edit.path))
            case e.Activate():
                for path in reference.below(edit.path):
                    reference.made[path].is_held = False
            case e.Deactivate():
                for path in [edit.path] if edit.path else reference.children(""):
                    reference.made[path].is_held = True
            case e.ClearError():
                for path in reference.below(edit.path):
                    one = reference.made[path]
                    if not one.error and reference.clearable_error(path):
                        del reference.results[one.present]
                    one.error = ""
            case e.ForceRerun():
                reference.rerun(edit.path, self._kind)

    def ids(self) -> dict[str, int]:
        """The instances by their paths."""
        return {self.network.path_of(id): id for id in self.network.instances if id != ROOT}

    def _kind(self, at: tuple[str, str, tuple[str | int, ...]]) -> Type:
        schema = self.reference.made[at[0]].function
        fields = {field.name: field.kind for field in (schema.inputs if at[1] == "in" else schema.outputs)}
        return type_at(fields, at[2], "")

    def _read(self, path: str, side: str, members: tuple[str | int, ...]) -> Any:
        return read(self.network, Place(self._instance(path).id, side, members))

    def _instance(self, path: str) -> Instance:
        return find_instance(self.network, tuple(path.split(":")))
