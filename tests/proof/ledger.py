"""The ledger: every long run of the proof that was made for this code, what was tried in it and what was found.

python -m tests.proof.ledger      the totals
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
FILE = Path(__file__).with_name("ledger.json")
PAGE = ROOT / "docs" / "explanation" / "reliability.md"
BLOCK = re.compile(r"(<!-- ledger -->\n).*?(<!-- end of ledger -->)", re.DOTALL)
FAULTS = {
    "kills": "`kill -9` of real servers and workers",
    "power_cuts": "power cuts",
    "seeds": "simulated histories",
    "histories": "simulated histories of an owner and a lender",
    "partitions": "network partitions",
    "syscall_faults": "system calls that failed",
}
"""What is counted, in the words of people; the first is what `scripts/proof --json` calls it."""
HARMS = ("lost", "duplicated", "stuck", "unexpected")


@dataclass(frozen=True)
class Row:
    """One part of one run. `counts`: what was tried; `found`: what must not be; `planted`: each bug, and if it was caught."""

    commit: str
    date: str
    seed: int
    part: str
    seconds: float
    counts: dict[str, int] = field(default_factory=dict)
    found: dict[str, int] = field(default_factory=dict)
    planted: dict[str, bool] = field(default_factory=dict)


def row_of(result: dict[str, Any], commit: str) -> Row:
    """The row for what a part has printed last."""
    known = {"part", "seed", "seconds", "planted", "skipped", "findings", "other", *HARMS}
    counts = {name: number for name, number in result.items() if name not in known and isinstance(number, int)}
    found = {name: int(result.get(name, 0)) for name in HARMS}
    found["unexpected"] += int(result.get("other", 0))
    today = time.strftime("%Y-%m-%d", time.gmtime())
    return Row(commit, today, int(result.get("seed", 1)), str(result["part"]), float(result["seconds"]), counts, found,
               dict(result.get("planted", {})))  # fmt: skip


def read(path: Path = FILE) -> list[Row]:
    """All rows, the oldest first."""
    return [Row(**row) for row in json.loads(path.read_text())] if path.exists() else []


def add(rows: list[Row], path: Path = FILE, page: Path = PAGE) -> None:
    """Append rows, and bring the page that shows the totals up to date."""
    lines = [json.dumps(asdict(row)) for row in [*read(path), *rows]]
    path.write_text("[\n" + ",\n".join(lines) + "\n]\n")
    page.write_text(shown(page.read_text(), table(totals(read(path)))))


def shown(text: str, new: str) -> str:
    """The text of the page with another table of totals in it."""
    return BLOCK.sub(lambda match: f"{match.group(1)}{new}\n{match.group(2)}", text)


@dataclass
class Totals:
    """Sums over rows. `bugs` maps each planted bug to the parts that caught it and those that missed it."""

    runs: int = 0
    seconds: float = 0.0
    counts: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)
    bugs: dict[str, tuple[set[str], set[str]]] = field(default_factory=dict)


def totals(rows: list[Row]) -> Totals:
    """Sum up."""
    sums = Totals(runs=len(rows), seconds=sum(row.seconds for row in rows))
    for row in rows:
        sums.counts.update(row.counts)
        sums.found.update(row.found)
        for bug, is_caught in row.planted.items():
            caught, missed = sums.bugs.setdefault(bug, (set(), set()))
            (caught if is_caught else missed).add(row.part)
    return sums


def table(sums: Totals) -> str:
    """The totals as a table of Markdown."""
    lines = ["| tried | how often |", "|---|---:|"]
    lines += [f"| {words} | {sums.counts[name]:,} |" for name, words in FAULTS.items()]
    lines += [f"| *{name}* | {sums.found[name]:,} |" for name in HARMS]
    caught = sum(bool(caught) for caught, _ in sums.bugs.values())
    lines += [f"| planted bugs caught | {caught} of {len(sums.bugs)} |"]
    lines += [f"| hours | {sums.seconds / 3600:.1f} |"]
    return "\n".join(lines)


def commit() -> str:
    """The commit that is checked out; raise `RuntimeError` when the sources are not as they are there."""

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()

    if changed := git("status", "--porcelain", "--", "src"):
        raise RuntimeError(f"The ledger is for code that can be found again; commit these first:\n{changed}")
    return git("rev-parse", "--short=12", "HEAD")


if __name__ == "__main__":
    print(table(totals(read())))
    sys.exit(0)
