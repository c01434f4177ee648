"""The bugs that the kill loops must catch by name: each is planted into a world that is killed where it hurts."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable

from tests.proof.checker import Finding
from tests.proof.crash_bugs import FORGETFUL_CLIENT
from tests.proof.kills import World, new_folder
from tests.proof.part import Result
from tests.proof.poison import Poison

from copernicus.testing.system import ProgramFailed

LIVES, LIMIT_S, PEACE_S, TRIES = 3, 30.0, 3.0, 5
Hunt = Callable[[int], list[Finding]]


def raging(bug: str, point: str) -> Hunt:
    """A world whose server is killed at one point alone, a few times; its workers live."""

    def hunt(seed: int) -> list[Finding]:
        folder = new_folder()
        is_forgetful = bug == FORGETFUL_CLIENT
        world = World(
            folder, seed, points=[point], bugs=[] if is_forgetful else [bug], is_forgetful=is_forgetful, is_whole=False
        )
        try:
            world.rage(LIVES, LIMIT_S)
            return world.judge(PEACE_S)
        except ProgramFailed as error:
            return [Finding("stuck", str(error))]
        finally:
            world.system.end()
            shutil.rmtree(folder)

    return hunt


def poisoned(bug: str) -> Hunt:
    """A job that costs every worker its life."""
    return lambda seed: poison([bug])[0]


def poison(bugs: list[str]) -> tuple[list[Finding], int]:
    """What is found with these bugs when a job kills its workers, and how many programs were killed."""
    folder = new_folder()
    world = Poison(folder, bugs)
    try:
        return world.judge(), world.kills
    finally:
        world.system.end()
        shutil.rmtree(folder)


PLANTS: dict[str, tuple[Hunt, set[str]]] = {
    name: (hunt(name), kinds)
    for name, hunt, kinds in (
        ("acknowledge before commit", lambda name: raging(name, "before a commit"), {"lost"}),
        ("downstream fired outside the transaction", lambda name: raging(name, "between commit and answer"), {"lost"}),
        ("idempotency pruned early", lambda name: raging(name, "between commit and answer"), {"doubled"}),
        (FORGETFUL_CLIENT, lambda name: raging(name, "between commit and answer"), {"doubled"}),
        ("attempt reset on restart", poisoned, {"doubled"}),
        ("crash counter not persisted", poisoned, {"unexpected"}),
    )
}
"""By name: how it is hunted, and as what it must be found."""
SHORT = (
    "acknowledge before commit",
    "downstream fired outside the transaction",
    FORGETFUL_CLIENT,
    "crash counter not persisted",
)
"""Of the short form; the simulation catches the others as well, in much less time."""


def plant(names: Iterable[str], result: Result) -> None:
    """Plant each and say whether it was caught."""
    for name in names:
        hunt, kinds = PLANTS[name]
        found: set[str] = set()
        tries = 0
        while not found & kinds and tries < TRIES:
            tries += 1
            found = {finding.kind for finding in hunt(result.seed * 1000 + tries)}
        result.plant(name, bool(found & kinds), f"in world {tries}, as {', '.join(sorted(found)) or 'nothing'}")
