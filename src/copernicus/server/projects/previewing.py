"""Previews: an event is tried out, module code is asked what it would be asked, and the difference is put into words."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from copernicus.dataflow.calls import CommandAnswer, PureAnswer
from copernicus.dataflow.engine import Event
from copernicus.dataflow.trial import Answers, Question, Trial, Work
from copernicus.server.projects.live import LiveProject
from copernicus.server.projects.ports import Jobs, ModuleCode
from copernicus.server.storage.abc import JobRecord
from copernicus.wire import messages as m

MOST_ROUNDS = 50
MOST_QUESTIONS = 20_000


async def preview(
    project: LiveProject, event: Callable[[], Awaitable[Event]], code: ModuleCode, jobs: Jobs, clock: Callable[[], float]
) -> m.PreviewReply:
    """Say what would follow from an event; raise what refuses it.

    Each round tries the event out anew, in one turn of the loop, with the answers known so far; between rounds the project
    goes on. Rounds and questions are limited: what is still open then may be evaluated anew, or not.
    """
    answers, asked = Answers(), 0
    for _ in range(MOST_ROUNDS):
        trial = project.try_out(await event(), answers)
        questions = list(trial.questions.values())
        asked += len(questions)
        if not questions or asked > MOST_QUESTIONS:
            break
        await asyncio.gather(*(_ask(code, question, answers) for question in questions))
    return _Words(project, jobs, clock()).reply(trial)


async def _ask(code: ModuleCode, question: Question, answers: Answers) -> None:
    answer = await code.call(question)
    assert isinstance(answer, CommandAnswer | PureAnswer)
    answers.keep(question, answer)


class _Words:
    """What a trial found, with what the job book knows of it."""

    def __init__(self, project: LiveProject, jobs: Jobs, now: float) -> None:
        self._project, self._network, self._jobs, self._now = project.row.id, project.network, jobs, now

    def reply(self, trial: Trial) -> m.PreviewReply:
        """The difference as a message."""
        return m.PreviewReply(
            told=trial.told,
            is_change=trial.is_change,
            certain=[work.path for work in trial.begun],
            possible=[*trial.undecided, *trial.possible],
            calls=trial.called,
            later_calls=trial.called_later,
            ending=self._rows(trial.ended),
            stopping=[row for row in self._rows(trial.stopped) if row.state == "leased"],
            may_end=self._rows(trial.may_end),
            kept=self._rows(trial.kept),
            resumed=self._rows(trial.resumed),
            standing={work.path: self._made_by(work.key) for work in trial.standing},
            errors=trial.errors,
        )

    def _rows(self, works: list[Work]) -> list[m.PreviewedJob]:
        found = {work.key: (work, job) for work in works if (job := self._jobs.find(self._project, work.key)) is not None}
        return [m.PreviewedJob(job.id, work.path or job.path, job.state, self._spent(job)) for work, job in found.values()]

    def _spent(self, job: JobRecord) -> float:
        """The core-seconds of all attempts; of the one that runs, up to now."""
        running = (max(0.0, self._now - one.started_at) * one.cores for one in job.attempts if one.ended_at is None)
        return sum(one.core_s for one in job.attempts) + sum(running)

    def _made_by(self, key: str) -> int | None:
        evaluation = self._network.evaluations.get(key)
        return evaluation.job if evaluation is not None else None
