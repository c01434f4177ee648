"""Adaptive sampling: simulate, model, and start again where the model knows least."""

from __future__ import annotations

import itertools
import math
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Annotated

from copernicus.modules.msm.models import Region, Reported, build_msm, module, report as make_report
from copernicus.modules.msm.results import Generation, Macrostate, Measured, Model, Population, Seed
from copernicus.modules.openmm.functions import FORCEFIELD, Feature, Simulated, segment
from copernicus.plugin.functions import Call, Child, File

PS_PER_NS = 1000.0
PRIORITY_OF_MODELS = 20
MANY_FAILURES = 5
TOLERANCE = 1e-6
OF_MODELS = {"features", "cluster_distance", "lag_time", "frame_ps", "regions"}
"""Inputs that change how trajectories are analysed."""


@dataclass
class Adaptive:
    """What adaptive sampling gives; what is not known yet is absent or empty."""

    trajectories: list[File] = field(default_factory=list)
    features: list[File] = field(default_factory=list)
    generation: int = 0
    simulated_ns: float = 0.0
    states: int = 0
    connected_states: int = 0
    timescales_ns: list[Measured] = field(default_factory=list)
    populations: list[Population] = field(default_factory=list)
    macrostates: list[Macrostate] = field(default_factory=list)
    history: list[Generation] = field(default_factory=list)
    is_finished: bool = False
    free_energy_png: File | None = None
    timescales_png: File | None = None
    convergence_png: File | None = None
    chapman_kolmogorov_png: File | None = None


@dataclass
class Progress:
    """Its memory: the simulations whose trajectories are in the outputs, in their order, and seeds not used yet."""

    collected: list[str] = field(default_factory=list)
    seeds: list[Seed] = field(default_factory=list)
    next_chain: int = 0


@module.controller
def adaptive(
    call: Call[Adaptive, Progress],
    *,
    confs: Annotated[Sequence[File], "start structures, taken in turn"],
    features: Annotated[Sequence[Feature], "what the model is made of"],
    num_sim: Annotated[int, "simulations at a time"] = 8,
    segment_ns: Annotated[float, "length of one simulation"] = 0.01,
    recluster: Annotated[float, "ns of new simulation after which a new model is made"] = 0.4,
    num_generations: Annotated[int, "models to make"] = 10,
    num_macrostates: int = 3,
    cluster_distance: Annotated[float, "between cluster centres; an angle counts as its cosine and sine"] = 0.3,
    lag_time: Annotated[int, "frames"] = 10,
    frame_ps: Annotated[float, "time between frames"] = 0.2,
    regions: Annotated[Sequence[Region], "parts of the feature space whose populations are wanted"] = (),
    forcefield: Annotated[Sequence[str], "as the engine calls it"] = FORCEFIELD,
    temperature_K: float = 300.0,
    engine: Annotated[str, "a function that takes and gives what openmm::segment does"] = "openmm::segment",
    samples: Annotated[int, "reweighted models for the final error bars"] = 50,
    seed: Annotated[int, "of all random numbers: the same seed and the same order of events give the same result"] = 1,
) -> None:
    """Simulates, models, and starts again where the model knows least.

    `num_sim` simulations go at a time. The place of one that has ended is taken by a start from the newest model's least
    visited states, or, when these are used up, by the continuation of a simulation. Whenever `recluster` ns have come
    together a model is made, while the simulations go on; after the last one comes the report with pictures.
    """
    out, state = call.out, call.state
    simulate = call.function(engine, like=segment)
    sims = list(call.children(simulate).values())
    done = [sim for sim in sims if sim.is_done]
    busy = [sim for sim in sims if not sim.is_done and not sim.error]
    failed = [sim for sim in sims if sim.error]
    out.simulated_ns = round(sum(sim.out.length_ps for sim in done) / PS_PER_NS, 9)

    models = sorted(call.children(build_msm).values(), key=lambda built: number_of(built.name))
    for number, built in enumerate(models, start=1):
        if built.is_done:
            record_model(out, state, number, built.out.model)

    angles = [one.name for one in features if one.kind == "dihedral"]
    distances = [one.name for one in features if one.kind == "distance"]
    newest = len(models)
    is_due = out.simulated_ns >= (newest + 1) * recluster - TOLERANCE and newest == out.generation < num_generations
    if is_due:
        collect(out, state, done)
        newest += 1
    if is_due or (newest and not call.changed.isdisjoint(OF_MODELS)):  # the newest is made again; nothing simulated again
        call.start(
            f"build_{newest}", build_msm, features=out.features, angles=angles, distances=distances, regions=regions,
            frame_ps=frame_ps, lag_time=lag_time, cluster_distance=cluster_distance, seed=seed, priority=PRIORITY_OF_MODELS,
            num_seeds=math.ceil(recluster / segment_ns - TOLERANCE) + num_sim,  # until the next model is there
        )  # fmt: skip

    # Simulations may run ahead of the models by one generation at most.
    wanted_ns = min(num_generations, out.generation + 2) * recluster
    lacking = math.ceil((wanted_ns - out.simulated_ns) / segment_ns - TOLERANCE) - len(busy)
    if len(failed) >= max(MANY_FAILURES, len(done) // 4):
        call.warn(f"{len(failed)} simulations failed; no more are started until clear-error. The last one: {failed[-1].error}")
    else:
        call.warn("")
        for start in itertools.islice(starts(out, state, confs, sims, num_sim), max(0, min(num_sim - len(busy), lacking))):
            call.start(
                start.name, simulate, structure=start.structure, positions=start.positions,
                positions_frame=start.frame, length_ps=segment_ns * PS_PER_NS, features=features, forcefield=forcefield,
                frame_ps=frame_ps, temperature_K=temperature_K, seed=zlib.crc32(f"{seed} {start.name}".encode()) >> 1,
                priority=min(out.generation, PRIORITY_OF_MODELS - 1),
            )  # fmt: skip

    out.is_finished = False
    if out.generation >= num_generations:
        final = call.start(
            "report", make_report, features=out.features, models=[built.out.record for built in models], angles=angles,
            distances=distances, regions=regions, frame_ps=frame_ps, lag_time=lag_time, cluster_distance=cluster_distance,
            num_macrostates=num_macrostates, temperature_K=temperature_K, samples=samples, seed=seed,
            priority=PRIORITY_OF_MODELS,
        )  # fmt: skip
        if final.is_done:
            record_report(out, final.out)
    going = len(call.children(simulate)) - len(done) - len(failed)
    call.note(f"generation {out.generation} of {num_generations}, {out.simulated_ns:g} ns, {going} simulations going")


@dataclass(frozen=True)
class Start:
    """A simulation to be started: from a structure, or from other positions of it."""

    name: str
    structure: File
    positions: File | None = None
    frame: int = 0


def starts(
    out: Adaptive, state: Progress, confs: Sequence[File], sims: Sequence[Child[Simulated]], num_sim: int
) -> Iterator[Start]:
    """Yield what to start next, the most useful first: seeds of the newest model, start structures, continuations."""
    last_parts: dict[int, Child[Simulated]] = {}
    for sim in sims:
        chain, part = chain_and_part(sim.name)
        if chain not in last_parts or part > chain_and_part(last_parts[chain].name)[1]:
            last_parts[chain] = sim

    def new_chain(structure: File, positions: File | None = None, frame: int = 0) -> Start:
        state.next_chain += 1
        return Start(f"sim_{state.next_chain - 1}_0", structure, positions, frame)

    while state.seeds:
        seed = state.seeds.pop(0)
        yield new_chain(confs[0], out.trajectories[seed.trajectory], seed.frame)
    while state.next_chain < max(num_sim, len(confs)):
        yield new_chain(confs[state.next_chain % len(confs)])
    for chain, sim in sorted(last_parts.items(), reverse=True):  # the youngest chains are where least is known
        if sim.is_done:
            yield Start(f"sim_{chain}_{chain_and_part(sim.name)[1] + 1}", confs[0], sim.out.end)
    while True:
        yield new_chain(confs[state.next_chain % len(confs)])


def chain_and_part(name: str) -> tuple[int, int]:
    """Return 3 and 1 for the name sim_3_1."""
    _, chain, part = name.split("_")
    return int(chain), int(part)


def number_of(name: str) -> int:
    """Return 3 for the name build_3."""
    return int(name.split("_")[1])


def collect(out: Adaptive, state: Progress, done: Sequence[Child[Simulated]]) -> None:
    """Append the trajectories that are new; what is there keeps its place, since seeds name trajectories by number."""
    known = set(state.collected)
    for sim in sorted(done, key=lambda sim: chain_and_part(sim.name)):
        if sim.name not in known:
            state.collected.append(sim.name)
            out.trajectories.append(sim.out.trajectory)
            out.features.append(sim.out.features)


def record_model(out: Adaptive, state: Progress, number: int, model: Model) -> None:
    """Take a model into the history; a new one also gives the seeds and the present numbers."""
    generation = Generation(
        generation=number,
        simulated_ns=model.simulated_ns,
        states=model.states,
        connected_states=model.connected_states,
        timescales_ns=model.timescales_ns,
        regions=model.regions,
    )
    out.history[number - 1 : number] = [generation]
    if number > out.generation:
        out.generation, state.seeds = number, list(model.seeds)
    if number == out.generation:
        out.states, out.connected_states = model.states, model.connected_states
        out.timescales_ns, out.populations = model.timescales_ns, model.regions


def record_report(out: Adaptive, reported: Reported) -> None:
    """Take the report's numbers and pictures as the final ones."""
    out.timescales_ns, out.populations = reported.summary.timescales_ns, reported.summary.regions
    out.macrostates = reported.summary.macrostates
    out.free_energy_png, out.timescales_png = reported.free_energy_png, reported.timescales_png
    out.convergence_png, out.chapman_kolmogorov_png = reported.convergence_png, reported.chapman_kolmogorov_png
    out.is_finished = True
