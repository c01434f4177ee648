"""`python -m benchmarks [B1 B3 …] [--json]`: prints the rows, and ends with 1 when a goal is missed."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable

from benchmarks import bag, chain, cluster, commands, ensemble, network, reaction, recovery
from benchmarks.row import Row, machine

MEASURES: dict[str, Callable[[], list[Row]]] = {
    "B1": lambda: [bag.measure(1000)],
    "B1-5000": lambda: [bag.measure(5000)],
    "B2": chain.measure,
    "B3": reaction.measure,
    "B4": network.measure,
    "B7": ensemble.measure,
    "B8": cluster.measure,
    "B9": commands.measure,
    "R1": recovery.measure,
}
DEFAULT = ["B1", "B3"]


def main() -> int:
    """Measure what the command line names."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description="Measured rows beside their limits and goals.")
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"of {', '.join(MEASURES)} (default: {' '.join(DEFAULT)})")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    given = parser.parse_args()
    unknown = [name for name in given.rows if name not in MEASURES]
    if unknown:
        parser.error(f"there is no row {unknown[0]}; there are {', '.join(MEASURES)}")
    rows: list[Row] = []
    for name in given.rows or DEFAULT:
        found = MEASURES[name]()
        rows += found
        if not given.json:
            print_rows(found)
    if given.json:
        print(json.dumps({"machine": machine(), "rows": [row.as_data() for row in rows]}, indent=2))
    else:
        print(" · ".join(f"{name} {value}" for name, value in machine().items()))
    return 0 if all(row.is_met for row in rows) else 1


def print_rows(rows: list[Row]) -> None:
    """Print rows for a person, as soon as they are measured."""
    for row in rows:
        sign = "≥" if row.is_rate else "≤"
        verdict = "met" if row.is_met else "MISSED"
        print(f"{row.name:7} {row.value:8.3g} {row.unit:3} goal {sign} {row.goal:g} {verdict:7} {row.what}")
        print(f"        limit: {row.limit}")
        if row.details:
            print(f"        {', '.join(f'{name} {value:.4g}' for name, value in row.details.items())}")
        sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
