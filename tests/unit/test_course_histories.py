"""Jobs that can be made longer, under random edits, ends and crashes: the witness judges where each goes on."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from tests.unit.drive import Drive

from copernicus.dataflow import settling, transaction
from copernicus.model import edits as e

HISTORIES, STEPS = 60, 60


class Runner(Drive):
    """Two instances that differ in nothing, and a third; `seen` counts what happened."""

    def __init__(self, chance: Random, seen: Counter[str]) -> None:
        super().__init__()
        self.chance, self.seen = chance, seen

    def _perform(self, effect: transaction.Effect) -> None:
        self.seen[type(effect).__name__] += 1
        if isinstance(effect, transaction.WantJob) and effect.extends:
            self.seen[f"goes on from {self.jobs[effect.extends[0]]['state']}"] += 1
        super()._perform(effect)

    def live(self) -> None:
        for name in "vw":
            self.make("run", name, x=1, n=1)
        self.make("run", "u", x=2, n=3)
        for _ in range(STEPS):
            self.some_step()

    def some_step(self) -> None:
        chance, name = self.chance, self.chance.choice("uvw")
        jobs = {state: [key for key, job in self.jobs.items() if job["state"] == state] for state in ("queued", "leased")}
        superseded = [key for key, job in self.jobs.items() if job["is_superseded"]]
        match chance.randrange(12):
            case 0 | 1 | 2:
                self.set(f"{name}:in.n", chance.randrange(1, 6))
            case 3:
                self.set(f"{name}:in.x", chance.choice([1, 1, 2]))
            case 4:
                self.edit(chance.choice([e.ForceRerun(name), e.ClearError(), e.Deactivate(name, chance.random() < 0.5)]))
            case 5:
                self.edit(e.Activate())
            case 6 if jobs["queued"]:
                self.lease(chance.choice(jobs["queued"]))
            case 7 | 8 if jobs["leased"]:
                self.end_job(chance.choice(jobs["leased"]), "it broke" if chance.random() < 0.2 else "")
            case 9 if superseded:
                self.drop_job(chance.choice(superseded))
            case 10 if chance.random() < 0.3:
                self.crash()
            case _:
                self.answer_all()


def live(seen: Counter[str]) -> None:
    for seed in range(HISTORIES):
        Runner(Random(seed), seen).live()


def test_each_job_goes_on_from_the_longest_of_its_own_that_is_no_longer() -> None:
    seen: Counter[str] = Counter()
    live(seen)
    for what in ("done", "leased", "cancelled", "failed"):
        assert seen[f"goes on from {what}"] > 3, f"{what} jobs were not gone on from: {seen}"
    assert seen["StopJob"] > 3


def test_it_is_noticed_when_nothing_is_gone_on_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settling, "earlier_keys", lambda network, instance, evaluation: ())
    with pytest.raises(AssertionError, match="goes on from something else"):
        live(Counter())
