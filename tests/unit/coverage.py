"""What must happen in random histories for them to prove something."""

from __future__ import annotations

from typing import get_args

from tests.unit.histories import Tally
from tests.unit.history import RULES

from copernicus.dataflow import facts, transaction
from copernicus.model import edits

ELSEWHERE = {
    "UpgradeModule", "Upgraded", "Discarded", "Purged", "Loaded", "ImportModule", "DeclareFunction", "Imported",
    "SetText", "SetFile", "Noted",
}  # fmt: skip
"""Edits and facts on which nothing that follows depends: unit tests have them."""
DIRECTED = {"Followed", "Glimpsed"}
"""Facts about followed children: the reference model knows no provisional outputs, so only directed tests have them."""
SITUATIONS = (
    "a running job was superseded", "a superseded job finished", "an earlier result stood again", "an evaluation was joined",
    "an answer came too late", "a call was lost in a crash", "an index retired", "an index came back", "a job had to wait",
    "a failure was told", "a child was held", "a longer job went on from a shorter one", "a bad answer",
    "the module has grown", "functions were missing",
    "a preview came true", "an undo was accepted",
    "an undo was refused", "an undo of an undo", "what was removed came back",
)  # fmt: skip
RARE = 0.002
"""In less than so many of all histories: too seldom."""


def expected() -> list[str]:
    """All that must happen."""
    asked = [kind.__name__ for kind in get_args(edits.Edit) if kind.__name__ not in ELSEWHERE]
    names = [f"{kind} {word}" for kind in asked for word in ("accepted", "checked", "refused")]
    names += [f"fact {kind.__name__}" for kind in get_args(facts.Fact) if kind.__name__ not in ELSEWHERE | DIRECTED]
    names += [f"effect {kind.__name__}" for kind in get_args(transaction.Effect)]
    return [*names, *RULES, *SITUATIONS]


def rare(tally: Tally) -> list[str]:
    """What happened in hardly any history."""
    return [name for name in expected() if tally.within[name] <= RARE * tally.histories]
