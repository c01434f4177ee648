"""The controller of adaptive sampling, in memory: places filled, models made on time, the end, edits after it, failures."""

from __future__ import annotations

import random
from typing import Any

import pytest

from copernicus.modules.msm.adaptive import Adaptive, adaptive
from copernicus.modules.msm.functions import module as msm
from copernicus.modules.msm.results import Measured, Model, Population, Seed, Summary
from copernicus.modules.openmm.functions import Feature, module as openmm
from copernicus.testing import RULES, FakeInstance, check_controller, fake_file

FEATURES = [Feature("phi", "dihedral", [4, 6, 8, 14])]
PER_GENERATION = 5
PICTURES = ("free_energy_png", "timescales_png", "convergence_png", "chapman_kolmogorov_png")


def new_instance(**inputs: Any) -> FakeInstance[Adaptive]:
    settings: dict[str, Any] = {
        "confs": [fake_file("a.pdb", "a"), fake_file("b.pdb", "b")], "features": FEATURES, "num_sim": 3,
        "segment_ns": 0.01, "recluster": 0.01 * PER_GENERATION, "num_generations": 3,
    }  # fmt: skip
    return FakeInstance(adaptive, modules=[openmm, msm], **(settings | inputs))


def open_children(instance: FakeInstance[Adaptive], kind: str = "") -> list[str]:
    return [
        name for name, child in instance.children.items()
        if not child.is_done and not child.error and not child.held and name.startswith(kind)
    ]  # fmt: skip


def sim_inputs(instance: FakeInstance[Adaptive]) -> list[dict[str, Any]]:
    return [child.inputs for name, child in instance.children.items() if name.startswith("sim_")]


def end(instance: FakeInstance[Adaptive], name: str) -> None:
    """Let a child come to the end that its kind has."""
    inputs = instance.children[name].inputs
    if name.startswith("sim_"):
        files = {each: fake_file(f"{each}.npz", f"{name} {each}") for each in ("features", "trajectory", "end")}
        instance.end(name, **files, length_ps=inputs["length_ps"])
    elif name.startswith("build_"):
        trajectories = len(inputs["features"])
        model = Model(
            simulated_ns=0.01 * trajectories, trajectories=trajectories, frames=51 * trajectories, states=20,
            connected_states=10, connected_raw=0.9, timescales_ns=[Measured(0.04, 0.01)],
            regions=[Population("left", 0.3, Measured(0.1))],
            seeds=[Seed(trajectories - 1, frame) for frame in range(inputs["num_seeds"])],
        )  # fmt: skip
        instance.end(name, model=model, record=fake_file("model.json", name), matrices=fake_file("model.npz", name))
    else:
        summary = Summary(0.15, 15, 20, 10, 0.002, timescales_ns=[Measured(0.05, 0.01)])
        instance.end(name, summary=summary, **{picture: fake_file(picture, picture) for picture in PICTURES})


def run_to_the_end(instance: FakeInstance[Adaptive], order: random.Random, at_once: int = 1, watch: Any = None) -> list[str]:
    """End children in some order, some in one call, until none is left; return the names in the order of their ends."""
    ended = []
    instance.call()
    while going := open_children(instance):
        if watch is not None:
            watch()
        for name in order.sample(going, min(at_once, len(going))):
            end(instance, name)
            ended.append(name)
        instance.call()
    return ended


@pytest.mark.parametrize(("seed", "at_once"), [(1, 1), (2, 1), (3, 2), (4, 5)])
def test_it_ends_with_all_generations_whatever_the_order(seed: int, at_once: int) -> None:
    instance = new_instance()
    started_at_once: list[int] = []
    ended = run_to_the_end(
        instance, random.Random(seed), at_once, watch=lambda: started_at_once.append(len(open_children(instance, "sim_")))
    )
    assert max(started_at_once) == instance.inputs["num_sim"]
    sims = [name for name in ended if name.startswith("sim_")]
    assert len(sims) == 3 * PER_GENERATION
    assert [name for name in ended if not name.startswith("sim_")] == ["build_1", "build_2", "build_3", "report"]
    out = instance.out
    assert out.is_finished
    assert out.generation == len(out.history) == 3
    assert out.simulated_ns == pytest.approx(0.15)
    assert len(out.features) == len(set(out.features)) == len(out.trajectories) == len(set(out.trajectories)) == 15
    frames = [(str(inputs["positions"]), inputs["positions_frame"]) for inputs in sim_inputs(instance) if "positions" in inputs]
    assert len(frames) == len(set(frames))  # no frame is started from twice
    assert out.free_energy_png is not None
    assert out.timescales_ns == [Measured(0.05, 0.01)]
    answer = instance.call()  # nothing has changed
    assert (answer.outputs, answer.state) == ({}, {})


def test_first_structures_then_seeds_then_continuations() -> None:
    instance = new_instance(num_sim=2, recluster=0.03)
    instance.call()
    assert sorted(open_children(instance)) == ["sim_0_0", "sim_1_0"]
    assert [instance.children[f"sim_{chain}_0"].inputs["structure"]["name"] for chain in (0, 1)] == ["a.pdb", "b.pdb"]
    end(instance, "sim_1_0")
    instance.call()
    again = instance.children["sim_1_1"].inputs
    assert again["positions"] == instance.children["sim_1_0"].outputs["end"]
    for name in ("sim_0_0", "sim_1_1"):
        end(instance, name)
        instance.call()
    built = instance.children["build_1"].inputs
    assert built["features"] == [instance.children[name].outputs["features"] for name in ("sim_0_0", "sim_1_0", "sim_1_1")]
    assert built["num_seeds"] == 3 + 2
    assert sorted(open_children(instance)) == ["build_1", "sim_0_1", "sim_1_2"]  # the workers do not wait for the model
    end(instance, "build_1")
    end(instance, "sim_0_1")
    instance.call()
    seeded = instance.children["sim_2_0"].inputs
    assert seeded["positions"] == instance.children["sim_1_1"].outputs["trajectory"]
    assert seeded["positions_frame"] == 0
    assert seeded["priority"] == 1
    assert instance.children["sim_2_0"].inputs["seed"] != instance.children["sim_0_1"].inputs["seed"]


def test_more_generations_and_another_lag_after_the_end() -> None:
    instance = new_instance()
    run_to_the_end(instance, random.Random(1))
    instance.set(lag_time=5)
    instance.call()
    assert sorted(open_children(instance)) == ["build_3", "report"]  # analysed again, nothing simulated again
    run_to_the_end(instance, random.Random(1))
    assert instance.out.is_finished
    assert instance.children["build_3"].inputs["lag_time"] == 5
    instance.set(num_generations=4)
    ended = run_to_the_end(instance, random.Random(2))
    assert len([name for name in ended if name.startswith("sim_")]) == PER_GENERATION
    assert ended[-2:] == ["build_4", "report"]
    assert (instance.out.is_finished, instance.out.generation) == (True, 4)


def test_fewer_and_more_simulations_at_a_time() -> None:
    instance = new_instance(num_generations=10)
    instance.call()
    instance.set(num_sim=1)
    for name in open_children(instance)[:2]:
        end(instance, name)
    instance.call()
    assert len(open_children(instance, "sim_")) == 1
    instance.set(num_sim=4)
    instance.call()
    assert len(open_children(instance, "sim_")) == 4


def test_a_model_that_is_missing_stops_the_simulations_after_one_generation() -> None:
    instance = new_instance()
    instance.call()
    while going := open_children(instance, "sim_"):
        end(instance, going[0])
        instance.call()
    assert open_children(instance) == ["build_1"]
    assert instance.out.simulated_ns == pytest.approx(2 * 0.01 * PER_GENERATION)


def test_a_failed_simulation_loses_its_place_and_many_stop_it_all() -> None:
    instance = new_instance()
    instance.call()
    instance.fail("sim_0_0", "it blew up")
    instance.call()
    assert sorted(open_children(instance)) == ["sim_1_0", "sim_2_0", "sim_3_0"]
    for _ in range(10):
        for name in open_children(instance):
            instance.fail(name, "it blew up")
        instance.call()
    assert open_children(instance) == []
    assert "it blew up" in instance.warning
    for child in instance.children.values():
        child.error = ""
    run_to_the_end(instance, random.Random(1))
    assert instance.out.is_finished
    assert instance.warning == ""


@pytest.mark.parametrize("rule", RULES)
def test_it_keeps_the_contract_of_controllers(rule: str) -> None:
    """Which seeds come first depends on what ended first; how much is simulated and modelled does not."""
    edits = {"num_sim": 2, "num_generations": 4, "lag_time": 5, "samples": 7, "temperature_K": 310.0, "segment_ns": 0.025}
    check_controller(
        new_instance, end, edits=edits, rules=[rule],
        judged_by=lambda out: (out.generation, out.simulated_ns, len(out.trajectories), out.is_finished, out.timescales_ns),
    )  # fmt: skip


def test_an_engine_that_does_not_fit_is_refused() -> None:
    instance = new_instance(engine="msm::build_msm")
    with pytest.raises(Exception, match="cannot stand for openmm::segment"):
        instance.call()
