"""Previews beside what then happens: nothing may stay behind, and what was said must come."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.unit import functions

from copernicus.dataflow import engine, transaction
from copernicus.dataflow.calls import CommandAnswer, CommandCall, PureAnswer
from copernicus.dataflow.network import Network
from copernicus.dataflow.trial import Answers, Trial, try_out

if TYPE_CHECKING:
    from tests.unit.witness import Witness

ROUNDS = 50


def exact(thing: Any) -> Any:
    """A copy of all that a network is: stored and derived, in its order."""
    if isinstance(thing, dict):
        return [(key, exact(item)) for key, item in thing.items()]
    if isinstance(thing, list):
        return [exact(item) for item in thing]
    if isinstance(thing, set):
        return sorted(thing)
    if isinstance(thing, Network):
        return exact({name: item for name, item in vars(thing).items() if name not in ("_at", "_time")})
    if (
        hasattr(thing, "__slots__")
        and type(thing).__module__ == "copernicus.dataflow.instances"
        and not isinstance(thing, tuple)
    ):
        return [(name, exact(getattr(thing, name))) for name in thing.__slots__]
    return thing


def foresee(witness: Witness, event: engine.Event) -> Trial:
    """What a preview says; raises what refuses the event. Nothing may stay behind."""
    network, answers = witness.network, Answers()
    before = exact(network)
    for _ in range(ROUNDS):
        try:
            trial = try_out(network, witness.catalog, event, answers, 0.0)
        finally:
            assert exact(network) == before, "a preview left something behind"
        for question in trial.questions.values():
            if isinstance(question, CommandCall):
                description = functions.describe(question.function, question.inputs)
                answers.keep(question, CommandAnswer(description, "" if description else "unlucky"))
            else:
                answers.keep(question, PureAnswer(functions.evaluate(question.function, question.inputs)))
        if not trial.questions:
            return trial
    raise AssertionError("a preview comes to no end")


class Foresight:
    """What a preview said, to be compared with what came once the event has happened."""

    def __init__(self, witness: Witness, event: engine.Event) -> None:
        self.witness = witness
        self.is_quiet = not any(isinstance(one, transaction.DescribeJob | transaction.EvaluatePure) for one in witness.todo)
        """Nothing else is under way that would mix with what follows."""
        self.trial = foresee(witness, event)
        self.jobs = {key: "cancelled" if job["is_superseded"] else job["state"] for key, job in witness.jobs.items()}
        self.results = set(witness.reference.results)
        self.keys = {one.id: one.key for one in witness.network.instances.values()}
        self.calls = [one.call.instance for one in witness.todo if isinstance(one, transaction.StartCall)]

    def check(self) -> None:
        """Answer what commands and pure functions are asked now, and compare."""
        witness, trial = self.witness, self.trial
        if not self.is_quiet:
            return
        while asks := [i for i, one in enumerate(witness.todo) if not isinstance(one, transaction.StartCall)]:
            witness.answer(asks[0])
        network, jobs = witness.network, witness.jobs
        commands = {work.key for work in trial.begun if network.evaluations[work.key].function.kind == "command"}
        working = {
            key for key, job in jobs.items() if job["state"] in ("queued", "blocked", "leased") and not job["is_superseded"]
        }
        assert commands == working - self.jobs.keys(), "other jobs were begun than foreseen"
        left = {key for key in working & self.jobs.keys() if self.jobs[key] in ("cancelled", "failed")}
        assert left <= {work.key for work in trial.resumed}, "a job goes on that was not foreseen"
        over = {key for key, state in self.jobs.items() if state in ("queued", "blocked", "leased") and key not in working}
        assert over == {work.key for work in trial.ended}, "other jobs ended than foreseen"
        assert {work.key for work in trial.kept} <= working, "a job was not kept"
        changed = [one for one in network.instances.values() if one.key != self.keys.get(one.id, "")]
        again = {
            network.path_of(one.id)
            for one in changed
            if one.key in self.results and network.evaluations[one.key].state == "done"
        }
        assert again == {work.path for work in trial.standing}, "other results stand again than foreseen"
        called = {network.path_of(one.call.instance) for one in witness.todo if isinstance(one, transaction.StartCall)
                  and one.call.instance in network.instances and one.call.instance not in self.calls}  # fmt: skip
        assert called <= set(trial.called), "a controller is called that was not foreseen"
