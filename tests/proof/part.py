"""A part of the proof: the command line, the time and the result that all harnesses share.

A part is a module of this folder that is run as `python -m tests.proof.NAME [--seed S] [--minutes M] [--planted] [--json]`:

    def run(asked: argparse.Namespace, result: Result) -> None:
        while not result.is_over(asked.minutes) …:
            result.count("kills")
            result.find("lost", "value 7, acknowledged as transaction 12", "python -m tests.proof.kills --seed 3")
        if asked.planted:
            result.plant("acknowledge before commit", is_caught)

    if __name__ == "__main__":
        sys.exit(main("kills", __doc__, run))

The last line with --json is the result as one object. The exit status is 1 when something was found that must not be, or a
planted bug was not caught. A part that this machine cannot run raises `NotPossible`, and that is said.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

KINDS = {"lost": "lost", "lost blob": "lost", "missing blob": "lost", "doubled": "duplicated", "duplicated": "duplicated",
         "stuck": "stuck"}  # fmt: skip
"""As what a finding is counted; whatever is not here counts as `unexpected`."""
SUMS = ("lost", "duplicated", "stuck", "unexpected")
BUGS = (
    "acknowledge before commit", "synchronous NORMAL for FULL", "no fsync of the blob's folder",
    "temp blob visible: rename before fsync", "accept without the attempt check", "attempt reset on restart",
    "lease on the wall clock", "heartbeat extends a superseded lease", "downstream fired outside the transaction",
    "idempotency pruned early", "retry without request id", "reaper before drain after a pause",
    "crash counter not persisted", "relay ends a job",
)  # fmt: skip
"""The planted bugs that some part must catch by name. A part uses these names where it plants one of them; it may plant others,
and the same one may be caught by several parts."""


class NotPossible(Exception):
    """This machine lacks what the part needs; the message says what."""


@dataclass
class Result:
    """What a part has done and found. `counts`: what was tried, by kind of fault; `planted`: each planted bug, and whether
    it was caught; `skipped`: why the part, or a piece of it, was not run, "" when all of it was."""

    part: str
    seed: int = 1
    counts: Counter[str] = field(default_factory=Counter)
    sums: Counter[str] = field(default_factory=Counter)
    planted: dict[str, bool] = field(default_factory=dict)
    findings: list[str] = field(default_factory=list)
    skipped: str = ""
    began_at: float = field(default_factory=time.monotonic)

    def count(self, what: str, number: int = 1) -> None:
        """So many more of a kind of fault were tried."""
        self.counts[what] += number

    def find(self, kind: str, what: str, replay: str) -> None:
        """Something that must not be; `replay` is the command that does the same again."""
        self.sums[KINDS.get(kind, "unexpected")] += 1
        self.findings.append(f"{kind}: {what}\n  replay: {replay}")
        print(self.findings[-1], flush=True)

    def plant(self, name: str, is_caught: bool, how: str = "") -> None:
        """A planted bug was caught, or not; `how` says as what, or after how much."""
        self.planted[name] = is_caught
        print(f"planted: {name}: {'caught' if is_caught else 'NOT CAUGHT'}{f', {how}' if how else ''}", flush=True)

    def skip(self, why: str) -> None:
        """Say that something cannot be tried here."""
        self.skipped = f"{self.skipped}; {why}" if self.skipped else why
        print(f"SKIPPED: {why}", flush=True)

    def is_over(self, minutes: float | None) -> bool:
        """Whether so many minutes have passed since the part began; never, without a limit."""
        return minutes is not None and time.monotonic() - self.began_at >= minutes * 60

    @property
    def is_good(self) -> bool:
        """Whether nothing was found and every planted bug was caught."""
        return not self.findings and all(self.planted.values())

    def as_json(self) -> dict[str, Any]:
        """The object that the last line is with --json."""
        return {
            "part": self.part, "seed": self.seed, **self.counts, **{name: self.sums[name] for name in SUMS},
            "planted": self.planted, "skipped": self.skipped, "findings": self.findings,
            "seconds": round(time.monotonic() - self.began_at, 1),
        }  # fmt: skip


def parser(about: str) -> argparse.ArgumentParser:
    """The arguments that every part takes."""
    made = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--seed", type=int, default=1, help="of everything that is drawn")
    made.add_argument("--minutes", type=float, default=None, help="go on for so long; without it, the short form")
    made.add_argument("--planted", action="store_true", help="plant the part's bugs as well, each of which must be caught")
    made.add_argument("--json", action="store_true", help="the last line is the result as one object")
    return made


def main(
    part: str,
    about: str,
    run: Callable[[argparse.Namespace, Result], None],
    extend: Callable[[argparse.ArgumentParser], Any] = lambda made: None,
) -> int:
    """Run a part by its command line and print its result; `extend` adds arguments of its own. Return the exit status."""
    made = parser(about)
    extend(made)
    asked = made.parse_args()
    result = Result(part, asked.seed)
    try:
        run(asked, result)
    except NotPossible as missing:
        result.skip(str(missing))
    except Exception:
        result.find("broken", f"the harness itself failed\n{traceback.format_exc()}", " ".join(["python -m", *_again(part)]))
    data = result.as_json()
    done = ", ".join(f"{number} {name}" for name, number in result.counts.items()) or "nothing was tried"
    found = ", ".join(f"{data[name]} {name}" for name in SUMS)
    caught = f"; {sum(result.planted.values())} of {len(result.planted)} planted bugs caught" if result.planted else ""
    print(f"{part}, seed {asked.seed}: {done}; {found}{caught}; {data['seconds']:g} s", flush=True)
    if asked.json:
        print(json.dumps(data), flush=True)
    return 0 if result.is_good else 1


def _again(part: str) -> list[str]:
    return [f"tests.proof.{part}", *sys.argv[1:]]
