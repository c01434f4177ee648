"""A Markov state model as a job, and the final report as another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from copernicus.modules.msm.results import Model, Summary
from copernicus.plugin.functions import Fail, File, GiveUp, Job, Module, Rule, file, json_of, option

module = Module(
    "msm",
    "Markov state models and adaptive sampling",
    citations=["M. Hoffmann et al., Deeptime: a Python library for machine learning dynamical models from time series data, "
               "Mach. Learn.: Sci. Technol. 3 (2022) 015009, doi:10.1088/2632-2153/ac3de0"],
)  # fmt: skip

_RULES = [Rule(exit_status=1, then=Fail), Rule(exit_status=2, then=Fail), GiveUp(after=4, without="progress")]


@dataclass(frozen=True)
class Range:
    """From `low` to `high` of a feature; angles in degrees, and low > high goes over ±180°."""

    feature: str
    low: float
    high: float


@dataclass(frozen=True)
class Region:
    """A named part of the feature space, whose population is wanted."""

    name: str
    ranges: list[Range]


@dataclass(frozen=True)
class Modelled:
    """A model: its numbers, and its matrices as arrays."""

    model: Model
    record: Annotated[File, ".json: the same numbers"]
    matrices: Annotated[File, ".npz: transitions, stationary, connected, states"]


@dataclass(frozen=True)
class Reported:
    """The final numbers with error bars, and the pictures."""

    summary: Summary
    free_energy_png: File
    timescales_png: File
    convergence_png: File
    chapman_kolmogorov_png: File


def _arguments(
    features: Sequence[File], angles: Sequence[str], distances: Sequence[str], regions: Sequence[Region],
    frame_ps: float, lag_time: int, cluster_distance: float, samples: int, seed: int,
) -> list[str | int | float | File]:  # fmt: skip
    """What both programs are told."""
    words: list[str | int | float | File] = [
        "--features", *features, *option("--angles", angles), *option("--distances", distances), "--frame-ps", frame_ps,
        "--lag", lag_time, "--cluster-distance", cluster_distance, "--samples", samples, "--seed", seed,
    ]  # fmt: skip
    for region in regions:
        words += ["--region", region.name]
        for each in region.ranges:
            words += [each.feature, each.low, each.high]
    return words


@module.command(deterministic=True)
def build_msm(
    features: Annotated[Sequence[File], "one .npz file for each trajectory"],
    angles: Annotated[Sequence[str], "names of the features that are angles"] = (),
    distances: Annotated[Sequence[str], "names of the features that are distances"] = (),
    regions: Sequence[Region] = (),
    frame_ps: Annotated[float, "time between frames"] = 0.2,
    lag_time: Annotated[int, "frames"] = 10,
    cluster_distance: Annotated[float, "between cluster centres; an angle counts as its cosine and sine"] = 0.3,
    num_seeds: Annotated[int, "how many frames to start from"] = 0,
    samples: Annotated[int, "reweighted models for the error bars"] = 20,
    seed: int = 1,
    priority: int = 0,
) -> Job[Modelled]:
    """Makes a Markov state model of all trajectories, and says which frames to start from: the least visited states."""
    return Job(
        "msm/build",
        ["build", *_arguments(features, angles, distances, regions, frame_ps, lag_time, cluster_distance, samples, seed),
         "--seeds", num_seeds],
        Modelled(model=json_of("model.json", Model), record=file("model.json"), matrices=file("model.npz")),
        priority=priority,
        rules=_RULES,
    )  # fmt: skip


@module.command(deterministic=True)
def report(
    features: Annotated[Sequence[File], "one .npz file for each trajectory"],
    models: Annotated[Sequence[File], "the records of the models of all generations, in order"] = (),
    angles: Annotated[Sequence[str], "names of the features that are angles"] = (),
    distances: Annotated[Sequence[str], "names of the features that are distances"] = (),
    regions: Sequence[Region] = (),
    frame_ps: Annotated[float, "time between frames"] = 0.2,
    lag_time: Annotated[int, "frames"] = 10,
    cluster_distance: Annotated[float, "between cluster centres; an angle counts as its cosine and sine"] = 0.3,
    num_macrostates: int = 3,
    temperature_K: float = 300.0,
    samples: Annotated[int, "reweighted models for the error bars"] = 50,
    seed: int = 1,
    priority: int = 0,
) -> Job[Reported]:
    """Makes the final model with macrostates and error bars, tests it, and draws the pictures."""
    return Job(
        "msm/build",
        ["report", *_arguments(features, angles, distances, regions, frame_ps, lag_time, cluster_distance, samples, seed),
         "--macrostates", num_macrostates, "--temperature-K", temperature_K,
         *option("--models", models)],
        Reported(
            summary=json_of("summary.json", Summary), free_energy_png=file("free_energy.png"),
            timescales_png=file("timescales.png"), convergence_png=file("convergence.png"),
            chapman_kolmogorov_png=file("chapman_kolmogorov.png"),
        ),
        priority=priority,
        rules=_RULES,
    )  # fmt: skip
