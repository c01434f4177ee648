"""The program behind the jobs of Markov modelling: `build` makes a model and seeds, `report` the final tables and pictures."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy: a library with threads of its own does not survive a fork
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

from copernicus.modules.msm.analysis import Analysis, AnalysisSettings
from copernicus.modules.msm.features import Region, read_trajectories
from copernicus.modules.msm.model import least_counted
from copernicus.modules.msm.results import Model, Seed, as_measured, as_populations, write_json

PS_PER_NS = 1000.0


def build(options: argparse.Namespace) -> None:
    """Make a model of all trajectories: model.json, and model.npz with its matrices."""
    data = read_trajectories(options.features, options.angles, options.distances)
    analysis = Analysis(data, analysis_settings(options))
    populations, raw, timescales = analysis.region_populations(options.region)
    frame_ns = options.frame_ps / PS_PER_NS
    model = Model(
        simulated_ns=round((len(data.owner) - data.count) * frame_ns, 9),
        trajectories=data.count,
        frames=len(data.owner),
        states=analysis.count,
        connected_states=len(analysis.model.connected),
        connected_raw=float(analysis.is_connected().mean()),
        timescales_ns=[as_measured(timescale, frame_ns) for timescale in timescales],
        regions=as_populations([region.name for region in options.region], populations, raw),
        seeds=[Seed(*seed) for seed in least_counted(data, analysis.states, analysis.count, options.seeds, analysis.random(0))],
    )
    np.savez(
        "model.npz",
        transitions=analysis.model.transitions,
        stationary=analysis.model.stationary,
        connected=analysis.model.connected,
        states=analysis.states,
    )
    write_json(Path("model.json"), model)
    print(
        f"{model.trajectories} trajectories, {model.frames} frames: {model.connected_states} of {model.states} states connected"
    )


def analysis_settings(options: argparse.Namespace) -> AnalysisSettings:
    """Return the settings that all commands share."""
    return AnalysisSettings(options.cluster_distance, options.lag, options.samples, options.seed)


class _RegionArgument(argparse.Action):
    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        try:
            region = Region.parse(values)
        except ValueError as error:
            parser.error(str(error))
        setattr(namespace, self.dest, [*getattr(namespace, self.dest), region])


def parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    root = argparse.ArgumentParser(prog="python -m copernicus.modules.msm.program", description="Make Markov state models.")
    commands = root.add_subparsers(dest="command", required=True)
    both = argparse.ArgumentParser(add_help=False)
    both.add_argument("--features", nargs="+", type=Path, required=True, help=".npz files, one for each trajectory")
    both.add_argument("--angles", nargs="*", default=[], help="names of the features that are angles (radians)")
    both.add_argument("--distances", nargs="*", default=[], help="names of the features that are distances (nm)")
    both.add_argument("--frame-ps", type=float, required=True, help="time between frames")
    both.add_argument("--lag", type=int, required=True, help="frames")
    both.add_argument("--cluster-distance", type=float, required=True, help="between cluster centres; an angle is cos, sin")
    both.add_argument("--samples", type=int, default=20, help="reweighted models for the error bars")
    both.add_argument("--seed", type=int, default=1, help="of the random numbers")
    both.add_argument(
        "--region", nargs="+", action=_RegionArgument, default=[], metavar=("NAME", "FEATURE LOW HIGH"),
        help="a part of the feature space whose population is wanted; angles in degrees",
    )  # fmt: skip

    one = commands.add_parser("build", parents=[both], help="a model and frames to start from", allow_abbrev=False)
    one.add_argument("--seeds", type=int, default=0, help="how many frames to start from")

    last = commands.add_parser("report", parents=[both], help="tables and pictures", allow_abbrev=False)
    last.add_argument("--macrostates", type=int, default=3)
    last.add_argument("--temperature-K", type=float, default=300.0, dest="temperature_k")
    last.add_argument("--models", nargs="*", type=Path, default=[], help="the model.json of all generations, in order")
    return root


def main(argv: list[str]) -> int:
    """Do one job in the current folder; return the exit status."""
    options = parser().parse_args(argv)
    try:
        if options.command == "build":
            build(options)
        else:
            from copernicus.modules.msm.report import report  # deeptime and matplotlib take seconds to import

            report(options)
    except (ValueError, OSError) as error:
        print(f"{options.command}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
