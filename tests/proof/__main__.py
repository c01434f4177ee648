"""All parts of the proof, three at a time, and what they have found.

    scripts/proof [--minutes N] [--seed S] [--parts kills,cuts] [--ledger] [--json]

Without --minutes each part runs in its short form, with its planted bugs: some three minutes in all, and what every change
must pass. With it the parts share so many minutes. With --json the last line is one object. The exit status is 1 when
anything was lost, duplicated, stuck or unexpected, when a planted bug was missed, or when a part failed.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from tests.proof import ledger
from tests.proof.part import BUGS

PARTS = ("kills", "partitions", "simulation", "syscalls", "cuts", "lending")
"""The longest first: they run side by side."""
AT_ONCE = 3
SHORT_LIMIT_S = 900.0
MOST_LINES = 60


@dataclass
class Ended:
    """A part that has ended: its exit status, what it printed, and its last line, {} without one."""

    part: str
    status: int
    output: str
    result: dict[str, Any]


def run(part: str, seed: int, minutes: float | None) -> Ended:
    """Run one part to its end; one that takes far too long is ended, and has failed."""
    words = [sys.executable, "-m", f"tests.proof.{part}", "--seed", str(seed), "--planted", "--json"]
    words += [] if minutes is None else ["--minutes", f"{minutes:g}"]
    limit_s = SHORT_LIMIT_S + (0.0 if minutes is None else 2 * 60 * minutes)
    with tempfile.TemporaryFile("w+") as file:
        process = subprocess.Popen(
            words, cwd=ledger.ROOT, stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True
        )
        try:
            status = process.wait(limit_s)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            status = process.wait() or 1
            print(f"{part} has not ended after {limit_s:.0f} s.", file=file)
        file.seek(0)
        output = file.read()
    lines = output.rstrip().splitlines()
    result: dict[str, Any] = {}
    with suppress(ValueError, IndexError):
        last = json.loads(lines[-1])
        if isinstance(last, dict):
            result, lines = last, lines[:-1]
    if len(lines) > 2 * MOST_LINES:
        lines[MOST_LINES:-MOST_LINES] = [f"… {len(lines) - 2 * MOST_LINES} lines are left out …"]
    return Ended(part, status, "\n".join(lines), result)


def summed(ended: list[Ended], seconds: float) -> dict[str, Any]:
    """One object for all parts."""
    counts, found = Counter[str](dict.fromkeys(ledger.FAULTS, 0)), Counter[str](dict.fromkeys(ledger.HARMS, 0))
    planted: dict[str, bool] = {}
    for one in ended:
        if one.result:
            row = ledger.row_of(one.result, "")
            counts.update(row.counts)
            found.update(row.found)
            for bug, is_caught in row.planted.items():
                planted[bug] = planted.get(bug, False) or is_caught
    skipped = {one.part: str(one.result["skipped"]) for one in ended if one.result.get("skipped")}
    return {
        **{name: counts[name] for name in ledger.FAULTS}, **found,
        "planted_caught": sum(planted.values()), "planted_total": len(planted),
        "planted": dict(sorted(planted.items())),
        "not_planted": [bug for bug in BUGS if bug not in planted],
        "skipped": skipped, "skipped_parts": len(skipped),
        "failed": [one.part for one in ended if one.status or not one.result],
        "counts": dict(sorted(counts.items())), "seconds": round(seconds, 1),
    }  # fmt: skip


def is_good(sums: dict[str, Any], *, is_whole: bool) -> bool:
    """Whether all is well. `is_whole`: all parts were asked for, so that each bug of the list must have been planted."""
    harms = any(sums[name] for name in ledger.HARMS)
    misses = sums["planted_caught"] < sums["planted_total"]
    gaps = is_whole and not sums["skipped"] and sums["not_planted"]
    return not (harms or misses or gaps or sums["failed"])


def tell(sums: dict[str, Any]) -> None:
    """The end, for people."""
    print("\n== all parts")
    print("tried:   " + ", ".join(f"{sums[name]:,} {words}" for name, words in ledger.FAULTS.items()))
    print("found:   " + ", ".join(f"{sums[name]} {name}" for name in ledger.HARMS))
    print(f"planted: {sums['planted_caught']} of {sums['planted_total']} bugs caught")
    for bug, is_caught in sums["planted"].items():
        if not is_caught:
            print(f"MISSED:  {bug}")
    for bug in sums["not_planted"]:
        print(f"not planted by these parts: {bug}")
    for part, why in sums["skipped"].items():
        print(f"SKIPPED: {part}: {why}")
    for part in sums["failed"]:
        print(f"FAILED:  {part}")
    print(f"{sums['seconds']:g} s", flush=True)


def main() -> int:
    """Run the parts that are asked for; return the exit status."""
    parser = argparse.ArgumentParser(prog="scripts/proof", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--minutes", type=float, default=None, help="for all parts together; without it, the short form")
    parser.add_argument("--seed", type=int, default=1, help="of everything that is drawn")
    parser.add_argument("--parts", default=",".join(PARTS), help=f"some of {','.join(PARTS)}")
    parser.add_argument("--ledger", action="store_true", help="add what was done and found to tests/proof/ledger.json")
    parser.add_argument("--json", action="store_true", help="the last line is one object")
    asked = parser.parse_args()
    parts = [part for part in asked.parts.split(",") if part]
    if unknown := sorted(set(parts) - set(PARTS)):
        parser.error(f"There is no part {', '.join(unknown)}; there are {', '.join(PARTS)}.")
    commit = ledger.commit() if asked.ledger else ""
    began_at = time.monotonic()
    share = None if asked.minutes is None else asked.minutes * min(AT_ONCE, len(parts)) / len(parts)
    ended = []
    with ThreadPoolExecutor(AT_ONCE) as pool:
        print(f"parts: {', '.join(parts)}; seed {asked.seed}; {AT_ONCE} at a time", flush=True)
        for future in as_completed([pool.submit(run, part, asked.seed, share) for part in parts]):
            one = future.result()
            ended.append(one)
            print(f"\n== {one.part}{'' if one.status == 0 else ' FAILED'}\n{one.output}", flush=True)
    sums = summed(ended, time.monotonic() - began_at)
    tell(sums)
    if asked.ledger:
        rows = [ledger.row_of(one.result, commit) for one in ended if one.result]
        ledger.add([row for row in rows if row.counts])
    if asked.json:
        print(json.dumps(sums), flush=True)
    return 0 if is_good(sums, is_whole=set(parts) == set(PARTS)) else 1


if __name__ == "__main__":
    sys.exit(main())
