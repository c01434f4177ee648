"""The job book under random histories of jobs that go on from one another, beside a model that says what must come of them."""

from __future__ import annotations

import itertools
from typing import Any

from hypothesis import given, settings, strategies as st
from tests.unit.leasing import Rig, report, run

from copernicus.model.jobs import LeasedJob, StagedFile
from copernicus.model.values import FileRef

LENGTHS = (1, 2, 3)
"""One course: the job of a length may go on from those of smaller ones."""
STEP = st.sampled_from(
    [*["switch"] * 4, "want", "supersede", "hold", "hold now", *["free"] * 2, *["lease"] * 4, "beat", *["end"] * 4, "restart"]
)
OUTCOME = st.sampled_from(["finished", "interrupted", "interrupted", "retry", "failed"])
HISTORY = st.lists(st.tuples(STEP, st.sampled_from(LENGTHS), OUTCOME, st.booleans()), min_size=12, max_size=40)


class Fate:
    """What is known of one job without looking: `start` is the checkpoint with which it is to begin, or whose it awaits."""

    def __init__(self) -> None:
        self.number, self.is_wanted, self.is_held, self.is_ended = 0, False, False, False
        self.is_asked_to_stop = False
        self.lease: LeasedJob | None = None
        self.has_begun = False
        self.left: tuple[StagedFile, ...] = ()
        self.awaits: Fate | None = None


class Course:
    """A rig, the fates of the jobs in it, and whether they agree."""

    def __init__(self) -> None:
        self.rig, self.fates = Rig(), {length: Fate() for length in LENGTHS}
        self.contents = itertools.count()

    async def want(self, length: int) -> None:
        fate = self.fates[length]
        if fate.is_wanted:
            return
        shorter = [str(one) for one in reversed(LENGTHS) if one < length]
        why = "held" if fate.is_held else ""
        (fate.number,) = await self.rig.want(str(length), until=(str(length),), extends=tuple(shorter), why=why)
        fate.is_wanted, fate.is_asked_to_stop = True, fate.is_asked_to_stop and fate.is_held
        if fate.has_begun or fate.is_ended:
            return
        fate.left, fate.awaits = (), None
        for one in shorter:
            other = self.fates[int(one)]
            if other.lease is not None:
                fate.awaits = other
                break
            if other.has_begun and other.left:
                fate.left = other.left
                break

    async def supersede(self, length: int) -> None:
        fate = self.fates[length]
        if fate.is_wanted:
            await self.rig.change(self.rig.dispatch.jobs.supersede, "p", str(length))
            fate.is_wanted, fate.awaits = False, None

    async def hold(self, length: int, *, is_held: bool, is_now: bool = False) -> None:
        fate = self.fates[length]
        fate.is_held = is_held
        if fate.is_wanted:
            await self.rig.change(self.rig.dispatch.jobs.block, "p", str(length), "held" if is_held else "")
            if is_now:
                await self.rig.change(self.rig.dispatch.jobs.stop_now, "p", str(length))
        fate.is_asked_to_stop = is_held and fate.lease is not None and ((is_now and fate.is_wanted) or fate.is_asked_to_stop)

    async def lease(self) -> None:
        given = {job.job: job for job in await self.rig.lease("w", 9)}
        for fate in self.fates.values():
            may_start = fate.is_wanted and not fate.is_held and not fate.is_ended and not fate.lease and not fate.awaits
            assert (fate.number in given) == may_start
            if may_start:
                fate.lease = given[fate.number]
                assert fate.lease.checkpoint == fate.left, "it begins somewhere else"
                fate.has_begun = True

    async def beat(self) -> None:
        fates = [fate for fate in self.fates.values() if fate.lease is not None]
        reply = await self.rig.beat("w", *(fate.lease for fate in fates if fate.lease is not None))
        why: dict[int, Any] = {}
        for fate in fates:
            if not fate.is_wanted:
                why[fate.number] = "unwanted"
            elif fate.is_asked_to_stop:
                why[fate.number] = "held"
        assert reply.why == why

    async def end(self, length: int, outcome: str, *, has_checkpoint: bool) -> None:
        fate = self.fates[length]
        if fate.lease is None:
            return
        left = (StagedFile("state", FileRef(f"{next(self.contents):064d}", 1)),) if has_checkpoint else ()
        self.rig.blobs |= {staged.file.blob for staged in left}
        told = len(self.rig.project.ends)
        await self.rig.exchange("w", report(fate.lease, outcome, checkpoint=left), cores=0)
        record = self.rig.dispatch.jobs.record(fate.number)
        assert record is not None
        fate.left, fate.lease, fate.is_asked_to_stop = left or fate.left, None, False
        fate.is_ended = record.state in ("done", "failed")
        assert record.checkpoint == fate.left
        if outcome == "finished":
            assert record.state == "done"
        elif not fate.is_wanted:
            assert record.state == "cancelled", "what nobody wants does not fail"
        elif outcome == "failed":
            assert record.state == "failed"
        elif not fate.is_ended:
            assert record.state == ("blocked" if fate.is_held else "queued")
        assert len(self.rig.project.ends) - told == fate.is_ended
        for other in self.fates.values():
            if other.awaits is fate:
                other.awaits, other.left = None, fate.left

    async def play(self, history: list[tuple[str, int, str, bool]]) -> None:
        for step, length, outcome, has_checkpoint in history:
            match step:
                case "switch":  # what an instance does when the length is set to another one
                    for other in LENGTHS:
                        if other != length:
                            await self.supersede(other)
                    await self.want(length)
                case "want":
                    await self.want(length)
                case "supersede":
                    await self.supersede(length)
                case "hold" | "hold now":
                    await self.hold(length, is_held=True, is_now=step == "hold now")
                case "free":
                    await self.hold(length, is_held=False)
                case "lease":
                    await self.lease()
                case "beat":
                    await self.beat()
                case "end":
                    await self.end(length, outcome, has_checkpoint=has_checkpoint)
                case "restart":
                    self.rig.restart()
        await self.beat()


@settings(max_examples=300, deadline=None)
@given(HISTORY)
def test_jobs_go_on_from_where_they_or_shorter_ones_were_and_stop_only_for_a_reason(
    history: list[tuple[str, int, str, bool]],
) -> None:
    run(Course().play(history))
