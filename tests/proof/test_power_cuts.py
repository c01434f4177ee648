"""The power fails, thousands of times: what was acknowledged is there, all else wholly or not at all, and no blob is short."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from tests.proof.bugs import PLANTS
from tests.proof.cuts import CUTS, LIVES, Recorded, many
from tests.proof.disk import FolderSynced, Named, Platter, Synced, Truncated, Wrote


def test_nothing_acknowledged_is_lost_and_nothing_is_half_there(request: pytest.FixtureRequest, is_long: bool) -> None:
    first, lives = request.config.getoption("--seed") * 1000, 400 if is_long else 4
    tally = many(first, lives)
    print(f"lives {first} to {first + lives - 1}: {tally}")
    assert not tally.findings, "\n".join(map(str, tally.findings))
    assert tally.cuts == lives * CUTS
    assert tally.unacknowledged, "no cut fell between a commit and its acknowledgement"


@pytest.mark.parametrize("name", PLANTS)
def test_a_planted_bug_is_caught(name: str) -> None:
    plant, kinds = PLANTS[name]
    with plant():
        tally = many(1, LIVES)
    print(f"{name}: caught after {tally.cuts} cuts of {tally.lives} lives: {[str(one) for one in tally.findings]}")
    assert {finding.kind for finding in tally.findings} & kinds, f"{tally.cuts} cuts have not brought it to light"


def test_a_life_is_the_same_when_it_is_replayed(tmp_path: Path) -> None:
    first, second = (Recorded(5, tmp_path / name) for name in ("first", "second"))
    shapes = [
        [(type(event), len(event.data) if isinstance(event, Wrote) else event) for event in life.disk.events]
        for life in (first, second)
    ]
    assert shapes[0] == shapes[1]
    assert first.moments(CUTS) == second.moments(CUTS)


def states(*events: object) -> set[tuple[tuple[str, bytes | None], ...]]:
    """All that a cut may leave after these events, as far as 300 draws find it."""
    platter = Platter()
    for event in events:
        platter.take(event)  # type: ignore[arg-type]
    return {tuple(sorted(platter.after_cut(random.Random(seed)).items())) for seed in range(300)}


def test_the_disk_keeps_what_was_synced_with_its_name_and_may_lose_all_else() -> None:
    whole = (Named("a", 1), Wrote(1, 0, b"one"), Synced(1), FolderSynced(""))
    assert states(*whole) == {(("a", b"one"),)}
    assert states(*whole[:3]) == {(), (("a", b"one"),)}, "a name that was not synced"
    assert states(whole[0], whole[1], whole[3]) == {(("a", b""),), (("a", b"one"),)}, "bytes that were not synced"
    assert states(*whole, Truncated(1, 1)) == {(("a", b"one"),), (("a", b"o"),)}
    assert states(*whole, Named("a", None)) == {(("a", b"one"),), ()}
    assert states(*whole, Named("b", 1), Named("a", None)) == {
        (("a", b"one"),), (("b", b"one"),), (("a", b"one"), ("b", b"one")), ()
    }, "either name of a renamed file may come first"  # fmt: skip


def test_the_disk_tears_at_sectors_and_reorders_writes() -> None:
    before = (Named("a", 1), Wrote(1, 0, bytes(1024)), Synced(1), FolderSynced(""))
    found = {dict(state)["a"] for state in states(*before, Wrote(1, 256, b"x" * 512), Wrote(1, 256, b"y" * 512))}
    inside = {content[256:768] for content in found if content is not None}
    assert {content[:256] for content in inside} == {bytes(256), b"x" * 256, b"y" * 256}
    assert {content[:256] + content[511:] for content in inside} == {
        first * 256 + second for first in (b"\0", b"x", b"y") for second in (b"\0", b"x", b"y")
    }, "each sector by itself, and the later write alone may be lost"
