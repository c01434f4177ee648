"""The contract of controllers: one that keeps it, one fault for each rule, and adaptive sampling itself."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from msgspec.structs import replace
from tests.unit import test_adaptive

from copernicus.dataflow.calls import ControllerCall
from copernicus.modules.msm.adaptive import Adaptive
from copernicus.plugin.functions import Call, Job, Module, json_of
from copernicus.plugin.memory import Memory
from copernicus.testing import RULES, ContractBroken, FakeInstance, check_controller, contract as c

kit = Module("kit")


@dataclass
class Drawn:
    value: float


@dataclass
class Mean:
    values: list[float] = field(default_factory=list)
    mean: float | None = None


@dataclass
class Progress:
    seen: list[str] = field(default_factory=list)
    calls: int = 0


@kit.command
def draw(seed: int) -> Job[Drawn]:
    return Job("kit/draw", [seed], Drawn(json_of("stdout", float)))


Body = Callable[[Call[Mean, Progress], int], None]
ELSEWHERE: list[int] = []


def start(call: Call[Mean, Progress], n: int) -> None:
    for seed in range(n):
        call.start(f"draw_{seed}", draw, seed=seed)


def honest(call: Call[Mean, Progress], n: int) -> None:
    start(call, n)
    done = {name: child for name, child in call.children(draw).items() if child.is_done}
    call.out.values = [done[name].out.value for name in sorted(done, key=lambda name: int(name.split("_")[1]))][:n]
    if len(call.out.values) == n and n:
        call.out.mean = sum(call.out.values) / n


def by_chance(call: Call[Mean, Progress], n: int) -> None:
    start(call, n)
    call.out.values = [random.random()]


def counting(call: Call[Mean, Progress], n: int) -> None:
    start(call, n)
    call.state.calls += 1


def outside(call: Call[Mean, Progress], n: int) -> None:
    start(call, n)
    ELSEWHERE.append(len(call.ended(draw)))
    call.out.values = [float(sum(ELSEWHERE))]


def forgetful(call: Call[Mean, Progress], n: int) -> None:
    """Right as long as one instance alone lives in one process: its memory is made anew with its first call."""
    if not call.children(draw):
        ELSEWHERE.clear()
    start(call, n)
    ELSEWHERE.extend(int(child.name[5:]) for child in call.ended(draw) if int(child.name[5:]) not in ELSEWHERE)
    call.out.values = [float(number) for number in sorted(ELSEWHERE)]


def twice_counted(call: Call[Mean, Progress], n: int) -> None:
    start(call, n)
    call.out.values += [child.out.value for child in call.ended(draw)]


def trusting(call: Call[Mean, Progress], n: int) -> None:
    start(call, n)
    unfinished = [child for child in call.children(draw).values() if not child.is_done]
    if any(child.error for child in unfinished):
        raise RuntimeError("nobody said that this can happen")


def fixed(call: Call[Mean, Progress], n: int) -> None:
    start(call, n)
    if len(call.children(draw)) > n:
        raise IndexError("n became smaller")


def in_order(call: Call[Mean, Progress], n: int) -> None:
    start(call, n)
    for child in call.ended(draw):
        if child.name not in call.state.seen:
            call.state.seen.append(child.name)
            call.out.values.append(child.out.value)


def endless(call: Call[Mean, Progress], n: int) -> None:
    for child in call.children(draw).values():
        child.set(seed=child.runs)
    start(call, n)


def controller(body: Body) -> Callable[[], FakeInstance[Mean]]:
    module = Module("tried")

    @module.controller
    def tried(call: Call[Mean, Progress], *, n: int) -> None:
        body(call, n)

    return lambda: FakeInstance(tried, modules=[kit], n=4)


def end(instance: FakeInstance[Mean], name: str) -> None:
    instance.end(name, value=float(instance.children[name].inputs["seed"]) ** 2)


def check(body: Body, rule: str) -> None:
    ELSEWHERE.clear()
    check_controller(controller(body), end, edits={"n": 2}, rules=[rule])


@pytest.mark.parametrize("rule", RULES)
def test_a_controller_that_looks_at_what_is_keeps_all_rules(rule: str) -> None:
    check(honest, rule)


@pytest.mark.parametrize(
    ("body", "rule", "words"),
    [
        (by_chance, c.SAME, "Asked once"),
        (counting, c.NOTHING, "'calls': 1} became"),
        (outside, c.MEMORY, "asked again after the others"),
        (outside, c.RESTART, "outputs"),
        (forgetful, c.RESTART, "outputs"),
        (twice_counted, c.AGAIN, "draw_0 ended again"),
        (trusting, c.FAILS, "RuntimeError: nobody said that this can happen"),
        (fixed, c.INPUTS, "IndexError: n became smaller"),
        (in_order, c.ORDER, "Backwards"),
        (endless, c.SAME, "does not come to an end"),
    ],
)
def test_each_fault_breaks_its_rule(body: Body, rule: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(c, "MAX_CALLS", 100)
    with pytest.raises(ContractBroken) as broken:
        check(body, rule)
    assert words in str(broken.value)
    assert f"tried breaks a rule: {rule}" in str(broken.value)
    assert "test_controller_contract.py:" in str(broken.value)


Hear = Callable[[Memory, ControllerCall], None]


def without_the_first_child(hear: Hear) -> Hear:
    return lambda memory, call: hear(memory, replace(call, children=call.children[1:]))


def without_inputs(hear: Hear) -> Hear:
    return lambda memory, call: hear(memory, replace(call, inputs={}))


def without_removals(hear: Hear) -> Hear:
    return lambda memory, call: hear(memory, replace(call, removed=[]))


def tidy(call: Call[Mean, Progress], n: int) -> None:
    """Removes what is too many, and shows what it sees."""
    honest(call, n)
    for name, child in call.children(draw).items():
        if int(name[5:]) >= n:
            child.remove()
    call.note(f"{len(call.children(draw))} children, n is {n}")


@pytest.mark.parametrize("loss", [without_the_first_child, without_inputs, without_removals])
def test_a_difference_that_lacks_something_is_noticed(loss: Callable[[Hear], Hear], monkeypatch: pytest.MonkeyPatch) -> None:
    def live() -> None:
        """As `check_controller` does, with an input that changes meanwhile, and changes back."""
        contract = c._Contract(controller(tidy), end, {}, None)
        contract._rule = c.DIFFERENCE
        instance = contract._finished()
        for n in (2, 4, 4):
            instance.set(n=n)
            instance = contract._go_on(instance)

    live()
    monkeypatch.setattr(Memory, "hear", loss(Memory.hear))
    with pytest.raises(ContractBroken, match=c.DIFFERENCE):
        live()


def test_a_thousand_children_in_one_batch_or_one_by_one_lead_to_the_same_end() -> None:
    module = Module("many")

    @module.controller
    def many(call: Call[Mean, Progress], *, n: int) -> None:
        if not call.state.calls:
            start(call, n)
        call.state.calls = 1
        call.out.values += [child.out.value for child in call.ended(draw) if child.runs == 1]
        if len(call.out.values) == n:
            call.out.mean = sum(sorted(call.out.values)) / n

    check_controller(lambda: FakeInstance(many, modules=[kit], n=1000), end, judged_by=lambda out: out.mean, rules=[c.ORDER])


def judged(out: Adaptive) -> Any:
    return out.is_finished, out.generation, len(out.trajectories), out.simulated_ns


@pytest.mark.parametrize("rule", RULES)
def test_adaptive_sampling_keeps_the_contract(rule: str) -> None:
    edits = {"num_sim": 5, "num_generations": 4, "lag_time": 5, "cluster_distance": 0.2, "segment_ns": 0.02, "recluster": 0.1}
    check_controller(test_adaptive.new_instance, test_adaptive.end, edits=edits, judged_by=judged, rules=[rule])
