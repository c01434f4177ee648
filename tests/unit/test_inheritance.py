"""Priority that the job which makes an input anew inherits from the blocked job that needs it."""

from __future__ import annotations

from msgspec.structs import replace
from tests.unit.leasing import Rig, report, scenario
from tests.unit.office import Office, in_the_office

from copernicus.dataflow.calls import Answer, Call, CommandAnswer, CommandCall
from copernicus.model import edits as e
from copernicus.model.jobs import JobDescription
from copernicus.server.storage.abc import Unit


async def want(rig: Rig, instance: int, priority: int = 0, needs: int = 0) -> int:
    """A job of an instance, blocked when it needs another."""
    unit = Unit()
    description = JobDescription("true", priority=priority)
    why = "an input is being made anew" if needs else ""
    number = rig.dispatch.jobs.want(unit, "p", instance, f"i{instance}", f"key {instance}", description, why, (), needs)
    await rig.book.submit(unit)
    return number


async def block(rig: Rig, instance: int, why: str, needs: int = 0) -> None:
    await rig.change(rig.dispatch.jobs.block, "p", f"key {instance}", why, needs)


def order(rig: Rig) -> list[int]:
    return [waiting.job for waiting in rig.dispatch.jobs.queue.in_order({})]


@scenario
async def test_a_job_inherits_the_higher_priority_of_one_that_needs_its_result(rig: Rig) -> None:
    other, maker = await want(rig, 1, 5), await want(rig, 2)
    assert order(rig) == [other, maker]
    heir = await want(rig, 3, 10, needs=2)
    assert order(rig) == [maker, other]
    assert f"It has the priority 10 of job {heir}, which needs its result." in rig.dispatch.jobs.explain(maker)
    await want(rig, 3, 1, needs=2)
    assert order(rig) == [other, maker], "the heir is less urgent now"


@scenario
async def test_it_is_inherited_through_jobs_that_are_blocked_themselves_in_whatever_order_they_come(rig: Rig) -> None:
    await want(rig, 4, 20, needs=3)
    other = await want(rig, 1, 15)
    maker = await want(rig, 2)
    await want(rig, 3, 1, needs=2)
    assert order(rig) == [maker, other]
    await block(rig, 3, "held")
    assert order(rig) == [other, maker], "it waits for a person now, not for a job"


@scenario
async def test_what_is_blocked_no_more_or_cancelled_hands_nothing_on(rig: Rig) -> None:
    maker, other, heir = await want(rig, 2), await want(rig, 1, 5), await want(rig, 3, 10, needs=2)
    assert order(rig) == [maker, other]
    await rig.change(rig.dispatch.jobs.supersede, "p", "key 3")
    assert order(rig) == [other, maker]
    await want(rig, 3, 10, needs=2)
    assert order(rig) == [maker, other]
    await block(rig, 3, "")
    assert order(rig) == [heir, other, maker]


@scenario
async def test_a_priority_below_its_own_is_not_inherited(rig: Rig) -> None:
    maker = await want(rig, 2, 3)
    await want(rig, 3, -10, needs=2)
    assert rig.dispatch.jobs.queue.get(maker) is not None
    assert rig.dispatch.jobs.inheritance.priority(rig.dispatch.jobs.get(maker)) == (3, 0)  # type: ignore[arg-type]


@scenario
async def test_an_attempt_that_comes_back_unfinished_has_the_inherited_priority_again(rig: Rig) -> None:
    maker = await want(rig, 2)
    (leased,) = await rig.lease(cores=1)
    other = await want(rig, 1, 5)
    await want(rig, 3, 10, needs=2)
    await rig.exchange("w", report(leased, "interrupted"), cores=0)
    assert order(rig) == [maker, other]


@in_the_office
async def test_the_job_that_makes_an_input_anew_inherits_from_the_one_that_the_engine_blocks_and_after_a_restart(
    office: Office,
) -> None:
    describe = office.code.call

    async def urgent(request: Call) -> Answer:
        answer = await describe(request)
        if isinstance(request, CommandCall) and isinstance(answer, CommandAnswer) and answer.description is not None:
            return replace(answer, description=replace(answer.description, priority=request.inputs.get("y") or 0))
        return answer

    office.code.call = urgent  # type: ignore[method-assign]
    await office.make("work", "a", x=1)
    await office.make("work", "b")
    await office.apply("ada", e.Connect("a:out.z", "b:in.x"))
    await office.finish("a")
    await office.finish("b")
    await office.set("a:in.x", 2)
    await office.set("b:in.y", 9)
    for _ in range(2):
        jobs = {job.path: job for job in office.jobs.open_jobs()}
        assert (jobs["a"].state, jobs["b"].state) == ("queued", "blocked")
        queued = office.jobs.queue.get(jobs["a"].id)
        assert queued is not None
        assert queued.priority == 9
        await office.restart()
    await office.finish("a")
    assert len(office.jobs.queue) == 1
