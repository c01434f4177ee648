"""The controller of `ensemble::estimate`, in memory: honest intervals at the cost of theory, budgets, edits, failures."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

import pytest
from tests.unit.test_ensemble_statistics import ar1, variance_of_job_mean

from copernicus.modules.ensemble.estimating import Estimated
from copernicus.modules.ensemble.functions import estimate, module
from copernicus.modules.ensemble.sampling import measure
from copernicus.testing import RULES, FakeInstance, check_controller, fake_file

PHI, LENGTH, TRUTH = 0.8, 100, 5.0
CORE_S = 2.0
Print = Callable[[random.Random], str]


def new_instance(**inputs: Any) -> FakeInstance[Estimated]:
    """An estimate; its seed is set like any input, since the fake instance has a `seed` of its own."""
    seed = inputs.pop("seed", 1)
    instance = FakeInstance(estimate, modules=[module], command=["ar1", "{seed}"], **inputs)
    instance.set(seed=seed)
    return instance


def print_ar1(chance: random.Random, length: int = LENGTH) -> str:
    """What the program prints: a line for each number."""
    return "".join(f"{TRUTH + x!r}\n" for x in ar1(chance, PHI, length))


def print_one(chance: random.Random) -> str:
    """A program that prints one number."""
    return f"{chance.gauss(TRUTH, 1)}\n"


def end(instance: FakeInstance[Estimated], name: str, prints: Print = print_ar1) -> None:
    """Let a job end with the numbers that its own seed gives, read by the real function."""
    child = instance.children[name]
    stdout = fake_file("stdout", prints(random.Random(child.inputs["seed"])))
    extract, statistic = instance.inputs["extract"], instance.inputs["statistic"]
    instance.end(name, numbers=measure(stdout, extract, statistic, instance.inputs["discard"]).numbers, stdout=stdout)
    child.core_s = CORE_S


def going(instance: FakeInstance[Estimated]) -> list[str]:
    """The jobs that have not ended."""
    return [name for name, child in instance.children.items() if not child.is_done and not child.error]


def run_to_the_end(instance: FakeInstance[Estimated], prints: Print = print_ar1) -> Estimated:
    """Let all jobs of each batch end, until no more are started."""
    instance.call()
    while batch := going(instance):
        for name in batch:
            end(instance, name, prints)
        instance.call()
    return instance.out


def test_over_200_seeds_the_interval_holds_the_truth_and_the_cost_is_that_of_theory() -> None:
    jobs_in_theory = 50
    error = math.sqrt(variance_of_job_mean(PHI, LENGTH) / jobs_in_theory)
    outs = [run_to_the_end(new_instance(error=error, seed=seed)) for seed in range(200)]
    assert all(out.reason == "the error is reached" and (out.error or math.inf) <= error for out in outs)
    covering = sum(out.low <= TRUTH <= out.high for out in outs if out.low is not None and out.high is not None)
    assert 180 <= covering <= 196
    costs = [out.n / jobs_in_theory for out in outs]
    assert sum(costs) / len(costs) == pytest.approx(1, abs=0.1)
    # A single estimate cannot know its own variance exactly: of 50 such jobs, to about 15 %.
    assert sum(abs(cost - 1) <= 0.2 for cost in costs) >= 150
    time = sum(out.autocorrelation_time or 0 for out in outs) / len(outs)
    assert time == pytest.approx((1 + PHI) / (1 - PHI) / 2, rel=0.1)


def test_over_200_seeds_of_many_jobs_nearly_every_single_cost_is_within_20_percent_of_theory() -> None:
    jobs_in_theory, length = 400, 20
    error = math.sqrt(variance_of_job_mean(PHI, length) / jobs_in_theory)
    outs = [
        run_to_the_end(new_instance(error=error, seed=seed), lambda chance: print_ar1(chance, length)) for seed in range(200)
    ]
    # Of 400 such jobs the variance is known to 7 %, so that one or two in 200 are farther off than 20 %.
    assert sum(abs(out.n / jobs_in_theory - 1) <= 0.2 for out in outs) >= 194
    covering = sum(out.low <= TRUTH <= out.high for out in outs if out.low is not None and out.high is not None)
    assert 180 <= covering <= 196


def test_it_looks_only_when_a_whole_batch_has_ended() -> None:
    instance = new_instance(error=0.01, first_batch=8)
    instance.call()
    assert len({child.inputs["seed"] for child in instance.children.values()}) == 8
    for name in going(instance)[:7]:
        end(instance, name)
        answer = instance.call()
        assert (answer.outputs, answer.starts) == ({}, [])
    end(instance, "job_7")
    instance.call()
    assert instance.out.n == 8
    assert len(going(instance)) == 16, "three times as many at most"
    assert instance.out.predicted_jobs is not None
    assert instance.out.predicted_core_s == pytest.approx(instance.out.predicted_jobs * CORE_S)
    assert not instance.out.is_finished


def test_budgets_end_it_and_larger_ones_go_on() -> None:
    instance = new_instance(error=1e-6, max_jobs=40)
    out = run_to_the_end(instance)
    assert (out.n, out.is_finished, out.reason) == (40, True, "the budget is spent")
    assert (out.predicted_jobs or 0) > 1000
    instance.set(max_jobs=1000, max_core_s=60 * CORE_S)
    assert run_to_the_end(instance).n == 60
    only_budget = run_to_the_end(new_instance(max_jobs=30), print_one)
    assert (only_budget.n, only_budget.reason) == (30, "the budget is spent")


def test_a_smaller_error_asked_for_later_goes_on_from_what_is_there() -> None:
    instance = new_instance(relative_error=0.05)
    first = run_to_the_end(instance).n
    again = instance.call()
    assert (again.outputs, again.state, again.starts) == ({}, {}, [])
    instance.set(relative_error=0.02)
    out = run_to_the_end(instance)
    assert out.n > first
    assert out.mean is not None
    assert (out.error or 1) <= 0.02 * out.mean
    assert [step.n for step in out.history] == sorted({step.n for step in out.history})
    assert out.history[0].n == 16


def test_failed_jobs_do_not_count_are_told_of_and_many_stop_it() -> None:
    instance = new_instance(error=0.2)
    instance.call()
    instance.fail("job_3", "it blew up")
    out = run_to_the_end(instance)
    assert out.reason == "the error is reached"
    assert out.n == len(instance.children) - 1
    assert "1 of" in instance.warning
    assert "biased" in instance.warning
    instance = new_instance(error=0.2)
    instance.call()
    for name in going(instance):
        instance.fail(name, "it blew up")
    instance.call()
    assert going(instance) == []
    assert not instance.out.is_finished
    assert "it blew up" in instance.warning
    for child in instance.children.values():
        child.error = ""  # as clear-error does
    assert run_to_the_end(instance).is_finished
    assert instance.warning == ""


def test_the_order_of_ends_and_a_crash_between_two_calls_change_nothing() -> None:
    once, twice = new_instance(error=0.15), new_instance(error=0.15)
    run_to_the_end(once)
    order = random.Random(3)
    twice.call()
    while batch := going(twice):
        for name in order.sample(batch, len(batch)):
            end(twice, name)
            request = twice.request()
            assert request == twice.request()
            twice.call()
    assert twice.outputs == once.outputs


def test_quantiles_and_ratios() -> None:
    median = run_to_the_end(new_instance(statistic="quantile", share=0.5, error=0.1), print_one)
    assert median.mean == pytest.approx(TRUTH, abs=0.4)
    assert (median.error or 1) <= 0.1
    ratio = run_to_the_end(
        new_instance(statistic="ratio", error=0.05), lambda chance: f"{chance.gauss(6, 1)} {chance.gauss(3, 0.5)}\n"
    )
    assert ratio.mean == pytest.approx(2, abs=0.2)


@pytest.mark.parametrize("rule", RULES)
def test_the_contract_of_controllers_holds(rule: str) -> None:
    edits = {"error": 0.15, "max_jobs": 60, "confidence": 0.9, "discard": 3, "max_core_s": 100.0}
    check_controller(lambda: new_instance(error=0.3), end, edits=edits, rules=[rule])


@pytest.mark.parametrize("inputs", [{"error": 0.0}, {"relative_error": -1.0}, {"share": 1.0}, {"confidence": 0.0}])
def test_what_cannot_be_meant_is_refused(inputs: dict[str, Any]) -> None:
    with pytest.raises(Exception, match=r"between 0 and 1|larger than 0"):
        new_instance(**inputs).call()


@pytest.mark.parametrize(
    ("text", "extract", "why"),
    [
        ("nothing here\n", "", "holds no number"),
        ("E = 1.5\nE = nan\n", r"E = (\S+)", "no going on"),
        ("E = x\n", r"E = (\S+)", "no number"),
        ("1\n", "(", "no regular expression"),
    ],
)
def test_what_a_job_printed_is_read_strictly(text: str, extract: str, why: str) -> None:
    with pytest.raises(Exception, match=why):
        measure(fake_file("stdout", text), extract)


def test_numbers_are_found_in_order_and_the_first_ones_discarded() -> None:
    found = measure(fake_file("stdout", "step 1\n 1.5 \n-2e3\n+.5\n7 apples\n"), discard=1).numbers
    assert (found.count, found.series, found.mean) == (2, [-2000.0, 0.5], -999.75)
    energies = measure(fake_file("stdout", "E = 1 K = 2\nE = 3 K = 4\n"), r"E = (\S+) K = (\S+)", "ratio").numbers
    assert (energies.series, energies.below, energies.below_mean) == ([1.0, 3.0], [2.0, 4.0], 3.0)
