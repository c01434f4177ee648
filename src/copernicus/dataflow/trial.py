"""Trying an event out: it happens to the network, what would follow is read off, and all of it is taken back."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import msgspec

from copernicus.dataflow import engine, facts as f, transaction as t
from copernicus.dataflow.calls import CommandAnswer, CommandCall, PureAnswer, PureCall
from copernicus.dataflow.downstream import Downstream
from copernicus.dataflow.evaluating import hash_of
from copernicus.dataflow.watch import Watch

if TYPE_CHECKING:
    from copernicus.dataflow.journal import Undo
    from copernicus.dataflow.network import Instance, Network

Question = CommandCall | PureCall
Asks = t.DescribeJob | t.EvaluatePure


class Answers:
    """What module code has said to the questions of earlier trials: commands and pure functions say the same every time."""

    def __init__(self) -> None:
        self._known: dict[str, CommandAnswer | PureAnswer] = {}

    def keep(self, question: Question, answer: CommandAnswer | PureAnswer) -> None:
        """Remember an answer."""
        self._known[_name(question)] = answer

    def event(self, ask: Asks) -> engine.Event | None:
        """The event that the answer to a question is, or None when there is no answer yet."""
        answer = self._known.get(_name(question_of(ask)))
        if isinstance(ask, t.DescribeJob) and isinstance(answer, CommandAnswer):
            return engine.JobDescribed(ask.id, ask.seen, answer.description, answer.error)
        if isinstance(ask, t.EvaluatePure) and isinstance(answer, PureAnswer):
            return engine.PureEvaluated(ask.key, None if answer.error else answer.outputs, answer.error)
        return None


def question_of(ask: Asks) -> Question:
    """What module code is asked."""
    return (CommandCall if isinstance(ask, t.DescribeJob) else PureCall)(ask.function, ask.inputs)


def _name(question: Question) -> str:
    return hash_of([type(question).__name__, question.function, question.inputs])


class Work(msgspec.Struct, frozen=True):
    """An evaluation that a trial says something about: for which instance, and its key."""

    path: str
    key: str


class Trial(msgspec.Struct):
    """What would follow from an event; nothing that only results or a controller's answer will show.

    `questions` have no answer yet; as long as there are any, the `undecided` instances may or may not be evaluated anew.
    `begun` evaluations are new ones, `resumed` ones go on where they were left, `kept` ones go on as they do, `ended` ones
    are given up, `stopped` ones are held: what runs of them stops with a checkpoint. `standing` results were there already
    and are shown again. `possible` instances are downstream of what begins; `may_end` are their present jobs. `called`
    controllers are called at once, `called_later` ones when something ends.
    """

    told: list[str]
    is_change: bool = False
    questions: dict[str, Question] = {}
    undecided: list[str] = []
    begun: list[Work] = []
    resumed: list[Work] = []
    kept: list[Work] = []
    ended: list[Work] = []
    stopped: list[Work] = []
    standing: list[Work] = []
    possible: list[str] = []
    may_end: list[Work] = []
    called: list[str] = []
    called_later: list[str] = []
    errors: dict[str, str] = {}


def try_out(network: Network, catalog: t.Catalog, event: engine.Event, answers: Answers, now: float) -> Trial:
    """Let `event` happen, with all that follows as far as `answers` go; return what is different, and take all back.

    Raises `CopernicusError` when the event is refused. Afterwards the network is in every respect as it was before.
    """
    course = _Course(network, catalog, answers, now)
    try:
        course.run(event)
        course.look()
    finally:
        course.take_back()
    return course.trial


class _Course:
    """The steps of one trial."""

    def __init__(self, network: Network, catalog: t.Catalog, answers: Answers, now: float) -> None:
        self.network, self.catalog, self.answers, self.now = network, catalog, answers, now
        self.trial = Trial([])
        self.watch = network.watch = Watch()
        self.journals: list[list[Undo]] = []
        self.seq, self.depths = network.seq, dict(network.depths)
        self.waiting: deque[Asks] = deque()
        self.asked: set[int] = set()
        self.open: dict[int, None] = {}
        """Instances whose questions have no answer."""
        self.called: dict[int, None] = {}
        self.taken: dict[int, None] = {}
        self.failed: dict[int, None] = {}
        self.begun: set[str] = set()
        self.filed: set[str] = set()
        self.reopened: dict[str, None] = {}
        self.superseded: dict[str, None] = {}
        self.stopped: dict[str, None] = {}

    def run(self, event: engine.Event) -> None:
        """Let the event happen, and all that follows from it and from the answers that are known."""
        self.trial.told = self._step(event)
        while self.waiting:
            ask = self.waiting.popleft()
            answer = self.answers.event(ask)
            if answer is not None:
                self._step(answer)
                continue
            question = question_of(ask)
            self.trial.questions[_name(question)] = question
            self.open.update(dict.fromkeys([ask.id] if isinstance(ask, t.DescribeJob) else self._wanted(ask.key)))

    def _wanted(self, key: str) -> list[int]:
        return sorted(self.network.evaluations[key].wanted)

    def _step(self, event: engine.Event) -> list[str]:
        network = self.network
        tx = t.Transaction(network, self.catalog, self.now)
        assert network.journal is not None
        self.journals.append(network.journal)
        told, _ = engine.happen(tx, event)
        if tx.facts:
            network.seq = tx.seq
            self.trial.is_change = True
        for fact in tx.facts:
            self._note_fact(fact)
        for effect in tx.effects:
            self._note_effect(effect)
        for id in sorted(tx.dirty.keys() & network.instances.keys()):
            instance = network.instances[id]
            if instance.in_flight and id not in self.asked and id not in self.called:
                self._hurry(instance)
        return told

    def _hurry(self, instance: Instance) -> None:
        """Who is being asked already is asked again when the answer has come: here that is at once."""
        if instance.is_evaluated:
            self._step(engine.JobDescribed(instance.id, instance.in_flight, None))
        elif instance.function.kind == "controller" and not instance.error:
            self.called[instance.id] = None

    def _note_fact(self, fact: f.Fact) -> None:
        match fact:
            case f.Begun():
                self.begun.add(fact.key)
            case f.Filed():
                self.filed.add(fact.key)
            case f.Reopened():
                self.reopened[fact.key] = None
            case f.Took():
                self.taken[fact.id] = None
            case f.ErrorSet():
                self.failed[fact.id] = None

    def _note_effect(self, effect: t.Effect) -> None:
        match effect:
            case t.DescribeJob():
                self.asked.add(effect.id)
                self.waiting.append(effect)
            case t.EvaluatePure():
                self.waiting.append(effect)
            case t.StartCall():
                self.called[effect.call.instance] = None
            case t.SupersedeJob():
                self.superseded[effect.key] = None
            case t.StopJob():
                self.stopped[effect.key] = None

    # --- what is different -------------------------------------------------------------------------------------------

    def look(self) -> None:
        """Read off what is different, while it stands."""
        network, trial = self.network, self.trial
        for id in sorted(self.taken):
            self._look_at(id)
        for key in self.reopened:
            trial.resumed += [work for id in self._wanted(key) if (work := self._work(id)) not in trial.resumed]
        for key in self.superseded:
            wanted = self._wanted(key)
            if not wanted and (key in self.reopened or key in self.begun):
                continue  # it was not under way before
            if not wanted:
                trial.ended.append(Work(self._path(network.evaluations[key].instance), key))
            elif (work := self._work(wanted[0])) not in trial.kept:
                trial.kept.append(work)
        trial.stopped = [self._work(wanted[0]) for key in self.stopped if (wanted := self._wanted(key))]
        there = network.instances.keys()
        trial.errors = {self._path(id): network.instances[id].error for id in self.failed if id in there}
        trial.errors = {path: error for path, error in trial.errors.items() if error}
        trial.undecided = [self._path(id) for id in self.open if id in there]
        trial.called = [self._path(id) for id in self.called if id in there]
        self._look_downstream()

    def _path(self, id: int) -> str:
        return self.network.path_of(id) if id in self.network.instances else ""

    def _work(self, id: int) -> Work:
        return Work(self._path(id), self.network.instances[id].key)

    def _look_at(self, id: int) -> None:
        """See what became of an instance that took a key."""
        instance = self.network.instances.get(id)
        evaluation = self.network.evaluations.get(instance.key) if instance is not None else None
        if evaluation is None or id in self.open:
            return
        if evaluation.state == "done" and evaluation.key not in self.filed:
            if self.watch.keys.get(id, evaluation.key) != evaluation.key:
                self.trial.standing.append(self._work(id))
        elif evaluation.key in self.begun:
            self.trial.begun.append(self._work(id))
        elif evaluation.state == "open" and evaluation.function.kind == "command":
            is_left = not self.watch.wanted_before(evaluation.key, evaluation.wanted)
            (self.trial.resumed if is_left else self.trial.kept).append(self._work(id))

    def _look_downstream(self) -> None:
        network, trial = self.network, self.trial
        new = {work.path for work in (*trial.begun, *trial.resumed)}
        ids = [*self.taken, *(id for key in self.reopened for id in self._wanted(key)), *self.open]
        works = [network.instances[id] for id in dict.fromkeys(ids) if id in network.instances]
        sources = [one for one in works if one.id in self.open or (self._path(one.id) in new and self._is_open(one))]
        beyond = Downstream(network, sources)
        possible = [id for id in beyond.evaluated if self._path(id) not in new and id not in self.open]
        trial.possible = [self._path(id) for id in possible]
        trial.may_end = [self._work(id) for id in possible if self._is_open(network.instances[id])]
        trial.called_later = [self._path(id) for id in beyond.controllers if id not in self.called]

    def _is_open(self, instance: Instance) -> bool:
        evaluation = self.network.evaluations.get(instance.key)
        return evaluation is not None and evaluation.state == "open" and evaluation.function.kind == "command"

    # --- back --------------------------------------------------------------------------------------------------------

    def take_back(self) -> None:
        """Take back all that happened."""
        network = self.network
        for journal in reversed(self.journals):
            network.journal = journal
            network.roll_back(0)
        network.journal = None
        network.watch = None
        self.watch.restore_orders()
        network.seq = self.seq
        network.depths.clear()
        network.depths.update(self.depths)
