"""The controller of `ensemble::race`, in memory: the best stays in as often as promised, for fewer jobs than equal shares."""

from __future__ import annotations

import random
from typing import Any

import pytest

from copernicus.modules.ensemble.functions import module, race
from copernicus.modules.ensemble.racing import Raced
from copernicus.modules.ensemble.sampling import measure
from copernicus.modules.ensemble.statistics import paired_doubt, t_tail
from copernicus.testing import RULES, FakeInstance, check_controller, fake_file

MEANS = {"a": 1.0, "b": 0.0, "c": 0.4, "d": 2.0, "e": 3.0}
SPREAD, COMMON = 1.0, 2.0
CORE_S = 2.0


def new_instance(**inputs: Any) -> FakeInstance[Raced]:
    """A race of five; its seed is set like any input."""
    seed = inputs.pop("seed", 1)
    given: dict[str, Any] = {"parameters": ["P"], "alternatives": [[name] for name in MEANS], "max_jobs": 100_000}
    instance = FakeInstance(race, modules=[module], command=["prog", "{P}", "{seed}"], **given | inputs)
    instance.set(seed=seed)
    return instance


def end(instance: FakeInstance[Raced], name: str) -> None:
    """Let a job end with a number that its parameter and seed give; much of it is the seed's alone."""
    child = instance.children[name]
    (alternative,), seed = child.inputs["values"], child.inputs["seed"]
    number = MEANS[alternative] + random.Random(seed).gauss(0, COMMON) + random.Random(f"{seed}{alternative}").gauss(0, SPREAD)
    stdout = fake_file("stdout", f"{number!r}\n")
    instance.end(name, numbers=measure(stdout).numbers, stdout=stdout)
    child.core_s = CORE_S


def run_to_the_end(instance: FakeInstance[Raced]) -> Raced:
    """Let all jobs end, batch by batch, until no more are started."""
    instance.call()
    while batch := instance.going():
        for name in batch:
            end(instance, name)
        instance.call()
    return instance.out


@pytest.mark.parametrize("goal", ["smallest", "largest"])
def test_over_200_seeds_the_best_stays_in_and_losers_are_stopped(goal: str) -> None:
    best = list(MEANS).index("b" if goal == "smallest" else "e")
    outs = [run_to_the_end(new_instance(goal=goal, confidence=0.8, seed=seed)) for seed in range(200)]
    assert all(out.is_finished and out.is_sure and out.left == [out.best] for out in outs)
    assert sum(out.best == best for out in outs) >= 0.8 * 200
    saved = [out.equal_jobs / out.jobs for out in outs]
    assert sum(saved) / len(saved) > 1.2, "fewer jobs than equal shares would have needed"
    assert all(out.jobs <= out.equal_jobs for out in outs)


def test_of_equals_the_confidence_holds_however_often_one_looks() -> None:
    """Five alternatives without a difference: that any leaves wrongly, in all looks together, is as rare as promised."""
    wrong = 0
    for seed in range(200):
        instance = new_instance(alternatives=[["b"]] * 3, confidence=0.8, max_jobs=400, seed=seed)
        chance = random.Random(seed)
        instance.call()
        while batch := instance.going():
            for name in batch:
                stdout = fake_file("stdout", f"{chance.gauss(0, 1)!r}\n")
                instance.end(name, numbers=measure(stdout).numbers, stdout=stdout)
            instance.call()
        assert instance.out.reason in ("the budget is spent", "one is left")
        wrong += len(instance.out.left) < 3
    assert wrong <= 0.2 * 200


def test_what_differs_by_less_than_matters_ends_in_a_draw() -> None:
    instance = new_instance(alternatives=[["b"], ["c"], ["e"]], tolerance=1.5)
    out = run_to_the_end(instance)
    assert out.reason == "what is left differs by less than the tolerance"
    assert out.left == [0, 1]
    assert out.is_sure
    instance.set(tolerance=0.0)
    out = run_to_the_end(instance)
    assert (out.best, out.left, out.reason) == (0, [0], "one is left")
    assert out.standings[2].left_at == 8
    assert out.standings[2].n == 8, "no effort for who is out"
    assert "b" in instance.note


def test_budgets_end_it_without_a_claim_and_larger_ones_go_on() -> None:
    instance = new_instance(alternatives=[["b"], ["c"]], max_jobs=20)
    out = run_to_the_end(instance)
    assert (out.jobs, out.is_finished, out.is_sure, out.reason) == (16, True, False, "the budget is spent")
    assert out.left == [0, 1]
    instance.set(max_core_s=40 * CORE_S, max_jobs=1000)
    assert run_to_the_end(instance).jobs <= 40
    instance.set(max_core_s=None)
    assert run_to_the_end(instance).is_sure


def test_failed_jobs_do_not_count_and_who_always_fails_is_out() -> None:
    instance = new_instance(alternatives=[["a"], ["b"], ["c"]])
    instance.call()
    instance.fail("job_1_3", "bad luck")
    for index in range(8):
        instance.fail(f"job_0_{index}", "it blew up")
    out = run_to_the_end(instance)
    assert (out.best, out.is_sure) == (1, True)
    assert out.standings[0].left_at == 8
    assert "it blew up" in instance.warning
    everything = new_instance(alternatives=[["a"], ["b"]])
    everything.call()
    for name in everything.going():
        everything.fail(name, "it blew up")
    everything.call()
    assert everything.going() == []
    assert not everything.out.is_finished
    assert "All alternatives fail" in everything.warning


@pytest.mark.parametrize("rule", RULES)
def test_the_contract_of_controllers_holds(rule: str) -> None:
    edits = {"confidence": 0.6, "tolerance": 0.7, "goal": "largest", "max_jobs": 30, "seed": 7,
             "alternatives": [["e"], ["d"], ["b"]]}  # fmt: skip
    check_controller(lambda: new_instance(alternatives=[["a"], ["b"], ["d"]]), end, edits=edits, rules=[rule])


@pytest.mark.parametrize(
    ("inputs", "why"),
    [
        ({"alternatives": [["a"]]}, "at least two"),
        ({"alternatives": [["a"], ["b", "c"]]}, "for each of the 1"),
        ({"confidence": 1.0}, "between 0 and 1"),
        ({"first_batch": 3}, "at least 4"),
    ],
)
def test_what_cannot_be_meant_is_refused(inputs: dict[str, Any], why: str) -> None:
    with pytest.raises(Exception, match=why):
        new_instance(**inputs).call()


def test_the_tail_of_students_distribution() -> None:
    """W. S. Gosset's table as every book has it: the t beyond which 2.5 % and 0.05 % lie."""
    for degrees, at_2_5, at_0_05 in ((1, 12.706, 636.62), (3, 3.182, 12.924), (7, 2.365, 5.408), (30, 2.042, 3.646)):
        assert t_tail(at_2_5, degrees) == pytest.approx(0.025, rel=2e-3)
        assert t_tail(at_0_05, degrees) == pytest.approx(0.0005, rel=2e-3)
    assert t_tail(0.0, 5) == pytest.approx(0.5)
    assert paired_doubt([1.0] * 6) == 2.0**-6
    assert paired_doubt([-1.0, 1.0]) == 1.0
    assert paired_doubt([1.0]) == 1.0
